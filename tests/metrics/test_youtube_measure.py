import itertools

import adversarial
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.errors import EvaluationError
from alba.metrics import SEEN_CATEGORIES, choose_tracks, evaluate_objects
from alba.metrics.youtube_vos import overall_measure


@settings(max_examples=100, deadline=None)
@given(adversarial.videos(), st.data())
def test_equals_the_slow_reference(maps, data):
    truths, predictions = maps
    truths = np.where(truths == reference.VOID, 0, truths)
    ids = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True).map(sorted))
    first = [data.draw(st.integers(0, len(truths) - 1)) for _ in ids]
    tracks = data.draw(st.permutations(range(1, 10)))[: len(ids)]
    tracks[0] *= data.draw(st.booleans())  # an object that no track was chosen for
    scores = evaluate_objects(truths, predictions, ids, first, tracks)
    expected = reference.objects_from_first_frame(truths, predictions, ids, first, tracks)
    statistics = scores.statistics()
    assert scores.frames.tolist() == list(range(min(first), len(truths)))
    for o, (J, F) in enumerate(expected):
        counted = scores.frames >= first[o]
        assert np.isnan(scores.J[~counted, o]).all()
        np.testing.assert_allclose(scores.J[counted, o], J, rtol=0, atol=1e-9)
        np.testing.assert_allclose(scores.F[counted, o], F, rtol=0, atol=1e-9)
        summary = reference.summary(J) + reference.summary(F)
        np.testing.assert_allclose(statistics[o], summary, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(adversarial.videos(st.just(3)))
def test_chosen_tracks_have_the_largest_overlap(maps):
    truths, predictions = maps
    frames = [(truth == 1, prediction) for truth, prediction in zip(truths, predictions, strict=True)]
    iou = np.zeros((3, 6))
    for (o, (mask, predicted)), k in itertools.product(enumerate(frames), range(6)):
        union = np.count_nonzero(mask | (predicted == k + 1))
        iou[o, k] = np.count_nonzero(mask & (predicted == k + 1)) / union if union else 0
    tracks = choose_tracks(frames)
    assert len(set(tracks[tracks > 0].tolist())) == np.count_nonzero(tracks)
    reached = sum(iou[o, k - 1] for o, k in enumerate(tracks) if k)
    best = max(sum(iou[o, k] for o, k in enumerate(choice)) for choice in itertools.permutations(range(6), 3))
    assert reached == pytest.approx(best, abs=1e-9)
    assert all(iou[o, k - 1] > 0 for o, k in enumerate(tracks) if k)


def test_groups_and_their_mean():
    means = {"J": np.array([0.2, 0.4, 0.9]), "F": np.array([0.4, 0.6, 0.1])}
    figures = overall_measure(means, ["person", "zebra", "okapi"])
    assert figures["J-Seen"] == pytest.approx(0.3)
    assert figures["F-Unseen"] == pytest.approx(0.1)
    assert figures["Overall"] == pytest.approx((0.3 + 0.9 + 0.5 + 0.1) / 4)


def test_a_group_without_objects_has_no_figure():
    figures = overall_measure({"J": np.ones(1), "F": np.ones(1)}, ["person"])
    assert figures["J-Seen"] == 1
    assert np.isnan([figures["J-Unseen"], figures["Overall"]]).all()
    figures = overall_measure({"J": np.ones(1), "F": np.ones(1)}, ["person"], seen={"zebra"})
    assert figures["J-Unseen"] == 1


def test_the_training_set_has_65_categories():
    assert len(SEEN_CATEGORIES) == 65


@pytest.mark.parametrize(
    ("prediction", "message"),
    [([[3]], "holds id 3; youtube-vos scores ids 1, 2 only"), ([[255]], "holds 255"), ([[1, 1]], "pixels")],
)
def test_predictions_against_the_rules(prediction, message):
    with pytest.raises(EvaluationError, match=message):
        evaluate_objects(np.ones((1, 1, 1), np.uint8), np.array([prediction], np.uint8), [1, 2], [0, 0])


def test_nothing_to_score():
    with pytest.raises(EvaluationError, match="no annotated object"):
        evaluate_objects([], [], [], [])
