"""How much the colours of a video are those of an object in it."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

_BINS = (12, 16, 16)
_CHROMA = 60.0
"""Largest |a| and |b| that have bins of their own."""

_SMOOTHING = 0.7
"""Of the histograms, bins."""


class ColourModel:
    """Histograms of the Lab colours of a video.

    Parameters
    ----------
    lab : (T, 3, h, w) float16
    """

    def __init__(self, lab: NDArray[np.float16]) -> None:
        low = np.array([0, -_CHROMA, -_CHROMA], np.float32)
        span = np.array([100, 2 * _CHROMA, 2 * _CHROMA], np.float32)
        self._size = lab.shape[2:]
        self._bins = np.empty((len(lab), lab[0, 0].size), np.int16)
        for t, frame in enumerate(lab):
            places = (np.moveaxis(frame.astype(np.float32), 0, -1) - low) / span * _BINS
            inside = np.clip(places, 0, np.array(_BINS) - 1).astype(np.intp)
            self._bins[t] = np.ravel_multi_index(tuple(np.moveaxis(inside, -1, 0)), _BINS).ravel()
        self._all = np.stack([self._count(t) for t in range(len(lab))])

    def posterior(self, inside: NDArray[np.float32], reach: int | None = None) -> NDArray[np.float32]:
        """Probability of each pixel's colour inside an object against outside, both equally likely.

        Parameters
        ----------
        inside : (T, h, w) float32 in [0, 1]
            How sure it is that a pixel is the object's.
        reach : int, optional
            Frames to look at on either side; all if left out.

        Returns
        -------
        (T, h, w) float32 in [0, 1]
            0.5 where nothing is inside.
        """
        num = len(inside)
        counts = np.stack([self._count(t, inside[t].ravel()) for t in range(num)])
        if reach is None:
            table = _ratio(counts.sum(0), self._all.sum(0))
            return np.stack([table[bins].reshape(self._size) for bins in self._bins])
        result = np.empty(inside.shape, np.float32)
        for t in range(num):
            near = slice(max(0, t - reach), t + reach + 1)
            result[t] = _ratio(counts[near].sum(0), self._all[near].sum(0))[self._bins[t]].reshape(self._size)
        return result

    def _count(self, t: int, weights: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
        return np.bincount(self._bins[t], weights, minlength=int(np.prod(_BINS))).astype(np.float64)


def _ratio(inside: NDArray[np.float64], everywhere: NDArray[np.float64]) -> NDArray[np.float32]:
    if not inside.any():
        return np.full(inside.shape, 0.5, np.float32)
    parts = []
    for histogram in (inside, everywhere - inside):
        smooth = gaussian_filter(histogram.reshape(_BINS), _SMOOTHING).ravel()
        parts.append(smooth / max(float(smooth.sum()), 1e-9))
    within, outside = parts
    return ((within + 1e-6) / (within + outside + 2e-6)).astype(np.float32)
