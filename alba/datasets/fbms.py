"""FBMS-59: about every twentieth frame has an image of its regions, and a text file defines their colours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.datasets.folders import require_frames
from alba.errors import DatasetError
from alba.masks.image_file import open_image

_SPLITS = {"train": ("Trainingset", "TrainingSet"), "val": ("Testset", "TestSet")}
"""Official folders of a split; FBMS-59 has no third one, so that "val" and "test" are the same."""


@dataclass(frozen=True)
class RegionTruth:
    """Ground truth of one video: which region each pixel of a labelled frame belongs to.

    Parameters
    ----------
    name : str
    definition : Path
        ``GroundTruth/<name>Def.dat``.
    scales : tuple of int
        Colour of each region, R * 65536 + G * 256 + B, or its grey level; region 0 is the background.
    frames : tuple of int
        Indices of the labelled frames, from 0.
    frame_names : tuple of str
        Their file names without suffix.
    region_paths : tuple of Path
        Their region images: ``.ppm`` colours with ``.pgm`` certainty beside them, or ``.pgm`` grey levels.
    """

    name: str
    definition: Path
    scales: tuple[int, ...]
    frames: tuple[int, ...]
    frame_names: tuple[str, ...]
    region_paths: tuple[Path, ...]

    @property
    def num_regions(self) -> int:
        """The background counts too."""
        return len(self.scales)

    def read(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Regions of the i-th labelled frame, and how certain they are.

        Returns
        -------
        regions : (H, W) uint8
            Region index of every pixel. Colours that the definition does not name belong to region 0, as
            in the official scorer.
        certainty : (H, W) uint8
            In 1/255; 255 everywhere for grey region images, which have none.

        Raises
        ------
        DatasetError
            An image is missing, damaged, or the two are not of the same size.
        """
        path = self.region_paths[i]
        image = _read_image(path)
        certainty = np.full(image.shape[:2], 255, np.uint8)
        if image.ndim == 3:
            red, green, blue = np.moveaxis(image.astype(np.uint32), -1, 0)
            image = red << 16 | green << 8 | blue
            certainty = _read_image(path.with_suffix(".pgm"))
        if certainty.shape != image.shape:
            raise DatasetError(
                f"{path.with_suffix('.pgm')} is not of the size of {path.name}",
                "download or extract the file again",
            )
        regions = np.zeros(image.shape, np.uint8)
        for index, scale in enumerate(self.scales):
            regions[image == scale] = index
        return regions, certainty


def list_videos(root: Path, split: str) -> list[str]:
    """Names of the videos of a split, sorted.

    Parameters
    ----------
    root : Path
        Holds ``Trainingset`` and ``Testset``, or the videos themselves.
    split : str
        "train"; "val" or "test", which are the same.

    Raises
    ------
    DatasetError
        There is no video.
    """
    kinds = _SPLITS.get("val" if split == "test" else split, (split,))
    for folder in (*(root / kind for kind in kinds), root):
        names = sorted(path.parent.name for path in folder.glob("*/GroundTruth"))
        if names:
            return names
    raise DatasetError(
        f"{root / kinds[0]} holds no video",
        "extract FBMS-59 there: <video>/*.jpg and <video>/GroundTruth/<video>Def.dat",
    )


def find_frames(root: Path, name: str) -> tuple[Path, ...]:
    """Images of a video in temporal order, numbers by value.

    Raises
    ------
    DatasetError
        There is none.
    """
    return tuple(sorted(require_frames(_find_video(root, name)), key=_natural_order))


def open_regions(root: Path, name: str) -> RegionTruth:
    """Open the ground truth of a video; reads its definition file only.

    Raises
    ------
    DatasetError
        The video, its frames, its definition or a region image is missing, or the definition is damaged.
    """
    folder = _find_video(root, name) / "GroundTruth"
    definitions = sorted(folder.glob("*Def.dat"))
    if len(definitions) != 1:
        raise DatasetError(
            f"{folder / name}Def.dat is missing" if not definitions else f"{folder} holds two definitions",
            "restore the ground truth",
        )
    scales, labelled = _read_definition(definitions[0])
    frames = find_frames(root, name)
    for index, image in labelled.items():
        if index >= len(frames):
            raise DatasetError(
                f"{definitions[0]} labels frame {index}, but {name} has {len(frames)}", "restore the frames"
            )
        if not (folder / image).is_file():
            raise DatasetError(f"{folder / image} is missing", "restore the ground truth")
    return RegionTruth(
        name,
        definitions[0],
        scales,
        tuple(labelled),
        tuple(frames[index].stem for index in labelled),
        tuple(folder / image for image in labelled.values()),
    )


def _find_video(root: Path, name: str) -> Path:
    folders = [root / kind / name for kinds in _SPLITS.values() for kind in kinds] + [root / name]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise DatasetError(f"{root / name} does not exist", "restore the video, or name another list")


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", path.stem)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _read_definition(path: Path) -> tuple[tuple[int, ...], dict[int, str]]:
    """Colours of the regions, and the region image of every labelled frame."""
    try:
        lines = iter([line.strip() for line in path.read_text().splitlines() if line.strip()])
        num_regions, num_labelled, scales, labelled = -1, -1, [], {}
        for line in lines:
            if line.startswith("Total number of regions"):
                num_regions = int(next(lines))
            elif line.startswith("Scale of region"):
                scales.append(int(next(lines)))
            elif line.startswith("Total number of label"):
                num_labelled = int(next(lines))
            elif line.startswith("Frame number"):
                index, image = _read_labelled_frame(lines)
                labelled[index] = image
        if (len(scales), len(labelled)) != (num_regions, num_labelled) or not labelled or min(labelled) < 0:
            raise ValueError("regions or frames are not as many as announced")
    except (ValueError, StopIteration, UnicodeDecodeError, OSError) as error:
        raise DatasetError(
            f"{path} cannot be parsed ({error or 'it ends too early'})", "restore the ground truth"
        ) from None
    return tuple(scales), labelled


def _read_labelled_frame(lines: Iterator[str]) -> tuple[int, str]:
    index = int(next(lines))
    if not next(lines).startswith("File name"):
        raise ValueError(f"frame {index} has no file name")
    return index, next(lines)


def _read_image(path: Path) -> NDArray[np.uint8]:
    with open_image(path, "restore the ground truth") as image:
        return np.asarray(image)
