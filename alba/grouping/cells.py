"""Cells: the pixels of a frame that the same proposals cover.

Proposals, slots and objects of a frame are unions of its cells, so every overlap that grouping needs is
a sum over cells. A rollout therefore touches no pixels, and is exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FrameCells:
    """The A cells of one frame with N proposals; cell 0 is what no proposal covers.

    Parameters
    ----------
    cell_map : (h, w) int32
        Cell of every pixel.
    membership : (N, A) bool
        Which cells a proposal is made of.
    sizes : (A,) float32
        Pixels.
    from_previous : (N, A_previous) float32
        Pixels of each proposal that the flow traces back to each cell of the previous frame.
    arriving : (A_previous,) float32
        Pixels of this frame that the flow traces back to each cell of the previous frame.
    """

    cell_map: NDArray[np.int32]
    membership: NDArray[np.bool_]
    sizes: NDArray[np.float32]
    from_previous: NDArray[np.float32]
    arriving: NDArray[np.float32]


def find_cells(masks: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Split a frame into cells.

    Parameters
    ----------
    masks : (N, h, w) bool

    Returns
    -------
    cell_map : (h, w) int32
    membership : (N, A) bool
        Column 0 is all false.
    """
    num, height, width = masks.shape
    if not num:
        return np.zeros((height, width), np.int32), np.zeros((0, 1), bool)
    codes = np.packbits(masks.reshape(num, -1), axis=0, bitorder="little")
    words = np.zeros((height * width, max(8, -(-len(codes) // 8) * 8)), np.uint8)
    words[:, : len(codes)] = codes.T
    keys = words.view(np.uint64)
    if keys.shape[1] == 1:
        unique, cell = np.unique(keys[:, 0], return_inverse=True)
        unique = unique[:, None]
    else:
        unique, cell = np.unique(keys, axis=0, return_inverse=True)
    bits = np.unpackbits(unique.view(np.uint8), axis=1, count=num, bitorder="little")
    membership = bits.T.astype(bool)
    if unique[0].any():  # every pixel is covered: keep an empty cell 0
        membership = np.concatenate([np.zeros((num, 1), bool), membership], axis=1)
        cell = cell + 1
    return cell.reshape(height, width).astype(np.int32), membership


def link_cells(
    masks: NDArray[np.bool_], backward: NDArray[np.float32], previous: FrameCells | None
) -> FrameCells:
    """Find the cells of a frame and trace them back to those of the frame before.

    Parameters
    ----------
    masks : (N, h, w) bool
    backward : (2, h, w) float32
        Flow to the previous frame, pixels of this resolution.
    previous : FrameCells, optional
        None at the first frame.
    """
    cell_map, membership = find_cells(masks)
    num_cells = membership.shape[1]
    sizes = np.bincount(cell_map.ravel(), minlength=num_cells).astype(np.float32)
    if previous is None:
        return FrameCells(
            cell_map, membership, sizes, np.zeros((len(masks), 1), np.float32), np.zeros(1, np.float32)
        )
    origin = previous.cell_map[trace_back(backward)]
    num_previous = previous.membership.shape[1]
    pairs = np.bincount((cell_map * num_previous + origin).ravel(), minlength=num_cells * num_previous)
    table = pairs.reshape(num_cells, num_previous).astype(np.float32)
    return FrameCells(cell_map, membership, sizes, membership.astype(np.float32) @ table, table.sum(0))


def trace_back(backward: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column in the previous frame of every pixel, rounded and kept inside the picture."""
    _, height, width = backward.shape
    rows, columns = np.mgrid[:height, :width]
    y = np.clip(np.rint(rows + backward[1]), 0, height - 1).astype(np.intp)
    x = np.clip(np.rint(columns + backward[0]), 0, width - 1).astype(np.intp)
    return y, x
