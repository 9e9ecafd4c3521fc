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
        shared = weighted @ (weighted[candidate] * areas)
        free &= shared <= overlap * (size + size[candidate] - shared)
    return np.array(kept, np.intp)
