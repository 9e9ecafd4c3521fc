"""Superpixels and the graph of their neighbours; every proposal is a set of superpixels."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.sparse import csr_array
from skimage.segmentation import felzenszwalb

_SCALE = 0.3  # felzenszwalb's preference for larger regions
_SIGMA = 0.6  # pixels of smoothing before
_SMALLEST = 12  # pixels
_LAB_UNIT = 50.0
_FLOW_WEIGHT = 0.05  # of a pixel of flow, beside half the range of lightness


@dataclass(frozen=True)
class Superpixels:
    """A partition of the frame into S regions that hardly cross an object's boundary.

    Parameters
    ----------
    labels : (h, w) intp
        Region of every pixel, 0..S-1.
    areas : (S,) float32
        Pixels.
    edges : (E, 2) int32
        Pairs of neighbours, the lower first.
    lengths : (E,) float32
        Common boundary of each pair, pixels.
    """

    labels: NDArray[np.intp]
    areas: NDArray[np.float32]
    edges: NDArray[np.int32]
    lengths: NDArray[np.float32]

    @cached_property
    def on_border(self) -> NDArray[np.bool_]:
        """(S,) whether a region touches the frame's border."""
        return self.border_lengths > 0

    @cached_property
    def border_lengths(self) -> NDArray[np.float32]:
        """(S,) pixels of each region on the frame's border."""
        labels = self.labels
        border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        return np.bincount(border, minlength=len(self)).astype(np.float32)

    @cached_property
    def centres(self) -> NDArray[np.float32]:
        """(S, 2) centroids (x, y), pixels."""
        rows, columns = (np.asarray(axis) for axis in np.indices(self.labels.shape, np.float32))
        return np.stack([self.mean(columns), self.mean(rows)], -1)

    @cached_property
    def boxes(self) -> NDArray[np.float32]:
        """(S, 4) tight boxes (x0, y0, x1, y1), pixels, upper ends exclusive."""
        found = find_objects(self.labels + 1)
        return np.array([[x.start, y.start, x.stop, y.stop] for y, x in found], np.float32)

    def __len__(self) -> int:
        return len(self.areas)

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean of an (h, w) or (h, w, C) image in every region: (S,) or (S, C)."""
        if values.ndim == 3:
            return np.stack([self.mean(np.asarray(values[:, :, c])) for c in range(values.shape[2])], -1)
        sums = np.bincount(self.labels.ravel(), values.ravel(), len(self))
        return (sums / self.areas).astype(np.float32)

    def grow(self, chosen: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
        """Add all that is at most `steps` steps away to N sets side by side: (S, N) of (S, N)."""
        first, neighbours = self._neighbourhoods
        packed = np.packbits(chosen, axis=1)
        words = np.zeros((len(self), -(-packed.shape[1] // 8)), np.uint64)
        words.view(np.uint8)[:, : packed.shape[1]] = packed
        for _ in range(steps):
            words = np.bitwise_or.reduceat(words[neighbours], first)
        return np.unpackbits(words.view(np.uint8), axis=1, count=chosen.shape[1]).view(np.bool_)

    @cached_property
    def _neighbourhoods(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Every region with its neighbours, one region after the other; where each begins."""
        own = np.arange(len(self))
        low, high = self.edges.T
        regions = np.concatenate([own, low, high])
        order = np.argsort(regions, kind="stable")
        return np.searchsorted(regions[order], own), np.concatenate([own, high, low])[order]

    def graph(self, weights: NDArray[np.float32]) -> csr_array:
        """Symmetric (S, S) matrix of the neighbours with a weight per edge."""
        low, high = self.edges.T
        rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
        return csr_array((np.concatenate([weights, weights]), (rows, columns)), (len(self), len(self)))


def find_superpixels(lab: NDArray[np.float32], flow: NDArray[np.float32]) -> Superpixels:
    """Felzenszwalb and Huttenlocher's graph segmentation of colour and flow.

    Parameters
    ----------
    lab : (h, w, 3) float32
    flow : (h, w, 2) float32
        Pixels.
    """
    channels = np.concatenate([lab / _LAB_UNIT, flow * _FLOW_WEIGHT], -1)
    if min(channels.shape[:2]) < 2:
        labels = np.zeros(channels.shape[:2], np.intp)
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Got image with third dimension")
            labels = felzenszwalb(channels, _SCALE, _SIGMA, _SMALLEST, channel_axis=-1)
    areas = np.bincount(labels.ravel()).astype(np.float32)
    edges, lengths = _neighbours(labels, len(areas))
    return Superpixels(labels, areas, edges, lengths)


def upsample(labels: NDArray[np.intp], member: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of one set of superpixels, (H, W) at full size, its staircase smoothed."""
    mask = member.astype(np.float32).take(labels)
    factor, rest = divmod(size[0], labels.shape[0])
    if rest:
        return _enlarge(mask, size)
    # Rows of the one lie evenly between rows of the other: those around the set are enough.
    filled = np.flatnonzero(mask.any(axis=1))
    enlarged = np.zeros(size, bool)
    if len(filled):
        first, last = max(filled[0] - 1, 0), min(filled[-1] + 2, len(mask))
        rows = slice(factor * first, factor * last)
        enlarged[rows] = _enlarge(mask[first:last], (rows.stop - rows.start, size[1]))
    return enlarged


def _enlarge(mask: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5


def _neighbours(labels: NDArray[np.intp], count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    keys = []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = one != other
        one, other = one[differ], other[differ]
        keys.append(np.minimum(one, other) * count + np.maximum(one, other))
    pairs, lengths = np.unique(np.concatenate(keys), return_counts=True)
    edges = np.stack(np.divmod(pairs, count), -1).astype(np.int32)
    return edges, lengths.astype(np.float32)
