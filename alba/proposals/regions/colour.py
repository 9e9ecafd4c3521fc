"""How much a colour is that of an object: histograms of what lies inside against what lies outside."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

_BINS = (12, 16, 16)  # of lightness, a and b
_CHROMA = 60.0  # largest |a| and |b| that have bins of their own
_SMOOTHING = 0.7  # bins

NUM_BINS = int(np.prod(_BINS))


def colour_bins(lab: NDArray[np.float32]) -> NDArray[np.intp]:
    """Bin of every colour (..., 3): (...) in 0..NUM_BINS-1."""
    low = np.array([0, -_CHROMA, -_CHROMA], np.float32)
    span = np.array([100, 2 * _CHROMA, 2 * _CHROMA], np.float32)
    places = np.clip((lab - low) / span * np.array(_BINS), 0, np.array(_BINS) - 1).astype(np.intp)
    return np.ravel_multi_index(tuple(np.moveaxis(places, -1, 0)), _BINS)


def colour_counts(bins: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of the weights in every bin, (NUM_BINS,)."""
    return np.bincount(bins.ravel(), weights.ravel(), NUM_BINS).astype(np.float64, copy=False)


def colour_posterior(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float32]:
    """Probability of inside for every bin, both being as likely beforehand: (NUM_BINS,) float32.

    Parameters
    ----------
    inside, outside : (NUM_BINS,)
        Counts; 0.5 everywhere if nothing is inside.
    """
    if not inside.any():
        return np.full(NUM_BINS, 0.5, np.float32)
    parts = []
    for counts in (inside, outside):
        smooth = gaussian_filter(counts.reshape(_BINS), _SMOOTHING).ravel()
        parts.append(smooth / max(float(smooth.sum()), 1e-9) + 1e-6)
    within, without = parts
    return (within / (within + without)).astype(np.float32)
