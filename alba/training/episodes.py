"""Episodes of annotated videos and what they are worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from alba.grouping import Episodes, GroupingVideo, roll_out
from alba.metrics.reward import TruthBoundaries
from alba.training.checkpoint import Assignment
from alba.training.hardware import Hardware

VIDEOS_SIDE_BY_SIDE = 8
"""Videos whose episodes are rolled out together."""


@dataclass(frozen=True)
class Example:
    """A video and what its segmentations are scored by."""

    video: GroupingVideo
    truth: TruthBoundaries

    @property
    def usable(self) -> bool:
        """Whether there is anything to decide and anything to find."""
        return self.truth.num_objects > 0 and self.video.num_decisions > 0


def score_by_truth(video: GroupingVideo, hardware: Hardware) -> Example:
    """Make an example of a video that has ground truth."""
    assert video.truth is not None
    return Example(video, TruthBoundaries(torch.from_numpy(video.truth).to(hardware.device)))


def rows_of(videos: Sequence[int], num_rollouts: int) -> list[int]:
    """Episodes of some videos of a group."""
    return [v * num_rollouts + rollout for v in videos for rollout in range(num_rollouts)]


def episode_rewards(episodes: Episodes, truths: Sequence[TruthBoundaries]) -> list[NDArray[np.float64]]:
    """Reward r_t of every frame: J&F mean, tracks matched over the whole video as in the evaluation.

    Returns
    -------
    per video (num_rollouts, T) float64
    """
    return [rewards for rewards, _ in matched_rewards(episodes, truths)]


def matched_rewards(
    episodes: Episodes, truths: Sequence[TruthBoundaries]
) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Those rewards, and the slot that each object is matched to.

    Returns
    -------
    per video (num_rollouts, T) float64 and (num_rollouts, O) int64
    """
    return [
        truth.matched_rewards(torch.from_numpy(episodes.video_label_maps(v)).to(truth.device))
        for v, truth in enumerate(truths)
    ]


def greedy_reward(examples: Sequence[Example], assignment: Assignment, hardware: Hardware) -> float | None:
    """J&F where the most probable decisions are taken, mean over videos; none without a video."""
    mine = hardware.share(examples)
    scores: list[float] = []
    for start in range(0, len(mine), VIDEOS_SIDE_BY_SIDE):
        group = mine[start : start + VIDEOS_SIDE_BY_SIDE]
        episodes = roll_out(
            [example.video for example in group],
            assignment.observer,
            hardware.run(assignment.network),
            assignment.grouping.num_slots,
            device=hardware.device,
        )
        rewards = episode_rewards(episodes, [example.truth for example in group])
        scores += [float(of_video.mean()) for of_video in rewards]
    scores = hardware.gather(scores)
    return float(np.mean(scores)) if scores else None
