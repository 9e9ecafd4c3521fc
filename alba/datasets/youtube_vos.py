"""YouTube-VOS: every fifth frame is annotated, objects may appear late, `meta.json` has their categories."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alba.datasets.folders import require_frames
from alba.datasets.video import Video
from alba.errors import DatasetError
from alba.masks import VOID

_SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}

ANNOTATION_STEP = 5
"""Frames whose number is a multiple of it are annotated."""


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of a video.

    Parameters
    ----------
    object_id : int
    category : str
        Empty where `meta.json` does not tell it.
    first : str
        Name of the first frame that has it.
    """

    object_id: int
    category: str
    first: str


@dataclass(frozen=True)
class ObjectTruth:
    """Ground truth of one video.

    Parameters
    ----------
    name : str
    folder : Path
        Holds the annotations, indexed PNGs named like the frames.
    frames : tuple of str
        Names of the frames that are to be segmented: every fifth, in temporal order.
    annotated : frozenset of str
        Those that have an annotation; in `valid` only those in which an object appears first.
    objects : tuple of AnnotatedObject
        By rising id.
    """

    name: str
    folder: Path
    frames: tuple[str, ...]
    annotated: frozenset[str]
    objects: tuple[AnnotatedObject, ...]

    def path(self, frame: str) -> Path:
        """Annotation of a frame."""
        return self.folder / f"{frame}.png"


def list_videos(root: Path, split: str) -> list[str]:
    """Names of the videos of a split, sorted.

    Parameters
    ----------
    root : Path
        Holds ``train``, ``valid`` and ``test``, or is one of them.
    split : str
        "train", "valid" (or "val") or "test".

    Raises
    ------
    DatasetError
        `meta.json` is missing or damaged.
    """
    folder = root / _SPLITS.get(split, split)
    return sorted(_read_meta(folder if folder.is_dir() else root))


def open_video(root: Path, name: str) -> Video:
    """Frames of a video, and its annotations where every frame has one.

    Raises
    ------
    DatasetError
        The video has no frames.
    """
    folder = _find_split(root, name)
    frames = require_frames(folder / "JPEGImages" / name)
    annotations = tuple(folder / "Annotations" / name / f"{frame.stem}.png" for frame in frames)
    complete = all(path.is_file() for path in annotations)
    return Video(name, frames, annotations if complete else None)


def open_objects(root: Path, names: Sequence[str]) -> list[ObjectTruth]:
    """Open the ground truth of some videos; reads `meta.json` and directory listings.

    Raises
    ------
    DatasetError
        A video is not in `meta.json`, or the annotation of an object's first frame is missing.
    """
    read_meta = cache(_read_meta)
    splits = [_find_split(root, name) for name in names]
    return [_open(split, name, read_meta(split)) for split, name in zip(splits, names, strict=True)]


def _open(split: Path, name: str, videos: dict[str, Any]) -> ObjectTruth:
    objects, listed = _read_objects(split / "meta.json", name, videos.get(name))
    folder = split / "Annotations" / name
    annotated = {path.stem for path in folder.glob("*.png")}
    for item in objects:
        if item.first not in annotated:
            raise DatasetError(
                f"{folder / item.first}.png is missing, where object {item.object_id} appears",
                "restore the annotation",
            )
    frames = sorted(listed | {frame for frame in annotated if _is_step(frame)})
    return ObjectTruth(name, folder, tuple(frames), frozenset(annotated), objects)


def _is_step(frame: str) -> bool:
    return not frame.isdecimal() or int(frame) % ANNOTATION_STEP == 0


def _find_split(root: Path, name: str) -> Path:
    folders = [root, *(root / kind for kind in dict.fromkeys(_SPLITS.values()))]
    for folder in folders:
        if (folder / "JPEGImages" / name).is_dir() or (folder / "Annotations" / name).is_dir():
            return folder
    raise DatasetError(
        f"{root} holds no video {name}", "extract YouTube-VOS there: train, valid and test as they come"
    )


def _read_meta(folder: Path) -> dict[str, Any]:
    """Videos of `meta.json` by name."""
    path = folder / "meta.json"
    try:
        videos = json.loads(path.read_text())["videos"]
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing", "restore it from the archive of the data set") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} cannot be parsed ({error})", "restore it") from None
    if not isinstance(videos, dict) or not videos:
        raise DatasetError(f"{path} names no video", "restore it from the archive of the data set")
    return videos


def _read_objects(path: Path, name: str, entry: Any) -> tuple[tuple[AnnotatedObject, ...], set[str]]:
    """Objects of one video, and all frames that they are listed in."""
    try:
        frames = {_object_id(k): sorted(map(str, item["frames"])) for k, item in entry["objects"].items()}
        if not frames:
            raise ValueError("there is no object")
        objects = tuple(
            AnnotatedObject(k, str(entry["objects"][str(k)].get("category", "")), frames[k][0])
            for k in sorted(frames)
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} does not describe {name} (videos.<id>.objects.<k>.frames: {error})", "restore it"
        ) from None
    return objects, {frame for listed in frames.values() for frame in listed}


def _object_id(text: str) -> int:
    if not 0 < int(text) < VOID:
        raise ValueError(f"object {text} is not within 1..{VOID - 1}")
    return int(text)
