"""Which track is the foreground of a data set with one object a video (DAVIS 2016)."""

import numpy as np
from numpy.typing import NDArray

from alba.masks.label_map import MAX_OBJECTS


def track_weights(
    boxes: NDArray[np.float32], selection: NDArray[np.float32], slots: NDArray[np.integer]
) -> NDArray[np.float64]:
    """How much there is of each track in the whole video: (21,), entry 0 for no track.

    The sum over its proposals of selection output times area of the box.

    Parameters
    ----------
    boxes : (N, 4) float32
        Of all proposals of the video.
    selection : (N,) float32
    slots : (N,) integer
        Track that each was joined to, 0 for none.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    weights = np.zeros(MAX_OBJECTS + 1)
    np.add.at(weights, slots, selection * areas)
    return weights


def keep_main_track(label_maps: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The foreground where there is one object (DAVIS 2016), decided without ground truth.

    In every frame it is the weightiest of the tracks that are there: an object that lost its identity
    on the way, behind an obstacle say, stays the foreground under its next one.

    Parameters
    ----------
    label_maps : (T, H, W) uint8
    weights : (21,) float
        Of `track_weights`.

    Returns
    -------
    (T, H, W) uint8
        0 or 1.
    """
    foreground = np.zeros_like(label_maps)
    for here, label_map in zip(foreground, label_maps, strict=True):
        sizes = np.bincount(label_map.ravel(), minlength=len(weights))
        present = np.flatnonzero(sizes[1:]) + 1
        if len(present):
            here[label_map == present[weights[present].argmax()]] = 1
    return foreground
