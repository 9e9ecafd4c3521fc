import adversarial
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.errors import EvaluationError
from alba.metrics import PROTOCOLS, evaluate_video, frame_rewards, match_tracks, summarise

UNSUPERVISED = "davis17-unsupervised"


def assert_equal_to_the_reference(truths, predictions, protocol):
    """Every pair, the worth of the matching, and all six statistics of every object, to 1e-9."""
    scores = evaluate_video(truths, predictions, protocol)
    J, F = reference.all_pairs(truths, predictions, protocol)
    quality = ((J + F) / 2).mean(0)
    tracks, objects = scores.tracks - 1, np.arange(J.shape[2])
    assert len(set(tracks.tolist())) == len(tracks) == len(objects)
    if protocol == UNSUPERVISED:
        # Ties between assignments may fall either way for one object, never for the sum.
        best = sum(quality[k, o] for o, k in enumerate(reference.best_tracks(quality)))
        np.testing.assert_allclose(quality[tracks, objects].sum(), best, rtol=0, atol=1e-9)
    else:
        assert tracks.tolist() == objects.tolist()
    np.testing.assert_allclose(scores.J, J[:, tracks, objects], rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.F, F[:, tracks, objects], rtol=0, atol=1e-9)
    expected = [
        reference.summary(J) + reference.summary(F) for J, F in zip(scores.J.T, scores.F.T, strict=True)
    ]
    np.testing.assert_allclose(scores.statistics(), expected, rtol=0, atol=1e-9)


@settings(max_examples=120, deadline=None)
@given(adversarial.videos())
def test_unsupervised_equals_the_slow_reference(maps):
    assert_equal_to_the_reference(*maps, UNSUPERVISED)


@settings(max_examples=60, deadline=None)
@given(adversarial.videos(st.integers(3, 8)), st.sampled_from(["davis16", "davis17-semisupervised"]))
def test_unmatched_protocols_equal_the_slow_reference(maps, protocol):
    truths, predictions = maps
    if protocol == "davis17-semisupervised":
        limit = int(truths[0][truths[0] != reference.VOID].max())
        predictions = np.where(predictions <= limit, predictions, 0).astype(np.uint8)
    assert_equal_to_the_reference(truths, predictions, protocol)


@pytest.mark.parametrize("protocol", [UNSUPERVISED, "davis17-semisupervised", "davis16"])
@pytest.mark.parametrize("num_frames", [66, 255, 256, 257, 300])
def test_long_videos_equal_the_slow_reference(protocol, num_frames):
    rng = np.random.default_rng(num_frames)
    truths, predictions = adversarial.build(rng, (num_frames, 6, 7), 2, 2, {"void", "vanishing"})
    assert_equal_to_the_reference(truths, predictions, protocol)


@pytest.mark.parametrize(("num_objects", "num_tracks"), [(3, 20), (4, 1), (3, 0)])
def test_many_tracks_and_few_equal_the_slow_reference(num_objects, num_tracks):
    rng = np.random.default_rng(num_tracks)
    maps = adversarial.build(rng, (5, 15, 21), num_objects, num_tracks, {"void", "gaps"})
    assert_equal_to_the_reference(*maps, UNSUPERVISED)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 6, 7, 66, 255, 256, 257, 300])
def test_statistics_equal_the_slow_reference(num_frames):
    values = np.random.default_rng(num_frames).random((num_frames, 2))
    values[:: max(1, num_frames // 5)] = 0.5  # exactly 0.5 is no success
    table = np.stack(summarise(values), axis=1)
    np.testing.assert_allclose(table, [reference.summary(column) for column in values.T], rtol=0, atol=1e-9)


def test_decay_shares_a_frame_between_quarters():
    values = np.array([1.0, 0.6, 0.4, 0.2, 0.0])
    assert summarise(values)[2] == pytest.approx(0.8 - 0.1)


def frames_of(*rows):
    return [np.array([row], np.uint8).repeat(12, axis=0).repeat(6, axis=1) for row in rows]


def test_matching_weighs_boundaries_and_the_whole_video():
    quality = np.array([[[0.9, 0.8], [0.8, 0.1]]])
    assert match_tracks(quality, quality).tolist() == [1, 0]
    assert match_tracks(np.stack([[[1.0], [0.5]]] * 2), np.stack([[[0.0], [0.6]]] * 2)).tolist() == [1]


def test_objects_of_later_frames_and_void_do_not_count():
    truths = frames_of([1, 0, 255], [1, 2, 255])
    scores = evaluate_video(truths, frames_of([3, 0, 1], [3, 0, 1]), UNSUPERVISED)
    assert scores.tracks.tolist() == [3]
    assert scores.J.shape == (2, 1)
    np.testing.assert_array_equal(scores.J, 1)


def test_unused_id_below_the_largest_is_an_empty_object_and_an_empty_track():
    truths = frames_of([2, 0, 0])
    scores = evaluate_video(truths, frames_of([2, 0, 0]), UNSUPERVISED)
    assert scores.tracks.tolist() == [1, 2]
    np.testing.assert_array_equal(scores.J, 1)
    # One track for two objects: an empty one is added, and suits the empty object.
    scores = evaluate_video(truths, frames_of([1, 0, 0]), UNSUPERVISED)
    assert scores.tracks.tolist() == [2, 1]
    np.testing.assert_array_equal(scores.F, 1)


def test_none_is_an_empty_prediction():
    truths = frames_of([1, 0], [1, 0], [0, 0])
    scores = evaluate_video(truths, [truths[0], None, None], UNSUPERVISED)
    assert scores.J[:, 0].tolist() == [1, 0, 1]


def test_davis16_takes_any_value_for_foreground_and_ignores_the_ends():
    truths = frames_of([255, 0], [255, 0], [255, 0])
    scores = evaluate_video(truths, [None, frames_of([7, 0])[0], None], "davis16")
    assert scores.J.tolist() == [[1.0]]
    assert scores.frames.tolist() == [1]


def test_the_mean_of_the_rewards_is_the_score():
    J, F = np.random.default_rng(0).random((2, 7, 5, 3))
    assignment = match_tracks(J, F)
    rewards = frame_rewards(J, F, assignment)
    per_object = ((J + F) / 2).mean(0)[assignment, range(3)]
    assert rewards.shape == (7,)
    assert rewards.mean() == pytest.approx(per_object.mean(), abs=1e-12)
    assert frame_rewards(J[..., :0], F[..., :0], np.empty(0, int)).tolist() == [0] * 7


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        ([[21, 0]], "id 21.*at most 20 tracks"),
        ([[255, 0]], "holds 255"),
        ([[1, 0, 0]], "pixels, the ground truth"),
    ],
)
def test_predictions_against_the_rules(prediction, message):
    with pytest.raises(EvaluationError, match=f"frame 0 of bear .*{message}"):
        evaluate_video(frames_of([1, 0]), frames_of(*prediction), UNSUPERVISED, "bear")


def test_semisupervised_allows_true_ids_only():
    truths = frames_of([1, 0], [1, 0], [1, 0])
    with pytest.raises(EvaluationError, match="ids of the 1 true objects only"):
        evaluate_video(truths, frames_of([1, 2], [1, 2], [1, 2]), "davis17-semisupervised")


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {UNSUPERVISED}))
def test_videos_of_ends_alone_cannot_be_scored(protocol):
    truths = frames_of([1, 0], [1, 0])
    with pytest.raises(EvaluationError, match="no frame"):
        evaluate_video(truths, truths, protocol)
    with pytest.raises(EvaluationError, match="no frames"):
        evaluate_video([], [], protocol)


def test_frames_are_streamed():
    alive = []

    def stream(label_map):
        for _ in range(50):
            alive.append(1)
            yield label_map
            alive.pop()

    label_map = frames_of([1, 0])[0]
    scores = evaluate_video(stream(label_map), stream(label_map), "davis16")
    assert len(scores.frames) == 48
    assert len(alive) <= 2
