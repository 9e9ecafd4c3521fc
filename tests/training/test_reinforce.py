"""Returns, advantages, and a policy that learns from nothing but the reward."""

import numpy as np
import torch

from alba.config import AssignmentSettings, GroupingSettings, ReinforceSettings
from alba.grouping import group_video, roll_out
from alba.metrics.reward import TruthBoundaries
from alba.training.checkpoint import build_assignment
from alba.training.episodes import Example, episode_rewards
from alba.training.hardware import Hardware
from alba.training.reinforce import advantages_of, discounted_returns, train
from alba.training.run import Run


def test_returns_discount_what_comes_later_and_stop_at_the_end():
    rewards = np.array([[1.0, 0.0, 2.0], [1.0, 1.0, np.nan]])
    returns = discounted_returns(rewards, 0.5)
    np.testing.assert_allclose(returns, [[1.5, 1.0, 2.0], [1.5, 1.0, np.nan]])


def test_leave_one_out_compares_rollouts_of_one_video():
    returns = np.array([[1.0], [3.0], [10.0], [10.0]])
    settings = ReinforceSettings(rollouts=2)
    advantages = advantages_of(returns, settings)
    assert advantages[0] < 0 < advantages[1]
    np.testing.assert_array_equal(advantages[2:], 0)


def test_episode_baseline_standardises_each_episode():
    returns = np.array([[1.0, 2.0, 3.0, np.nan]])
    advantages = advantages_of(returns, ReinforceSettings(baseline="episode", rollouts=1))
    np.testing.assert_allclose(advantages, [[-np.sqrt(1.5), 0, np.sqrt(1.5), 0]], rtol=1e-6)


def test_policy_gradient_learns_to_keep_two_squares_apart(tmp_path):
    """Two squares that move side by side; their features alone do not say which is which."""
    size, num_frames = (16, 24), 6
    masks, truth = [], np.zeros((num_frames, *size), np.uint8)
    for t in range(num_frames):
        left, right = np.zeros(size, bool), np.zeros(size, bool)
        left[2:8, 1 + t : 7 + t] = True
        right[9:15, 12 + t : 18 + t] = True
        masks.append(np.stack([left, right]))
        truth[t][left], truth[t][right] = 1, 2
    backward = np.zeros((num_frames, 2, *size), np.float32)
    backward[:, 0] = -1
    features = [np.zeros((2, 4), np.float32)] * num_frames
    video = group_video("squares", masks, features, backward, truth)
    torch.manual_seed(1)
    assignment = build_assignment(AssignmentSettings(hidden=(16, 16)), GroupingSettings(num_slots=4), 2)
    example = Example(video, TruthBoundaries(torch.from_numpy(truth)))

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
