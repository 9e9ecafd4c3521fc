"""What the frames so far held: candidates where a frame's own motion says little."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.superpixels import Superpixels

_KEPT = np.float32(0.5)
"""Weight of the past beside the frame just seen."""


@dataclass(frozen=True)
class Recollection:
    """The past, moved along the flow into the superpixels of the present frame.

    Parameters
    ----------
    consensus : (S,) float32 in [0, 1]
        How much the proposals of past frames agreed on a superpixel.
    coverage : (K, S) float32 in [0, 1]
        Share of each superpixel under each of the best proposals of the frame before.
    """

    consensus: NDArray[np.float32]
    coverage: NDArray[np.float32]


class Memory:
    """The best proposals of the frame before, and the consensus of all frames so far."""

    def __init__(self) -> None:
        self._consensus: NDArray[np.float32] | None = None
        self._masks: list[NDArray[np.float32]] = []

    def recall(self, superpixels: Superpixels, backward: NDArray[np.float32]) -> Recollection:
        """Bring the past into a frame; nothing where it is the first, or of another size.

        Parameters
        ----------
        superpixels : Superpixels
        backward : (2, h, w) float32
            Flow to the frame before, pixels.
        """
        if self._consensus is None:
            nothing = np.zeros(len(superpixels), np.float32)
            return Recollection(nothing, nothing[None][:0])
        rows, columns = np.indices(backward.shape[1:], np.float32)
        origin = columns + backward[0], rows + backward[1]
        self._consensus, *masks = (
            cv2.remap(picture, *origin, cv2.INTER_LINEAR) for picture in (self._consensus, *self._masks)
        )
        coverage = [superpixels.mean(mask) for mask in masks]
        return Recollection(
            superpixels.mean(self._consensus),
            np.array(coverage, np.float32).reshape(-1, len(superpixels)),
        )

    def keep(
        self, superpixels: Superpixels, members: NDArray[np.bool_], consensus: NDArray[np.float32]
    ) -> None:
        """Take in what was found in the frame that was recalled into last.

        Parameters
        ----------
        superpixels : Superpixels
        members : (K, S) bool
            The best proposals.
        consensus : (S,) float32 in [0, 1]
        """
        now = consensus[superpixels.labels]
        past = now if self._consensus is None else self._consensus
        self._consensus = _KEPT * past + (1 - _KEPT) * now
        self._masks = [member[superpixels.labels].astype(np.float32) for member in members]
