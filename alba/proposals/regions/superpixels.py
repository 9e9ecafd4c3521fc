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
_PIXEL_UNIT = 7.0  # units of Lab that are as far as one reduced pixel


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


def upsample(
    superpixels: Superpixels, lab: NDArray[np.float32], frame: NDArray[np.uint8]
) -> NDArray[np.intp]:
    """Regions of the pixels of the full frame, their boundaries drawn along its edges.

    Each pixel takes its region from the reduced pixel that it lies in or from one of the four beside that,
    whichever is nearest in place and has a region of the most similar mean colour (joint bilateral
    upsampling, Kopf et al., SIGGRAPH 2007, with the nearest instead of a mean).

    Parameters
    ----------
    superpixels : Superpixels
        Of the reduced frame.
    lab : (S, 3) float32
        Their mean colours.
    frame : (H, W, 3) uint8
        RGB, no smaller than the reduced one.

    Returns
    -------
    (H, W) intp
        0..S-1.
    """
    labels = superpixels.labels
    if labels.shape == frame.shape[:2]:
        return labels
    x, y = _places(frame.shape[1], labels.shape[1]), _places(frame.shape[0], labels.shape[0])
    pixels = cv2.split(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    colours = cv2.split(lab[labels])
    upsampled = np.zeros(frame.shape[:2], np.intp)
    least, term = np.full(frame.shape[:2], np.inf, np.float32), np.empty(frame.shape[:2], np.float32)
    for right, down in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
        columns, far_x = _beside(x, right, labels.shape[1])
        rows, far_y = _beside(y, down, labels.shape[0])
        cost = far_y[:, None] + far_x
        for pixel, colour in zip(pixels, colours, strict=True):
            np.subtract(pixel, colour[rows].take(columns, 1), out=term)
            cost += np.square(term, out=term)
        nearer = cost < least
        np.copyto(least, cost, where=nearer)
        np.copyto(upsampled, labels[rows].take(columns, 1), where=nearer)
    return upsampled


def _places(full: int, reduced: int) -> NDArray[np.float32]:
    """Where the centres of `full` pixels in a row lie, in units of the `reduced` ones."""
    return (np.arange(full, dtype=np.float32) + 0.5) * np.float32(reduced / full) - 0.5


def _beside(
    places: NDArray[np.float32], step: int, count: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The reduced pixel `step` away from each place, of `count`, and what its distance costs in colour."""
    beside = np.rint(places) + step
    cost = np.square((places - beside) * np.float32(_PIXEL_UNIT))
    return beside.clip(0, count - 1).astype(np.intp), cost


def _neighbours(labels: NDArray[np.intp], count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    keys = []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = one != other
        one, other = one[differ], other[differ]
        keys.append(np.minimum(one, other) * count + np.maximum(one, other))
    pairs, lengths = np.unique(np.concatenate(keys), return_counts=True)
    edges = np.stack(np.divmod(pairs, count), -1).astype(np.int32)
    return edges, lengths.astype(np.float32)
