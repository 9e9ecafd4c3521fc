import adversarial
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.errors import EvaluationError
from alba.metrics import evaluate_video, pair_similarity
from alba.metrics.reward import TruthBoundaries


def random_video(seed, num_frames, num_labels, size=(23, 30)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_labels + 1, (num_frames, size[0] // 5 + 1, size[1] // 5 + 1))
    return np.kron(labels, np.ones((1, 5, 5), int))[:, : size[0], : size[1]].astype(np.uint8)


def with_void(truth, seed, share):
    truth[np.random.default_rng(seed).random(truth.shape) < share] = 255
    return truth


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from([0, 0.1, 1]),
    st.sampled_from([torch.uint8, torch.int64]),
)
def test_torch_and_numpy_agree(seed, num_slots, num_objects, void, dtype):
    truth = with_void(random_video(seed, 3, num_objects), seed, void)
    prediction = random_video(seed + 1, 3, num_slots)
    truth_boundaries = TruthBoundaries(torch.from_numpy(truth).to(dtype), num_objects)
    J, F = truth_boundaries.score(torch.from_numpy(prediction).to(dtype))
    for t in range(3):
        expected_J, expected_F = pair_similarity(truth[t], prediction[t], 20, num_objects)
        np.testing.assert_allclose(J[t], expected_J, rtol=0, atol=1e-9)
        np.testing.assert_allclose(F[t], expected_F, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(adversarial.videos(max_side=30))
def test_rewards_of_adversarial_videos_are_their_scores(maps):
    truth, prediction = maps
    (reward,) = TruthBoundaries(torch.from_numpy(truth)).rewards(torch.from_numpy(prediction[None]))
    scores = evaluate_video(truth, prediction, "davis17-unsupervised")
    # Where several matchings are equally good, frames may differ, but not their mean.
    np.testing.assert_allclose(reward.mean(), (scores.J + scores.F).mean() / 2, rtol=0, atol=1e-9)


def test_frames_may_be_drawn_in_any_order():
    truth, prediction = random_video(0, 4, 3), random_video(1, 3, 5)
    frames = torch.tensor([3, 3, 0])
    J, _ = TruthBoundaries(torch.from_numpy(truth), 3).score(torch.from_numpy(prediction), frames)
    for b, t in enumerate(frames.tolist()):
        np.testing.assert_allclose(J[b], pair_similarity(truth[t], prediction[b], 20, 3)[0], atol=1e-9)


@pytest.mark.parametrize("num_slots", [0, 1, 2, 6])
def test_rewards_are_those_of_the_evaluation(num_slots):
    truth = with_void(random_video(5, 6, 3), 5, 0.05)
    truth[0, 0, 0], truth[3:][truth[3:] == 2] = 3, 0
    rollouts = np.stack([random_video(seed, 6, num_slots) for seed in (8, 9)])
    rewards = TruthBoundaries(torch.from_numpy(truth)).rewards(torch.from_numpy(rollouts))
    for rollout, reward in zip(rollouts, rewards, strict=True):
        scores = evaluate_video(truth, rollout, "davis17-unsupervised")
        expected = (scores.J + scores.F).mean(1) / 2
        np.testing.assert_allclose(reward.mean(), expected.mean(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(reward, expected, rtol=0, atol=1e-9)


def test_objects_are_those_of_the_first_frame():
    truth = torch.zeros(2, 8, 8, dtype=torch.uint8)
    truth[0, :4], truth[0, 7], truth[1] = 2, 255, 3
    assert TruthBoundaries(truth).num_objects == 2


def test_a_video_without_objects_has_no_reward():
    truth = torch.zeros(2, 8, 8, dtype=torch.uint8)
    assert TruthBoundaries(truth).rewards(truth[None]).tolist() == [[0, 0]]


def test_too_large_ids_are_an_error():
    with pytest.raises(EvaluationError, match="holds id 21"):
        TruthBoundaries(torch.full((1, 4, 4), 21))
