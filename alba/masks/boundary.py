"""Boundaries of masks as the DAVIS measure F draws them, for one mask or for all objects of a frame at once.

A label map becomes a map of *bits*: an integer per pixel whose bit k - 1 tells whether the pixel belongs to
object k. Exclusive or compares, and inclusive or dilates, all objects in one pass. A boolean mask is the case
of one bit. The functions on bits use nothing but slices, `^` and `|`, so that NumPy arrays and torch
tensors on any device are both served by them.
"""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Bits = TypeVar("Bits", bound=Any)


def boundary_radius(height: int, width: int) -> int:
    """Tolerance of the boundary measure in pixels: ``ceil(0.008 * diagonal)``, 8 at 480 x 854."""
    return math.ceil(0.008 * math.hypot(height, width))


def bits_dtype(num_labels: int) -> str:
    """Name of the narrowest integer that holds a bit per label; NumPy and torch share these names."""
    if num_labels <= 8:
        return "uint8"
    return "int16" if num_labels <= 15 else "int32"


def label_bits(label_map: NDArray[np.uint8], num_labels: int) -> NDArray[np.integer]:
    """One bit per object: ``1 << (k - 1)`` where the label map holds k.

    Parameters
    ----------
    label_map : (...) uint8
    num_labels : int
        At most 31; pixels that hold a larger id get no bit.

    Returns
    -------
    (...) integer
    """
    table = np.zeros(256, bits_dtype(num_labels))
    table[1 : num_labels + 1] = 1 << np.arange(num_labels)
    bits: NDArray[np.integer] = table.take(label_map)
    return bits


def boundary_map(bits: Bits) -> Bits:
    """Pixels that differ from their right, lower or lower-right neighbour.

    The last row looks right only, the last column down only, the last corner nowhere.

    Parameters
    ----------
    bits : (..., H, W) bool or integer array or tensor

    Returns
    -------
    (..., H, W) of the same kind
        Bit by bit the boundary map of each mask.
    """
    boundary = bits ^ bits
    _join(boundary[..., :-1], bits[..., :-1] ^ bits[..., 1:])
    _join(boundary[..., :-1, :], bits[..., :-1, :] ^ bits[..., 1:, :])
    _join(boundary[..., :-1, :-1], bits[..., :-1, :-1] ^ bits[..., 1:, 1:])
    return boundary


def boundary_pixels(
    label_map: NDArray[np.uint8], num_labels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]:
    """The pixels of ``boundary_map(label_bits(label_map, num_labels))`` that have a bit.

    They are few, and those where the label map itself has a boundary: bits are made for them alone.

    Parameters
    ----------
    label_map : (H, W) uint8
        Ids up to `num_labels` only.
    num_labels : int

    Returns
    -------
    rows, columns : (n,) int64
    bits : (n,) integer
    """
    height, width = label_map.shape
    pixels = np.flatnonzero(boundary_map(label_map) != 0)
    rows, columns = np.divmod(pixels, width)
    # At the last row and column a pixel is its own neighbour: it does not differ from itself.
    right, below = (columns < width - 1).astype(np.int64), (rows < height - 1) * width
    corners = label_map.ravel()[np.stack([pixels, pixels + right, pixels + below, pixels + below + right])]
    patches = np.moveaxis(label_bits(corners, num_labels).reshape(2, 2, -1), 2, 0)
    return rows, columns, boundary_map(patches)[:, 0, 0]


def dilate(bits: Bits, radius: int) -> Bits:
    """Dilate by a disk.

    The rows of a disk are intervals: the map is widened pixel by pixel, and each width is joined to the
    result at the two row distances where the disk is that wide.

    Parameters
    ----------
    bits : (..., H, W) bool or integer array or tensor
    radius : int
        Pixels; the disk holds the offsets with ``x**2 + y**2 <= radius**2``.

    Returns
    -------
    (..., H, W) of the same kind
    """
    height = bits.shape[-2]
    half_widths = [math.isqrt(radius**2 - y**2) for y in range(min(radius + 1, height))]
    widened, dilated = bits | bits, bits ^ bits
    for width in range(radius + 1):
        if width:
            _join(widened[..., width:], bits[..., :-width])
            _join(widened[..., :-width], bits[..., width:])
        for y in (y for y, half_width in enumerate(half_widths) if half_width == width):
            _join(dilated[..., y:, :], widened[..., : height - y, :])
            _join(dilated[..., : height - y, :], widened[..., y:, :])
    return dilated


def _join(target: Any, source: Any) -> None:
    """Or `source` into a view; as a statement on a slice, torch would copy the view onto itself."""
    target |= source
