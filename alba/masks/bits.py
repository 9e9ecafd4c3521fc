"""Boolean masks as bits: eight columns a byte, the leftmost column in the highest bit."""

import numpy as np
from numpy.typing import NDArray


def packed_width(width: int) -> int:
    """Number of bytes that hold one row of `width` pixels."""
    return (width + 7) // 8


def pack_masks(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack masks along their columns.

    Parameters
    ----------
    masks : (..., H, W) bool

    Returns
    -------
    (..., H, ceil(W / 8)) uint8
        Unused low bits of the last byte are zero.
    """
    return np.packbits(masks, axis=-1)


def unpack_masks(packed: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Undo `pack_masks`.

    Parameters
    ----------
    packed : (..., H, ceil(W / 8)) uint8
    width : int
        W, pixels.

    Returns
    -------
    (..., H, W) bool
    """
    return np.unpackbits(packed, axis=-1, count=width).view(np.bool_)
