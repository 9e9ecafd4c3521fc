"""What of the training videos no decision can be learned from, counted when a training ends."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alba.grouping import GroupingVideo
from alba.masks import VOID


def num_objects(truth: NDArray[np.uint8]) -> int:
    """Objects in a ground truth of any shape."""
    ids = np.unique(truth)
    return int(((ids > 0) & (ids != VOID)).sum())


def report_left_out(videos: Sequence[GroupingVideo], num_slots: int) -> None:
    """Log, in one line, what took no part in a training; nothing where all did.

    A video without a selected proposal holds no decision. One without an object in its first frame is left
    out by policy gradient. Of more than K objects those that the oracle joins first get the K slots, and
    proposals of the others are joined to none.

    Parameters
    ----------
    videos : sequence of GroupingVideo
        With ground truth.
    num_slots : int
        K.
    """
    bare, empty, crowded, too_many = [], [], [], 0
    for video in videos:
        assert video.truth is not None
        if not video.num_decisions:
            bare.append(video.name)
        if not num_objects(video.truth[0]):
            empty.append(video.name)
        if (more := num_objects(video.truth) - num_slots) > 0:
            crowded.append(video.name)
            too_many += more
    reasons = {
        "without a selected proposal": bare,
        "without an object in the first frame": empty,
        f"with more than {num_slots} objects, {too_many} too many": crowded,
    }
    parts = [f"{len(names)} {reason} ({', '.join(names)})" for reason, names in reasons.items() if names]
    if parts:
        logging.getLogger(__name__).warning("of %d training videos: %s", len(videos), "; ".join(parts))
