"""What other frames say, brought along the flow; and how far the flow can be trusted."""

import cv2
import numpy as np
from numpy.typing import NDArray

STEPS = (1, 3, 6)
"""Distances in time of the frames that are asked, in frames."""


def bring(image: NDArray[np.float32], displacement: NDArray[np.float32]) -> NDArray[np.float32]:
    """Look an image up where each pixel comes to lie: (h, w) or (h, w, C <= 4); zero outside.

    Parameters
    ----------
    image : (h, w) or (h, w, C) float32
    displacement : (2, h, w) float32
        (dx, dy) in pixels.
    """
    rows, columns = np.indices(displacement.shape[1:], np.float32)
    x, y = columns + displacement[0], rows + displacement[1]
    return cv2.remap(np.ascontiguousarray(image), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


class Chains:
    """Flow chained over several frames, both ways.

    Parameters
    ----------
    flow : (T, 4, h, w) float16
        (dx, dy) forward, then backward, in pixels.
    """

    def __init__(self, flow: NDArray[np.float16]) -> None:
        num = len(flow)
        self._sources = np.repeat(np.arange(num)[:, None], 2 * len(STEPS), axis=1)
        self._displacements = np.zeros((num, 2 * len(STEPS), 2, *flow.shape[2:]), np.float16)
        for t in range(num):
            for way, (direction, channel) in enumerate(((1, 0), (-1, 2))):
                chained = np.zeros((2, *flow.shape[2:]), np.float32)
                for step in range(1, max(STEPS) + 1):
                    here = t + direction * (step - 1)
                    if not 0 <= here + direction < num:
                        break
                    field = flow[here, channel : channel + 2].astype(np.float32)
                    chained = field if step == 1 else chained + _bring_all(field, chained)
                    if step in STEPS:
                        index = way * len(STEPS) + STEPS.index(step)
                        self._sources[t, index] = here + direction
                        self._displacements[t, index] = chained

    def bring_along(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean of the maps of the frames so many steps before and after; beyond the video, a frame's own.

        Parameters
        ----------
        maps : (T, h, w) float32

        Returns
        -------
        (T, len(STEPS), h, w) float32
        """
        result = np.empty((len(maps), len(STEPS), *maps.shape[1:]), np.float32)
        for t, (sources, displacements) in enumerate(zip(self._sources, self._displacements, strict=True)):
            moved = [
                maps[t] if source == t else bring(maps[source], displacement.astype(np.float32))
                for source, displacement in zip(sources, displacements, strict=True)
            ]
            for step in range(len(STEPS)):
                result[t, step] = (moved[step] + moved[len(STEPS) + step]) / 2
        return result


def consistency(lab: NDArray[np.float16], flow: NDArray[np.float16]) -> NDArray[np.float16]:
    """How badly the flow leads there and back, and how badly the colours fit that it leads to.

    Parameters
    ----------
    lab : (T, 3, h, w) float16
    flow : (T, 4, h, w) float16

    Returns
    -------
    (T, 4, h, w) float16 in [0, 1)
        Error of the way forward and back, of the way backward and back; the smaller and the larger of both
        differences in colour. At an end of the video both are those of the one way that there is.
    """
    num, _, *size = flow.shape
    result = np.zeros((num, 4, *size), np.float16)
    for t in range(num):
        ways, colours = [], []
        for other, channel in ((t + 1, 0), (t - 1, 2)):
            if 0 <= other < num:
                there = flow[t, channel : channel + 2].astype(np.float32)
                back = _bring_all(flow[other, 2 - channel : 4 - channel], there)
                error = np.linalg.norm(there + back, axis=0)
                ways.append(error / (error + 0.5 + 0.1 * np.linalg.norm(there, axis=0)))
                distance = np.linalg.norm(_bring_all(lab[other], there) - lab[t], axis=0)
                colours.append(distance / (distance + 8))
        if ways:
            result[t] = np.stack([ways[0], ways[-1], np.min(colours, axis=0), np.max(colours, axis=0)])
    return result


def _bring_all(channels: NDArray[np.floating], displacement: NDArray[np.float32]) -> NDArray[np.float32]:
    """`bring` of (C, h, w), C <= 4, as float32."""
    last = np.moveaxis(channels.astype(np.float32), 0, -1)
    return np.moveaxis(bring(last, displacement), -1, 0)
