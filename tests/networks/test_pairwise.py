"""The simple network of the ablation: what it compares, how it decides, and that it learns."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.config import AssignmentSettings
from alba.grouping import NUM_PAIR_SCALARS, PairObserver, group_video, roll_out, slot_log_probs
from alba.grouping.cells import trace_back
from alba.grouping.state import GroupingState, collate_frames
from alba.networks import PairwiseNetwork

NUM_SLOTS, NUM_FEATURES = 4, 3
OWN_SHARE, LEAD_SHARE, AGE = 3, 4, 8  # columns of a pair


def pair_rows(logits_known, num_slots=NUM_SLOTS):
    """Observation in which the first entry behind the flag is the logit; None for a slot without lead."""
    rows = torch.zeros(1, len(logits_known), 2, 2)
    for slot, pair in enumerate(logits_known):
        for j, logit in enumerate(pair):
            if logit is not None:
                rows[0, slot, j] = torch.tensor([1.0, logit])
    return rows


def network(none_action, num_slots=NUM_SLOTS):
    made = PairwiseNetwork(AssignmentSettings(hidden=(4,)), 1, num_slots, none_action)
    made.head = torch.nn.Identity()
    return made


def decide(pairs, none_action, num_slots=NUM_SLOTS):
    """Slot that is taken, 1..K, or 0."""
    num_used = sum(any(logit is not None for logit in pair) for pair in pairs)
    logits = network(none_action, num_slots)(pair_rows(pairs), len(pairs))
    log_probs = slot_log_probs(logits, torch.tensor([num_used]), num_slots, none_action)
    assert log_probs.exp().sum() == pytest.approx(1)
    choice = int(log_probs.argmax())
    return choice + 1 if choice < len(pairs) else 0


@pytest.mark.parametrize("none_action", [True, False])
def test_joins_the_most_similar_slot_or_opens_one(none_action):
    assert decide([(None, None)], none_action) == 1
    assert decide([(None, 0.3), (0.1, None), (None, None)], none_action) == 1
    assert decide([(-2, 0.3), (0.4, -3), (None, None)], none_action) == 2
    assert decide([(-0.1, None), (None, -2), (None, None)], none_action) == 3


def test_where_no_slot_is_free_a_stranger_joins_nothing_if_it_may():
    full = [(-0.5, None), (None, -0.2)]
    assert decide(full, none_action=True, num_slots=2) == 0
    assert decide(full, none_action=False, num_slots=2) == 2
    assert decide([(-0.5, None), (None, 0.2)], none_action=True, num_slots=2) == 2


def test_loss_is_the_log_loss_of_all_pairs_with_used_slots():
    logits = torch.tensor([[1.0, -2.0, 9.0], [0.5, 9.0, 9.0], [9.0, 9.0, 9.0]])
    loss = PairwiseNetwork.loss(logits, torch.tensor([1, 1, 0]), torch.tensor([2, 1, 0]))
    right = torch.tensor([1 - 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(2)), 1 - 1 / (1 + np.exp(-0.5))])
    first, second, third = -right.log()
    assert float(loss) == pytest.approx(float((first + second) / 2 + third), rel=1e-5)
    empty = PairwiseNetwork.loss(logits.requires_grad_(), torch.zeros(3).long(), torch.zeros(3).long())
    empty.backward()
    assert empty.item() == 0
    assert not logits.grad.any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_pairs_say_what_pixels_say(seed):
    """Overlap with the lead in this frame, and with the last lead moved along the flow."""
    rng = np.random.default_rng(seed)
    size = (7, 11)
    masks = [rng.random((rng.integers(0, 6), *size)) < 0.4 for _ in range(4)]
    backward = rng.normal(0, 1.5, (4, 2, *size)).astype(np.float32)
    features = [rng.normal(size=(len(m), NUM_FEATURES)).astype(np.float32) for m in masks]
    video = group_video("v", masks, features, backward, None)
    state = GroupingState(1, NUM_SLOTS, NUM_FEATURES, torch.device("cpu"))
    observer = PairObserver(none_action=True)
    last: dict[int, tuple[int, int]] = {}  # slot: frame and proposal
    for t, frame in enumerate(collate_frames([video], torch.device("cpu"))):
        state.begin_frame(frame)
        here: dict[int, tuple[int, int]] = {}
        for i, mask in enumerate(masks[t]):
            (rows,) = observer.observe(frame, state, i, NUM_SLOTS)
            assert rows.shape == (1, NUM_SLOTS, 2, 1 + NUM_PAIR_SCALARS + 2 * NUM_FEATURES)
            for slot in range(1, NUM_SLOTS + 1):
                for j, leads in enumerate((here, last)):
                    pair = rows[0, slot - 1, j].numpy()
                    assert bool(pair[0]) == (slot in leads)
                    if slot not in leads:
                        assert not pair.any()
                        continue
                    then, lead = leads[slot]
                    area = masks[t][i].sum()
                    moved = masks[then][lead]
                    if j:
                        moved = moved[trace_back(backward[t])] if then == t - 1 else np.zeros(size, bool)
                    shared = pytest.approx((mask & moved).sum(), abs=1e-3)
                    assert pair[OWN_SHARE] * max(area, 1) == shared
                    assert pair[LEAD_SHARE] * max(moved.sum(), 1) == shared
                    assert pair[AGE] == pytest.approx(np.log1p(t - then) / 3)
                    difference = np.abs(features[t][i] - features[then][lead])
                    np.testing.assert_allclose(pair[-NUM_FEATURES:], difference, rtol=1e-5)
            slot = int(rng.integers(0, NUM_SLOTS + 1))
            state.assign(i, torch.tensor([slot]))
            if slot:
                here.setdefault(slot, (t, i))
        last |= here


def test_learns_to_follow_two_squares_and_nothing_else():
    """Pairs of the oracle's episodes are enough to keep two moving squares apart in a new video."""
    videos = [squares(seed) for seed in (0, 1)]
    observer = PairObserver(none_action=True)
    teacher = [[np.array([1, 2])] * len(video) for video in videos]
    taught = roll_out(videos[:1], observer, None, NUM_SLOTS, teacher=teacher[:1], keep_steps=True)
    torch.manual_seed(0)
    made = PairwiseNetwork(
        AssignmentSettings(hidden=(16,)), NUM_PAIR_SCALARS + 2 * NUM_FEATURES, NUM_SLOTS, none_action=True
    )
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(40):
        loss = sum(
            made.loss(made(*step.observation, step.num_live), step.choice, step.num_used)
            for step in taught.steps
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = roll_out(videos[1:], observer, made, NUM_SLOTS)
    np.testing.assert_array_equal(np.stack(found.frame_choices(0)), np.stack(teacher[1]))


def squares(seed):
    size, num_frames = (16, 24), 6
    masks = []
    for t in range(num_frames):
        left, right = np.zeros(size, bool), np.zeros(size, bool)
        left[2 + seed : 8 + seed, 1 + t : 7 + t] = True
        right[9:15, 12 + t : 18 + t] = True
        masks.append(np.stack([left, right]))
    backward = np.zeros((num_frames, 2, *size), np.float32)
    backward[:, 0] = -1
    features = [np.random.default_rng(seed).normal(size=(2, NUM_FEATURES)).astype(np.float32)] * num_frames
    return group_video("squares", masks, features, backward, None)
