"""One video as the grouping process sees it: selected proposals in the order of their decisions."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.grouping.cells import FrameCells, link_cells


@dataclass(frozen=True)
class GroupingVideo:
    """Cells, features and ground truth of one video at working resolution.

    Parameters
    ----------
    name : str
    frames : list of FrameCells
        T frames.
    features : list of (N_t, D) float32
        What is known of each proposal: appearance feature f, then confidence and selection output.
    truth : (T, h, w) uint8, optional
        0 background, 1..20 objects, 255 void.
    pictures : (T, 5, S, S) float16, optional
        Red, green, blue and flow for networks that look at pictures.
    """

    name: str
    frames: list[FrameCells]
    features: list[NDArray[np.float32]]
    truth: NDArray[np.uint8] | None
    pictures: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def num_decisions(self) -> int:
        """Number of proposals in all frames."""
        return sum(len(frame.membership) for frame in self.frames)


def group_video(
    name: str,
    masks: Iterable[NDArray[np.bool_]],
    features: list[NDArray[np.float32]],
    backward: NDArray[np.float32],
    truth: NDArray[np.uint8] | None,
    pictures: NDArray[np.float16] | None = None,
) -> GroupingVideo:
    """Prepare a video for grouping.

    Parameters
    ----------
    name : str
    masks : iterable of (N_t, h, w) bool
        Selected proposals of each frame in the order of their decisions.
    features : list of (N_t, D) float32
    backward : (T, 2, h, w) float32
        Flow t -> t - 1 in pixels of the working resolution.
    truth : (T, h, w) uint8, optional
    pictures : (T, 5, S, S) float16, optional
    """
    frames: list[FrameCells] = []
    for t, frame_masks in enumerate(masks):
        frames.append(link_cells(frame_masks, backward[t], frames[-1] if frames else None))
    return GroupingVideo(name, frames, features, truth, pictures)
