"""Which decision of a frame has earned what: the J that a segmentation has when each decision is taken."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alba.grouping import GroupingVideo
from alba.masks import VOID


def gained_before(
    video: GroupingVideo, choices: Sequence[NDArray[np.uint8]], tracks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """J of each frame as it is painted before each of its decisions, tracks matched as at the end.

    Parameters
    ----------
    video : GroupingVideo
        With ground truth.
    choices : sequence of (R, N_t) uint8
        Slot of every proposal of every frame in R episodes; 0 for none.
    tracks : (R, O) int64
        Slot that each object is matched to.

    Returns
    -------
    (R, T, N + 1) float64 in [0, 1]
        Mean over objects, N the most decisions of a frame; the last value is that of the whole frame, and
        stands for all decisions that a frame has not.
    """
    assert video.truth is not None
    most = max(len(frame.membership) for frame in video.frames)
    gained = np.zeros((len(tracks), len(video), most + 1))
    for t, (frame, truth) in enumerate(zip(video.frames, video.truth, strict=True)):
        num = len(frame.membership)
        inside = pixels_of_objects(frame.cell_map, truth, len(frame.sizes), tracks.shape[1])
        painted = _painted(frame.membership, choices[t]) @ inside
        gained[:, t, 0] = (inside[:, :-1].sum(0) == 0).mean() if tracks.shape[1] else 0.0
        gained[:, t, 1 : num + 1] = _growing_similarity(painted, choices[t], tracks, inside)
        gained[:, t, num + 1 :] = gained[:, t, num, None]
    return gained


def pixels_of_objects(
    cell_map: NDArray[np.int32], truth: NDArray[np.uint8], num_cells: int, num_objects: int
) -> NDArray[np.float64]:
    """Pixels of each cell that each object holds, and at last all that are not void: (A, O + 1) float64."""
    known = truth != VOID
    of_truth = np.where(truth <= num_objects, truth, 0)[known].astype(np.int64)
    codes = cell_map[known] * (num_objects + 1) + of_truth
    counts = np.bincount(codes, minlength=num_cells * (num_objects + 1)).reshape(num_cells, -1)
    return np.concatenate([counts[:, 1:], counts.sum(1, keepdims=True)], axis=1).astype(np.float64)


def _painted(membership: NDArray[np.bool_], choices: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Cells that each decision paints, as the first one to claim them: (R, N, A) float64 of 0 and 1."""
    claims = membership & (choices > 0)[:, :, None]
    return (claims & (claims.cumsum(axis=1) == 1)).astype(np.float64)


def _growing_similarity(
    painted: NDArray[np.float64],
    choices: NDArray[np.uint8],
    tracks: NDArray[np.int64],
    inside: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean J after each decision: (R, N) float64.

    Parameters
    ----------
    painted : (R, N, O + 1) float64
        Pixels that each decision paints, in each object and in all.
    choices : (R, N) uint8
    tracks : (R, O) int64
    inside : (A, O + 1) float64
    """
    joins = choices[:, :, None] == tracks[:, None]
    common = (painted[..., :-1] * joins).cumsum(axis=1)
    area = (painted[..., -1:] * joins).cumsum(axis=1)
    union = area + inside[:, :-1].sum(0) - common
    similarity = np.where(union > 0, common / np.maximum(union, 1), 1.0)
    return similarity.mean(axis=2) if similarity.shape[2] else similarity.sum(axis=2)
