"""What an assignment network decides on a video where nothing is left to chance."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.datasets import Video
from alba.grouping import roll_out
from alba.training.checkpoint import Assignment
from alba.training.loading import load_grouping_video


def decide(
    video: Video,
    proposals: Path,
    flow: Path,
    selection: NDArray[np.float32],
    threshold: float,
    assignment: Assignment,
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.integer]]]:
    """Join every selected proposal to its most probable slot.

    Parameters
    ----------
    video : Video
    proposals, flow : Path
        Stores of the video.
    selection : (N,) float32
        Selection network's output of every proposal.
    threshold : float
        Proposals above it take part.
    assignment : Assignment

    Returns
    -------
    order : list of (N_t,) intp
        Rows of the proposal axis, in the order of the decisions.
    slots : list of (N_t,) integer
        1..K, 0 for none.
    """
    grouped, order = load_grouping_video(
        video,
        proposals,
        flow,
        selection,
        threshold,
        assignment.grouping,
        picture_size=assignment.picture_size,
    )
    episodes = roll_out([grouped], assignment.observer, assignment.network, assignment.grouping.num_slots)
    return order, list(episodes.frame_choices(0))
