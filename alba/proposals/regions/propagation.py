"""What other frames say, brought along the flow; and how far the flow can be trusted."""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

STEPS = (1, 3, 6)
"""Distances in time of the frames that are asked, in frames."""


def bring(channels: NDArray[np.floating], displacement: NDArray[np.float32]) -> NDArray[np.float32]:
    """Look pictures up where each pixel comes to lie: (h, w) or (C <= 4, h, w) float32; zero outside.

    Parameters
    ----------
    channels : (h, w) or (C, h, w) float
    displacement : (2, h, w) float32
        (dx, dy) in pixels.
    """
    rows, columns = np.indices(displacement.shape[1:], np.float32)
    x, y = columns + displacement[0], rows + displacement[1]
    last = np.moveaxis(channels.astype(np.float32), 0, -1) if channels.ndim == 3 else channels
    moved = cv2.remap(np.ascontiguousarray(last, np.float32), x, y, cv2.INTER_LINEAR)
    return np.moveaxis(moved.reshape(*x.shape, -1), -1, 0) if channels.ndim == 3 else moved


def chain(fields: Iterable[NDArray[np.floating]]) -> Iterator[NDArray[np.float32]]:
    """Displacement after one, two, ... steps along flow fields (2, h, w) that follow each other."""
    chained: NDArray[np.float32] | None = None
    for field in fields:
        step = field.astype(np.float32)
        chained = step if chained is None else chained + bring(step, chained)
        yield chained


def brought_along(
    maps: Sequence[NDArray[np.float32]], flows: Sequence[NDArray[np.floating]], t: int
) -> NDArray[np.float32]:
    """Means of the maps of the frames `STEPS` before and after, (len(STEPS), C, h, w) float32.

    Beyond either end of the run, a frame's own.

    Parameters
    ----------
    maps : sequence of (C, h, w) float32
        Of the frames of a run; C <= 4.
    flows : sequence of (4, h, w)
        Their flow (dx, dy) forward, then backward, in pixels.
    t : int
        The frame that they are brought to.
    """
    means = np.zeros((len(STEPS), *maps[t].shape), np.float32)
    ahead, behind = min(len(maps) - 1 - t, STEPS[-1]), min(t, STEPS[-1])
    ways = (1, ahead, slice(0, 2)), (-1, behind, slice(2, 4))
    for direction, reach, component in ways:
        fields = (flows[t + direction * k][component] for k in range(reach))
        for step, displacement in enumerate(chain(fields), 1):
            if step in STEPS:
                means[STEPS.index(step)] += bring(maps[t + direction * step], displacement) / 2
        for number, step in enumerate(STEPS):
            if step > reach:
                means[number] += maps[t] / 2
    return means


def mistrust(
    labs: Sequence[NDArray[np.floating]], flows: Sequence[NDArray[np.floating]], t: int
) -> NDArray[np.float32]:
    """How badly the flow leads there and back, and how badly the colours fit that it leads to.

    Parameters
    ----------
    labs : sequence of (3, h, w)
        Colours of the frames of a run.
    flows : sequence of (4, h, w)
        Their flow (dx, dy) forward, then backward, in pixels.
    t : int
        The frame in question.

    Returns
    -------
    (4, h, w) float32 in [0, 1)
        Error of the way forward and back, of the way backward and back; the smaller and the larger of both
        differences in colour. At an end of the video both are those of the one way that there is; zero in a
        video of one frame.
    """
    ways, colours = [], []
    for other, start in ((t + 1, 0), (t - 1, 2)):
        if 0 <= other < len(flows):
            there = flows[t][start : start + 2].astype(np.float32)
            back = bring(flows[other][2 - start : 4 - start], there)
            error = np.linalg.norm(there + back, axis=0)
            ways.append(error / (error + 0.5 + 0.1 * np.linalg.norm(there, axis=0)))
            distance = np.linalg.norm(bring(labs[other], there) - labs[t], axis=0)
            colours.append(distance / (distance + 8))
    if not ways:
        return np.zeros((4, *flows[t].shape[1:]), np.float32)
    return np.stack([ways[0], ways[-1], np.min(colours, axis=0), np.max(colours, axis=0)]).astype(np.float32)
