"""Overlap of stacks of masks."""

import numpy as np
from numpy.typing import NDArray


def intersection_counts(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels that each mask shares with each other mask.

    Parameters
    ----------
    masks : (N, H, W) bool
    others : (M, H, W) bool

    Returns
    -------
    (N, M) int64
    """
    # float32 counts exactly up to 2**24 pixels (4K is 2**23), and a matrix product is the fastest count.
    left = masks.reshape(len(masks), -1).astype(np.float32)
    right = others.reshape(len(others), -1).astype(np.float32)
    counts: NDArray[np.int64] = (left @ right.T).astype(np.int64)
    return counts


def iou_matrix(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of every pair of masks; 0 where both are empty.

    Parameters
    ----------
    masks : (N, H, W) bool
    others : (M, H, W) bool

    Returns
    -------
    (N, M) float64 in [0, 1]
    """
    intersection = intersection_counts(masks, others)
    areas = masks.reshape(len(masks), -1).sum(1)
    other_areas = others.reshape(len(others), -1).sum(1)
    union = areas[:, None] + other_areas[None, :] - intersection
    return intersection / np.maximum(union, 1)


def mask_boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Tight boxes of masks.

    Parameters
    ----------
    masks : (N, H, W) bool

    Returns
    -------
    (N, 4) float32
        (x0, y0, x1, y1) in pixels, upper ends exclusive; zeros for an empty mask.
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows = np.flatnonzero(mask.any(1))
        if len(rows):
            columns = np.flatnonzero(mask.any(0))
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
