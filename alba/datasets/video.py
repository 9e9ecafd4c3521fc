"""A video: named frames on disk and, where there are any, their annotations."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.errors import DatasetError
from alba.masks import MAX_OBJECTS, VOID, read_label_map
from alba.masks.image_file import open_image


def _identity(label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return label_map


@dataclass(frozen=True)
class Video:
    """One video of a data set; pixels are read only when asked for.

    Parameters
    ----------
    name : str
        DAVIS calls it the sequence.
    frame_paths : tuple of Path
        Images in temporal order.
    annotation_paths : tuple of Path, optional
        Label maps in the same order; None where the video is not annotated.
    to_label_map : callable
        Turns a stored annotation into a label map (the binary layouts map 255 to object 1).
    made_from : tuple of str
        Names of the videos that it shows, that which fills its frames first; empty if it was made from none.
    """

    name: str
    frame_paths: tuple[Path, ...]
    annotation_paths: tuple[Path, ...] | None = None
    to_label_map: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = field(default=_identity)
    made_from: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame_paths)

    @property
    def backdrop(self) -> str:
        """Name of the video that fills its frames: its own, or that of the one which it was made from.

        A network that has learned from that one knows this one too.
        """
        return self.made_from[0] if self.made_from else self.name

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first frame in pixels; every other frame must have it too."""
        height, width = read_frame(self.frame_paths[0]).shape[:2]
        return height, width

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the frame files, as provenance of what is made from them."""
        whole = hashlib.sha256()
        for path in self.frame_paths:
            try:
                whole.update(hashlib.sha256(path.read_bytes()).digest())
            except FileNotFoundError:
                raise DatasetError(f"{path} is missing", "restore the frame") from None
        return whole.hexdigest()

    def frame(self, t: int) -> NDArray[np.uint8]:
        """Frame `t`.

        Returns
        -------
        (H, W, 3) uint8
            RGB.

        Raises
        ------
        DatasetError
            The file is missing or damaged, or its size is not the video's.
        """
        frame = read_frame(self.frame_paths[t])
        self.check_size(self.frame_paths[t], frame.shape[:2])
        return frame

    def annotation(self, t: int) -> NDArray[np.uint8]:
        """Ground truth of frame `t`.

        Returns
        -------
        (H, W) uint8
            0 background, 1..20 objects, 255 void.

        Raises
        ------
        DatasetError
            The video is not annotated, the file is missing or damaged, of another size than the
            frames, or holds an id above 20.
        """
        if self.annotation_paths is None:
            raise DatasetError(f"video {self.name} has no annotations", "use it for segmentation only")
        path = self.annotation_paths[t]
        label_map = self.to_label_map(read_label_map(path))
        self.check_size(path, label_map.shape)
        largest = int(np.max(label_map, where=label_map != VOID, initial=0))
        if largest > MAX_OBJECTS:
            raise DatasetError(
                f"{path} holds object id {largest}",
                f"ids are 0 (background), 1..{MAX_OBJECTS} and {VOID} (void)",
            )
        return label_map

    def check_size(self, path: Path, size: tuple[int, ...]) -> None:
        """Raise `DatasetError` unless a file's (H, W) is the video's."""
        if size != self.size:
            raise DatasetError(
                f"{path} is {size[0]} x {size[1]} pixels, the video's first frame is "
                f"{self.size[0]} x {self.size[1]}",
                "make all frames and annotations of a video the same size",
            )


def read_frame(path: Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8 RGB; grey of 16 bits is brought to 8.

    Raises
    ------
    DatasetError
        The file is missing, truncated or no image.
    """
    with open_image(path, "restore the frame") as image:
        if image.mode.startswith("I;16"):
            grey = np.rint(np.asarray(image, np.float32) / 257).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        return np.array(image.convert("RGB"))
