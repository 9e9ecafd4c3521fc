"""Grouping: the state of a video's segmentation, and episodes of decisions that change it."""

from alba.grouping.observation import (
    NUM_RELATIONS,
    Observation,
    Observer,
    PictureObserver,
    RelationObserver,
)
from alba.grouping.pairs import NUM_PAIR_SCALARS, PairObserver
from alba.grouping.rollout import Episodes, Step, draw_chance, join_steps, roll_out, slot_log_probs
from alba.grouping.video import GroupingVideo, group_video

__all__ = [
    "NUM_PAIR_SCALARS",
    "NUM_RELATIONS",
    "Episodes",
    "GroupingVideo",
    "Observation",
    "Observer",
    "PairObserver",
    "PictureObserver",
    "RelationObserver",
    "Step",
    "draw_chance",
    "group_video",
    "join_steps",
    "roll_out",
    "slot_log_probs",
]
