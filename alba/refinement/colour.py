"""How much the colours of a video are those of an object in it."""

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.colour import NUM_BINS, colour_bins, colour_counts, colour_posterior


class ColourModel:
    """Histograms of the Lab colours of a video.

    Parameters
    ----------
    lab : (T, 3, h, w) float16
    """

    def __init__(self, lab: NDArray[np.float16]) -> None:
        self._bins = np.empty((len(lab), *lab.shape[2:]), np.int16)
        for t, frame in enumerate(lab):
            self._bins[t] = colour_bins(np.moveaxis(frame.astype(np.float32), 0, -1))
        self._all = np.stack([np.bincount(bins.ravel(), minlength=NUM_BINS) for bins in self._bins])

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
        counts = np.stack([colour_counts(self._bins[t], inside[t]) for t in range(num)])
        if reach is None:
            within = counts.sum(0)
            return colour_posterior(within, self._all.sum(0) - within)[self._bins]
        result = np.empty(inside.shape, np.float32)
        for t in range(num):
            near = slice(max(0, t - reach), t + reach + 1)
            within = counts[near].sum(0)
            result[t] = colour_posterior(within, self._all[near].sum(0) - within)[self._bins[t]]
        return result
