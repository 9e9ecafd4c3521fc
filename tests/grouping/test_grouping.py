"""Cells and the grouping state against direct computation on pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.grouping import RelationObserver, draw_chance, group_video, join_steps, roll_out, slot_log_probs
from alba.grouping.cells import find_cells
from alba.grouping.state import GroupingState, collate_frames
from alba.masks import paint


def random_video(rng, num_frames=4, max_proposals=6, size=(7, 11), num_features=3):
    masks = [rng.random((rng.integers(0, max_proposals + 1), *size)) < 0.4 for _ in range(num_frames)]
    backward = rng.normal(0, 1.5, (num_frames, 2, *size)).astype(np.float32)
    features = [rng.normal(size=(len(m), num_features)).astype(np.float32) for m in masks]
    truth = rng.integers(0, 3, (num_frames, *size)).astype(np.uint8)
    return group_video("v", masks, features, backward, truth), masks, backward


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 20))
def test_cells_are_a_partition_that_proposals_are_unions_of(seed, num):
    masks = np.random.default_rng(seed).random((num, 5, 9)) < 0.5
    cell_map, membership = find_cells(masks)
    assert not membership[:, 0].any()
    np.testing.assert_array_equal(membership[:, cell_map], masks)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_state_counts_what_pixels_say(seed):
    """Overlaps with M_{<i,t} and with M_{t-1} moved along the flow, decision by decision."""
    rng = np.random.default_rng(seed)
    video, masks, backward = random_video(rng)
    height, width = masks[0].shape[1:]
    state = GroupingState(1, 4, 3, torch.device("cpu"))
    rows, columns = np.mgrid[:height, :width]
    before = np.zeros((height, width), np.uint8)
    for t, frame in enumerate(collate_frames([video], torch.device("cpu"))):
        state.begin_frame(frame)
        y = np.clip(np.rint(rows + backward[t, 1]), 0, height - 1).astype(int)
        x = np.clip(np.rint(columns + backward[t, 0]), 0, width - 1).astype(int)
        moved = before[y, x] if t else before
        slots: list[int] = []
        for i, mask in enumerate(masks[t]):
            painted = paint(masks[t][:i], np.array(slots, int))
            expected = [(painted[mask] == k).sum() for k in range(5)]
            np.testing.assert_array_equal(state.painted_overlap(i)[0].numpy(), expected)
            expected = [(moved[mask] == k).sum() for k in range(1, 5)]
            np.testing.assert_array_equal(state.previous_overlap[0, i].numpy(), expected)
            slots.append(int(rng.integers(0, 5)))
            state.assign(i, torch.tensor([slots[-1]]))
        before = paint(masks[t], np.array(slots, int)) if slots else np.zeros((height, width), np.uint8)
        expected = [(before == k).sum() for k in range(1, 5)]
        np.testing.assert_array_equal(state.painted_area[0].numpy(), expected)


def test_shared_evaluation_of_empty_slots_equals_the_softmax_over_all_slots():
    torch.manual_seed(0)
    num_slots, num_used = 7, 3
    live = torch.randn(1, num_used + 1)
    everything = torch.cat([live, live[:, -1:].expand(1, num_slots - num_used - 1)], 1).log_softmax(1)
    ours = slot_log_probs(live, torch.tensor([num_used]), num_slots, none_action=False)
    torch.testing.assert_close(ours[:, :num_used], everything[:, :num_used])
    torch.testing.assert_close(ours[0, num_used].exp(), everything[0, num_used:].exp().sum())


def test_full_slots_leave_no_empty_one():
    log_probs = slot_log_probs(torch.zeros(1, 3), torch.tensor([3]), 3, none_action=False)
    torch.testing.assert_close(log_probs.exp(), torch.full((1, 3), 1 / 3))


def linear_network(weight):
    """Logits of (rows, own): scalars and differences of each slot, and the proposal's own features."""
    num_own = 3

    def network(rows, own, num_live):
        return rows @ weight[num_own:] + (own @ weight[:num_own])[:, None]

    return network


def test_episodes_do_not_depend_on_what_runs_beside_them():
    rng = np.random.default_rng(3)
    videos = [random_video(rng, num_frames=n)[0] for n in (3, 5)]
    torch.manual_seed(0)
    network = linear_network(torch.randn(21 + 6))

    together = roll_out(videos, RelationObserver(True), network, 5)
    for v, video in enumerate(videos):
        alone = roll_out([video], RelationObserver(True), network, 5)
        np.testing.assert_array_equal(together.label_maps(v), alone.label_maps(0))


def test_recorded_log_probabilities_are_those_recomputed_in_minibatches():
    rng = np.random.default_rng(5)
    videos = [random_video(rng)[0] for _ in range(2)]
    observer = RelationObserver(True)
    network = linear_network(torch.randn(27, generator=torch.Generator().manual_seed(1)))
    chance = draw_chance(videos, 3, torch.Generator().manual_seed(2))
    episodes = roll_out(videos, observer, network, 5, num_rollouts=3, chance=chance, keep_steps=True)
    observation, choice, num_used, kept, num_live = join_steps(episodes.steps, observer)
    log_probs = slot_log_probs(network(*observation, num_live), num_used, 5, True)
    recorded = torch.cat([step.log_prob[step.active] for step in episodes.steps])
    torch.testing.assert_close(log_probs.gather(1, choice[:, None])[:, 0], recorded)
    assert len(kept) == 3 * sum(video.num_decisions for video in videos)


@pytest.mark.parametrize("num_slots", [1, 2])
def test_a_teacher_beyond_the_slots_is_followed_only_within_them(num_slots):
    video, masks, _ = random_video(np.random.default_rng(1))
    teacher = [[np.minimum(np.arange(len(m)) + 1, num_slots) for m in masks]]
    episodes = roll_out([video], RelationObserver(True), None, num_slots, teacher=teacher)
    for t, frame_masks in enumerate(masks):
        np.testing.assert_array_equal(episodes.label_maps(0)[t], paint(frame_masks, teacher[0][t]))
