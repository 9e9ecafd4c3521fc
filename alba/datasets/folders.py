"""Folders of frames."""

from pathlib import Path

from alba.errors import DatasetError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


def find_frames(folder: Path) -> tuple[Path, ...]:
    """Images of a folder by name; none where the folder is absent."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in FRAME_SUFFIXES))


def require_frames(folder: Path) -> tuple[Path, ...]:
    """Images of a folder by name, at least one.

    Raises
    ------
    DatasetError
        There is none.
    """
    frames = find_frames(folder)
    if not frames:
        raise DatasetError(
            f"{folder} holds no frames",
            f"put the video's {', '.join(FRAME_SUFFIXES)} files there",
        )
    return frames
