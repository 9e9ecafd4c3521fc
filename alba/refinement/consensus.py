"""What many proposals agree on."""

import numpy as np
from numpy.typing import NDArray

_POWERS = (2, 6)
"""Of the weights: the higher, the more the best proposals alone are heard."""


def consensus(masks: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Soft consensus of the proposals of a frame.

    Parameters
    ----------
    masks : (N, h, w) float32 in [0, 1]
    weights : (N,) float32 in [0, 1]

    Returns
    -------
    (4, h, w) float32 in [0, 1]
        Means weighted by the second and the sixth power of the weights, the largest weight over each pixel,
        and the weightiest mask; zeros without proposals.
    """
    maps = np.zeros((4, *masks.shape[1:]), np.float32)
    if len(masks):
        flat = masks.reshape(len(masks), -1)
        for here, power in zip(maps, _POWERS, strict=False):
            shares = (weights / max(float(weights.max()), 1e-6)) ** power
            here[:] = (shares / max(float(shares.sum()), 1e-6) @ flat).reshape(here.shape)
        maps[2] = (weights[:, None, None] * masks).max(0)
        maps[3] = masks[weights.argmax()]
    return maps
