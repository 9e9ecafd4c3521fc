"""Choice among overlapping candidates."""

import numpy as np
from numpy.typing import NDArray


def suppress(
    members: NDArray[np.bool_],
    areas: NDArray[np.float32],
    scores: NDArray[np.float32],
    overlap: float,
    most: int,
) -> NDArray[np.intp]:
    """Non-maximum suppression.

    Parameters
    ----------
    members : (N, S) bool
        Superpixels of every candidate.
    areas : (S,) float32
        Pixels.
    scores : (N,) float32
    overlap : float
        IoU above which the lower-scored of two candidates is dropped.
    most : int
        Largest number of candidates to keep.

    Returns
    -------
    (K,) intp
        Indices of what is kept, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    weighted = members.astype(np.float32)
    size = weighted @ areas
    kept: list[int] = []
    free = np.ones(len(scores), bool)
    for candidate in order:
        if not free[candidate]:
            continue
        kept.append(candidate)
        if len(kept) == most:
            break
        own = size[candidate]
        # The overlap is at most the share that the smaller of both is of the larger.
        rivals = np.flatnonzero(free & (size >= overlap * own) & (own >= overlap * size))
        shared = weighted[rivals] @ (weighted[candidate] * areas)
        free[rivals] = shared <= overlap * (size[rivals] + own - shared)
    return np.array(kept, np.intp)
