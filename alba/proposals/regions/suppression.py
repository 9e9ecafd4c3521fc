"""Choice among overlapping candidates."""

import numpy as np
from numpy.typing import NDArray

COVERAGE = ((0.5, 0.6), (0.7, 0.8))
"""Overlap that two candidates may have while up to this share of the places is given away."""


def suppress(
    members: NDArray[np.bool_],
    areas: NDArray[np.float32],
    scores: NDArray[np.float32],
    overlap: float,
    most: int,
) -> NDArray[np.intp]:
    """Non-maximum suppression in rounds: first what covers something else, then variants of it.

    With one round the many variants of the best object would take all places of the others. In each round
    candidates are taken by falling score, if they overlap with none of those already taken by more than
    the round's limit (`COVERAGE`, at last `overlap`).

    Parameters
    ----------
    members : (N, S) bool
        Superpixels of every candidate.
    areas : (S,) float32
        Pixels.
    scores : (N,) float32
    overlap : float
        IoU above which the lower-scored of two candidates is dropped in any case.
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
    nearest = np.zeros(len(scores), np.float32)  # largest IoU with what is kept
    kept: list[int] = []
    for limit, share in (*COVERAGE, (overlap, 1.0)):
        limit = min(limit, overlap)
        for candidate in order:
            if len(kept) >= int(share * most):
                break
            if nearest[candidate] <= limit:
                kept.append(int(candidate))
                shared = weighted @ (weighted[candidate] * areas)
                np.maximum(nearest, shared / (size + size[candidate] - shared), out=nearest)
                nearest[candidate] = np.inf
    return np.array(sorted(kept, key=lambda candidate: -scores[candidate]), np.intp)
