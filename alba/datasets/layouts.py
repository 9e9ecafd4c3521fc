"""Layouts on disk: DAVIS 2017, DAVIS 2016, FBMS-59, YouTube-VOS, and a plain folder of frames."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from alba.config import DatasetSettings
from alba.datasets import fbms, youtube_vos
from alba.datasets.folders import FRAME_SUFFIXES, find_frames, require_frames
from alba.datasets.generated import read_made_from
from alba.datasets.video import Video
from alba.errors import DatasetError

_IMAGE_SETS = {"davis17": ("2017", "2016", "480p"), "davis16": ("2016", "480p", "2017")}
"""Folders of lists, the layout's own first: data sets of one release hold those of others too."""

_ANNOTATIONS = {"davis17": ("Annotations_unsupervised", "Annotations"), "davis16": ("Annotations",)}


def list_videos(dataset: DatasetSettings, split: str) -> list[str]:
    """Names of the videos of a split, in the order of the data set's own list.

    Parameters
    ----------
    dataset : DatasetSettings
    split : str
        "train", "val", the name of another list of the layout, or a text file (``.txt``) of one's own.

    Raises
    ------
    DatasetError
        The root or the list is missing or empty.
    """
    root = Path(dataset.root)
    if not root.is_dir():
        raise DatasetError(
            f"data root {root} does not exist",
            "put the data set there, or set data_root or datasets.<name>.root in the configuration",
        )
    if split.endswith(".txt"):
        return _read_list(Path(split))
    if dataset.layout == "fbms":
        return fbms.list_videos(root, split)
    if dataset.layout == "youtube-vos":
        return youtube_vos.list_videos(root, split)
    if dataset.layout == "folder":
        names = sorted(path.name for path in root.iterdir() if find_frames(path))
        if not names:
            raise DatasetError(
                f"{root} holds no folder with frames",
                f"give one folder per video, with {', '.join(FRAME_SUFFIXES)} files",
            )
        return names
    return _read_list(_find_list(root, dataset, split))


def open_video(
    dataset: DatasetSettings,
    name: str,
    annotation_folders: Sequence[str] | None = None,
    needs_images: bool = True,
) -> Video:
    """Open one video of a data set; reads directory listings only.

    Parameters
    ----------
    dataset : DatasetSettings
    name : str
    annotation_folders : sequence of str, optional
        DAVIS: where to look for the annotations below the root, the first that has the video wins; left
        out, ``Annotations_unsupervised`` and then ``Annotations`` (DAVIS 2016: ``Annotations`` only).
    needs_images : bool
        DAVIS: where only names and annotations are wanted, the images may be left out of the data set;
        the annotations then stand for the frames.

    Raises
    ------
    DatasetError
        The video has no frames, a frame number is missing, or frames and annotations do not pair.
    """
    root = Path(dataset.root)
    match dataset.layout:
        case "folder":
            return Video(name, require_frames(root / name))
        case "fbms":
            return Video(name, fbms.find_frames(root, name))
        case "youtube-vos":
            return youtube_vos.open_video(root, name)
    images = root / "JPEGImages" / dataset.resolution / name
    kinds = annotation_folders or _ANNOTATIONS[dataset.layout]
    annotated = next((p for kind in kinds if (p := root / kind / dataset.resolution / name).is_dir()), None)
    frames = require_frames(images if needs_images or images.is_dir() or not annotated else annotated)
    _check_consecutive(frames)
    annotations = None if annotated is None else _annotations(annotated, frames)
    if dataset.layout == "davis16":
        return Video(name, frames, annotations, to_label_map=_foreground)
    return Video(name, frames, annotations, made_from=read_made_from(root).get(name, ()))


def _foreground(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The binary annotations of DAVIS 2016 hold 0 and 255, or 0 and 1; they have no void."""
    return (stored > 0).astype(np.uint8)


def _check_consecutive(frames: tuple[Path, ...]) -> None:
    if not all(path.stem.isdecimal() for path in frames):
        return
    numbers = [int(path.stem) for path in frames]
    for path, number, expected in zip(frames, numbers, range(numbers[0], 10**9), strict=False):
        if number != expected:
            missing = path.with_stem(str(expected).zfill(len(path.stem)))
            raise DatasetError(f"{missing} is missing", "restore the frame")


def _annotations(folder: Path, frames: tuple[Path, ...]) -> tuple[Path, ...] | None:
    """Annotation of every frame; None where only the first has one."""
    present = {path.stem: path for path in folder.glob("*.png")}
    for stem in sorted(present.keys() - {frame.stem for frame in frames}):
        raise DatasetError(
            f"{frames[0].with_stem(stem)} is missing, though {present[stem]} annotates it",
            "restore the frame",
        )
    # Test sets publish the first annotation only, or none: such a video counts as not annotated.
    if len(present) <= 1 < len(frames):
        return None
    for frame in frames:
        if frame.stem not in present:
            raise DatasetError(f"{folder / frame.stem}.png is missing", "restore the annotation")
    return tuple(present[frame.stem] for frame in frames)


def _find_list(root: Path, dataset: DatasetSettings, split: str) -> Path:
    kinds = (dataset.image_set,) if dataset.image_set else _IMAGE_SETS[dataset.layout]
    candidates = [root / "ImageSets" / kind / f"{split}.txt" for kind in kinds]
    for path in candidates:
        if path.is_file():
            return path
    raise DatasetError(f"{candidates[0]} is missing", "restore the list of videos, or name another split")


def _read_list(path: Path) -> list[str]:
    """Names from a list in either official form: a name a line, or an image and its annotation."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing", "give a text file with the name of a video a line")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is no text in UTF-8", "name the list of videos") from None
    names: dict[str, None] = {}
    for line in lines:
        words = line.split()
        if words:
            entry = PurePosixPath(words[0])
            names[entry.parent.name if len(entry.parts) > 1 else entry.name] = None
    if not names:
        raise DatasetError(f"{path} names no video", "restore the list")
    return list(names)
