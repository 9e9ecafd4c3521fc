"""Greedy oracle: what the ground truth says of proposals."""

from alba.oracle.greedy import FrameLabels, join_greedily, label_frame
from alba.oracle.stage import label_video

__all__ = ["FrameLabels", "join_greedily", "label_frame", "label_video"]
