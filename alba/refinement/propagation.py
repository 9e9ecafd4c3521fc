"""What the frames of a whole video say, brought along the flow to each other."""

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.propagation import STEPS, bring, chain, mistrust


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
            ways = flow[t : t + STEPS[-1], :2][: num - 1 - t], flow[t : max(t - STEPS[-1], 0) : -1, 2:]
            for way, (direction, fields) in enumerate(zip((1, -1), ways, strict=True)):
                for step, displacement in enumerate(chain(fields), 1):
                    if step in STEPS:
                        index = way * len(STEPS) + STEPS.index(step)
                        self._sources[t, index] = t + direction * step
                        self._displacements[t, index] = displacement

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
    """`mistrust` of every frame of a video: (T, 4, h, w) float16 in [0, 1).

    Parameters
    ----------
    lab : (T, 3, h, w) float16
    flow : (T, 4, h, w) float16
    """
    labs, flows = list(lab), list(flow)
    result = np.empty(flow.shape, np.float16)
    for t in range(len(flow)):
        result[t] = mistrust(labs, flows, t)
    return result
