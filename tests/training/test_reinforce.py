"""Returns, advantages, and a policy that learns from nothing but the reward."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from alba.config import AssignmentSettings, GroupingSettings, ReinforceSettings
from alba.grouping import draw_chance, group_video, roll_out
from alba.metrics.reward import TruthBoundaries
from alba.training.checkpoint import build_assignment
from alba.training.credit import gained_before
from alba.training.episodes import Example, episode_rewards, matched_rewards
from alba.training.hardware import Hardware
from alba.training.reinforce import advantages_of, decision_returns, discounted_returns, returns_of, train
from alba.training.run import Run


@pytest.fixture
def squares():
    """Two squares that move side by side; their features alone do not say which is which."""
    size, num_frames = (16, 24), 6
    masks, truth = [], np.zeros((num_frames, *size), np.uint8)
    for t in range(num_frames):
        left, right = np.zeros(size, bool), np.zeros(size, bool)
        left[2:10, 1 + t : 9 + t] = True
        right[8:15, 8 + t : 18 + t] = True
        masks.append(np.stack([left, right]))
        truth[t][right], truth[t][left] = 2, 1  # the first to be decided on is in front
    truth[2, 0] = 255
    backward = np.zeros((num_frames, 2, *size), np.float32)
    backward[:, 0] = -1
    features = [np.zeros((2, 4), np.float32)] * num_frames
    video = group_video("squares", masks, features, backward, truth)
    torch.manual_seed(1)
    assignment = build_assignment(AssignmentSettings(hidden=(16, 16)), GroupingSettings(num_slots=4), 2)
    return video, Example(video, TruthBoundaries(torch.from_numpy(truth))), assignment


def test_returns_discount_what_comes_later_and_stop_at_the_end():
    rewards = np.array([[1.0, 0.0, 2.0], [1.0, 1.0, np.nan]])
    returns = discounted_returns(rewards, 0.5)
    np.testing.assert_allclose(returns, [[1.5, 1.0, 2.0], [1.5, 1.0, np.nan]])


def test_a_decision_is_paid_for_what_it_gains_and_less_for_what_follows():
    gained = np.array([[[0, 0.4, 0.6], [0, 0.5, 0.5]]])  # frame 1 has one decision
    returns = decision_returns(np.array([[0.7, 0.3]]), gained, [2, 1], 0.5, 0.1)
    last = 0.5 + 0.1 * (0.3 - 0.5)
    second = 0.2 + 0.1 * (0.7 - 0.6 + 0.5 * last)
    np.testing.assert_allclose(returns, [[[0.4 + 0.1 * second, second], [last, np.nan]]])


def test_undiscounted_decisions_share_the_return_less_what_was_gained_before(squares):
    video, example, assignment = squares
    episodes = roll_out(
        [video],
        assignment.observer,
        assignment.network,
        4,
        num_rollouts=8,
        chance=draw_chance([video], 8, torch.Generator().manual_seed(0)),
    )
    choices = episodes.video_choices(0)
    ((rewards, tracks),) = matched_rewards(episodes, [example.truth])
    of_frames, of_decisions = (
        returns_of(video, choices, rewards, tracks, ReinforceSettings(decision_discount=delta))
        for delta in (None, 1)
    )
    before = gained_before(video, choices, tracks)[..., :-1]
    assert before[..., 1].max() > 0
    np.testing.assert_allclose(of_decisions, of_frames - before)


def test_what_is_gained_is_the_similarity_of_what_is_painted_so_far(squares):
    video, _, _ = squares
    truth = video.truth.copy()
    truth[-1][truth[-1] == 2] = 0  # gone: to paint nothing is right
    video, boundaries = replace(video, truth=truth), TruthBoundaries(torch.from_numpy(truth))
    choices = [np.array([[1, 0], [2, 1]], np.uint8)] * len(video)
    gained = gained_before(video, choices, np.array([[1, 2], [1, 2]]))
    for episode, slots in enumerate(choices[0]):
        for num in range(3):
            label_map = np.zeros(video.truth.shape, np.uint8)
            for t, frame in enumerate(video.frames):
                for i in reversed(range(num)):  # the first one to paint a pixel keeps it
                    if slots[i]:
                        label_map[t][frame.membership[i][frame.cell_map]] = slots[i]
            J, _ = boundaries.score(torch.from_numpy(label_map))
            expected = J[:, [0, 1], [0, 1]].mean(1)
            np.testing.assert_allclose(gained[episode, :, num], expected, atol=1e-12)


def test_leave_one_out_compares_rollouts_of_one_video():
    returns = np.array([[1.0], [3.0], [10.0], [10.0]])[..., None]
    settings = ReinforceSettings(rollouts=2)
    advantages = advantages_of(returns, settings)
    assert advantages[0] < 0 < advantages[1]
    np.testing.assert_array_equal(advantages[2:], 0)


def test_episode_baseline_standardises_each_episode():
    returns = np.array([[1.0, 2.0, 3.0, np.nan]])[..., None]
    advantages = advantages_of(returns, ReinforceSettings(baseline="episode", rollouts=1))
    np.testing.assert_allclose(advantages[..., 0], [[-np.sqrt(1.5), 0, np.sqrt(1.5), 0]], rtol=1e-6)


def test_policy_gradient_learns_to_keep_two_squares_apart(tmp_path, squares):
    video, example, assignment = squares

    def score():
        greedy = roll_out([video], assignment.observer, assignment.network, 4)
        return float(episode_rewards(greedy, [example.truth])[0].mean())

    before = score()
    settings = ReinforceSettings(epochs=40, learning_rate=3e-3, rollouts=8, videos_per_update=1)
    optimizer = torch.optim.Adam(assignment.network.parameters(), settings.learning_rate)
    run = Run(
        tmp_path,
        {},
        {"kind": "assignment"},
        assignment.network,
        optimizer,
        [torch.Generator().manual_seed(0)],
        Hardware(torch.device("cpu")),
    )
    train([example], [example], assignment, settings, run)
    run.load_best()
    assert before < 0.9
    assert score() > 0.99
