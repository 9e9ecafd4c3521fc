"""Boundaries of masks as the DAVIS measure F draws them."""

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray


def boundary_radius(height: int, width: int) -> int:
    """Tolerance of the boundary measure in pixels: ``ceil(0.008 * diagonal)``, 8 at 480 x 854."""
    return math.ceil(0.008 * math.hypot(height, width))


def boundary_map(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that differ from their right, lower or lower-right neighbour.

    The last row looks right only, the last column down only, the last corner nowhere.

    Parameters
    ----------
    mask : (H, W) bool

    Returns
    -------
    (H, W) bool
    """
    boundary = np.zeros_like(mask)
    boundary[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    boundary[:-1] |= mask[:-1] ^ mask[1:]
    boundary[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return boundary


@cache
def _disk(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Dilate a mask by a disk.

    Parameters
    ----------
    mask : (H, W) bool
    radius : int
        Pixels; the disk holds the offsets with ``x**2 + y**2 <= radius**2``.

    Returns
    -------
    (H, W) bool
    """
    return cv2.dilate(mask.view(np.uint8), _disk(radius)).view(np.bool_)
