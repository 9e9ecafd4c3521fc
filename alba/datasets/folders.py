"""Folders of frames."""

import re
from itertools import pairwise
from pathlib import Path

from alba.errors import DatasetError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


def find_frames(folder: Path) -> tuple[Path, ...]:
    """Images of a folder by name, numbers by their value: 2.png before 10.png; none without a folder."""
    if not folder.is_dir():
        return ()
    frames = (path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    return tuple(sorted(frames, key=lambda path: (_parts(path.stem), path.name)))


def _parts(stem: str) -> list[str | int]:
    """A name's text and numbers in turn, text first."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", stem)]


def require_frames(folder: Path) -> tuple[Path, ...]:
    """Images of a folder by name, at least one.

    Raises
    ------
    DatasetError
        There is none, or two of one name.
    """
    frames = find_frames(folder)
    if not frames:
        raise DatasetError(
            f"{folder} holds no frames",
            f"put the video's {', '.join(FRAME_SUFFIXES)} files there",
        )
    for frame, following in pairwise(frames):
        if frame.stem == following.stem:
            raise DatasetError(f"{folder} holds {frame.name} and {following.name}", "keep one of them")
    return frames
