"""Label maps: one object id per pixel, kept as indexed PNGs with the DAVIS palette."""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alba.errors import DatasetError
from alba.masks.image_file import open_image

VOID = 255
"""Label of pixels that the ground truth leaves open."""

MAX_OBJECTS = 20
"""Most objects in one video (DAVIS 2017 unsupervised rules)."""


def _davis_palette() -> NDArray[np.uint8]:
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


PALETTE = _davis_palette()
"""(256, 3) uint8 RGB: the colour of every id, that of PASCAL VOC and DAVIS."""


def label_map_to_masks(label_map: NDArray[np.integer], num_objects: int) -> NDArray[np.bool_]:
    """One mask per object of a label map.

    Parameters
    ----------
    label_map : (H, W) integer
        0 background, 1..num_objects.
    num_objects : int

    Returns
    -------
    (num_objects, H, W) bool
    """
    ids = np.arange(1, num_objects + 1, dtype=label_map.dtype)
    return label_map[None] == ids[:, None, None]


def paint(masks: NDArray[np.bool_], slots: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Label map of a frame after its decisions; a pixel stays with the slot that takes it first.

    Parameters
    ----------
    masks : (N, H, W) bool
        In the order of their decisions.
    slots : (N,) integer
        1..K, 0 for none.

    Returns
    -------
    (H, W) uint8
    """
    label_map = np.zeros(masks.shape[1:], np.uint8)
    for mask, slot in zip(masks, slots, strict=True):
        if slot:
            label_map[mask & (label_map == 0)] = slot
    return label_map


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Read an indexed or grey-scale PNG.

    Returns
    -------
    (H, W) uint8

    Raises
    ------
    DatasetError
        The file is missing, truncated, or stores colours instead of ids.
    """
    with open_image(path) as image:
        if image.mode == "1":
            return np.asarray(image).astype(np.uint8)
        if image.mode == "LA":  # as one annotation of the official DAVIS 2016; grey values are ids
            return np.asarray(image.getchannel("L"))
        if image.mode not in ("P", "L"):
            raise DatasetError(
                f"{path} holds colours (mode {image.mode}), not object ids",
                "save it as an indexed or 8-bit grey PNG",
            )
        return np.array(image)


def write_label_map(file: Path | IO[bytes], label_map: NDArray[np.uint8]) -> None:
    """Write an indexed PNG with the DAVIS palette.

    Parameters
    ----------
    file : Path or binary file
    label_map : (H, W) uint8
    """
    image = Image.fromarray(label_map, mode="P")
    image.putpalette(PALETTE.tobytes())
    image.save(file, format="PNG")
