"""Sets of superpixels, measured all at once."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.superpixels import Superpixels

_RING = 2  # steps from superpixel to neighbour
_BLOCK = 256  # pairs of neighbours at once, for the sake of the processor's cache


class Sets:
    """N sets of superpixels, none of them empty.

    Whatever goes from neighbour to neighbour is computed with a row per superpixel, in which the sets lie
    side by side: there it is a matter of whole rows.

    Parameters
    ----------
    superpixels : Superpixels
    members : (N, S) bool
    """

    def __init__(self, superpixels: Superpixels, members: NDArray[np.bool_]) -> None:
        self.superpixels, self.members = superpixels, members

    @cached_property
    def areas(self) -> NDArray[np.float32]:
        """(N,) pixels."""
        return self._inside @ self.superpixels.areas

    @cached_property
    def border_lengths(self) -> NDArray[np.float32]:
        """(N,) pixels on the frame's border."""
        return self._inside @ self.superpixels.border_lengths

    @cached_property
    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) tight boxes (x0, y0, x1, y1), pixels, upper ends exclusive."""
        which, region = np.divmod(np.flatnonzero(self.members), len(self.superpixels))
        first = np.searchsorted(which, np.arange(len(self.members)))
        ends = self.superpixels.boxes.T[:, region]
        lower = np.minimum.reduceat(ends[:2], first, axis=1)
        upper = np.maximum.reduceat(ends[2:], first, axis=1)
        return np.concatenate([lower, upper]).T

    def mean_inside(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means over the pixels of each set, (N, C), of what has (S, C) values."""
        sums: NDArray[np.float32] = self._inside @ (values * self.superpixels.areas[:, None])
        return sums / self.areas[:, None]

    def mean_around(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means over the pixels at most two superpixels away from each set, (N, C); zero where none are."""
        areas = self.superpixels.areas
        return self._around @ (values * areas[:, None]) / np.maximum(self._around @ areas, 1)[:, None]

    def across(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sums over the pairs of neighbours that the boundary of each set parts, (N, C), of (E, C) values."""
        low, high = self.superpixels.edges.T
        sums = np.zeros((values.shape[1], len(self.members)), np.float32)
        for first in range(0, len(values), _BLOCK):
            block = slice(first, first + _BLOCK)
            sums += values[block].T @ (self._by_region[low[block]] != self._by_region[high[block]])
        return sums.T

    @cached_property
    def _by_region(self) -> NDArray[np.bool_]:
        return np.ascontiguousarray(self.members.T)

    @cached_property
    def _inside(self) -> NDArray[np.float32]:
        return self.members.astype(np.float32)

    @cached_property
    def _around(self) -> NDArray[np.float32]:
        grown = self.superpixels.grow(self._by_region, _RING)
        return (grown > self._by_region).astype(np.float32).T
