"""Videos that training can learn nothing, or not all, from: handled by the stated rule, and counted."""

import logging

import numpy as np
import pytest

from alba.config import AssignmentSettings, GroupingSettings
from alba.grouping import group_video, roll_out
from alba.training.assignment import oracle_slots
from alba.training.checkpoint import build_assignment
from alba.training.left_out import report_left_out


def striped(name, num_objects, num_proposals, num_frames=2):
    """Every object is a column, and every proposal an object; void in the last row."""
    truth = np.zeros((num_frames, 6, 8), np.uint8)
    truth[..., :num_objects] = np.arange(1, num_objects + 1)
    truth[:, -1] = 255
    masks = [
        np.stack([truth[0] == k + 1 for k in range(num_proposals)])
        if num_proposals
        else np.zeros((0, 6, 8), bool)
    ] * num_frames
    features = [np.ones((num_proposals, 4), np.float32)] * num_frames
    return group_video(name, masks, features, np.zeros((num_frames, 2, 6, 8), np.float32), truth)


def test_every_kind_is_counted_and_named(caplog):
    videos = [striped("bare", 2, 0), striped("empty", 0, 2), striped("crowd", 5, 5), striped("good", 2, 2)]
    with caplog.at_level(logging.WARNING):
        report_left_out(videos, num_slots=3)
    assert [record.getMessage() for record in caplog.records] == [
        "of 4 training videos: 1 without a selected proposal (bare); "
        "1 without an object in the first frame (empty); 1 with more than 3 objects, 2 too many (crowd)"
    ]
    caplog.clear()
    report_left_out(videos[3:], num_slots=3)
    assert not caplog.records


def test_objects_beyond_the_slots_are_joined_to_none():
    decisions = oracle_slots(striped("crowd", 5, 5), min_precision=0.5, num_slots=3)
    assert [slots.tolist() for slots in decisions] == [[1, 2, 3, 0, 0]] * 2


@pytest.mark.parametrize("fusion", ["late", "pairwise"])
def test_a_video_without_proposals_is_grouped_into_nothing(fusion):
    values = {"network": "pairwise"} if fusion == "pairwise" else {"fusion": fusion}
    assignment = build_assignment(AssignmentSettings(hidden=(4,), **values), GroupingSettings(num_slots=3), 2)
    videos = [striped("bare", 1, 0), striped("good", 2, 2, num_frames=3)]
    for group in (videos[:1], videos):
        episodes = roll_out(group, assignment.observer, assignment.network, 3)
        assert not episodes.label_maps(0).any()
        assert [len(slots) for slots in episodes.frame_choices(0)] == [0, 0]
