import adversarial
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.errors import EvaluationError
from alba.metrics import evaluate_regions
from alba.metrics.fbms import data_set_measure


@st.composite
def region_videos(draw):
    """Regions with certainty, and predictions, of up to three objects and four tracks."""
    truths, predictions = draw(adversarial.videos(max_labels=3, max_side=9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    certainty = rng.integers(0, 256, truths.shape, np.uint8)
    certainty[rng.random(truths.shape) < 0.2] = 0
    certainty[0].flat[0] = 255
    regions = np.where(truths == reference.VOID, 0, truths)
    return list(zip(regions, certainty, strict=True)), list(predictions), int(regions.max()) + 1


@settings(max_examples=150, deadline=None)
@given(region_videos())
def test_equals_the_slow_reference(video):
    truths, predictions, num_regions = video
    scores = evaluate_regions(truths, predictions, num_regions)
    figures = data_set_measure([scores])
    ours = tuple(figures[name] for name in ("Precision", "Recall", "F-Measure", "Extracted"))
    outcomes = reference.region_outcomes(reference.region_overlaps(truths, predictions, num_regions))
    # The rules leave it open which of several equally good assignments counts.
    assert any(np.allclose(ours, outcome, rtol=0, atol=1e-9) for outcome in outcomes), (ours, outcomes)


@settings(max_examples=80, deadline=None)
@given(region_videos())
def test_volume_iou_equals_the_slow_reference(video):
    truths, predictions, num_regions = video
    if num_regions == 1:
        return
    certain = [(regions, np.full_like(regions, 255)) for regions, _ in truths]
    scores = evaluate_regions(certain, predictions, num_regions)
    expected = reference.volume_ious(certain, predictions, num_regions)
    assert np.nansum(scores.volume_iou) == pytest.approx(expected, abs=1e-9)


def frame(*labels):
    return np.array([labels], np.uint8)


def sure(regions):
    return regions, np.full_like(regions, 255)


def test_background_is_a_region_and_clusters_left_over_cost_nothing():
    truth = sure(frame(0, 0, 0, 0, 1, 1))
    scores = evaluate_regions([truth], [frame(0, 0, 2, 2, 1, 1)], 2)
    assert scores.clusters.tolist() == [0, 1]
    assert scores.precision.tolist() == [1, 1]
    assert scores.recall.tolist() == [0.5, 1]
    figures = data_set_measure([scores])
    assert figures["F-Measure"] == pytest.approx(2 * 0.75 / 1.75)
    assert (figures["Extracted"], figures["Objects"], figures["Delta-Objects"]) == (0, 1, 1)


def test_region_without_a_cluster_has_precision_one_and_recall_zero():
    scores = evaluate_regions([sure(frame(0, 0, 1, 2))], [None], 3)
    assert scores.clusters.tolist() == [0, -1, -1]
    assert scores.precision.tolist() == [0.5, 1, 1]
    assert scores.recall.tolist() == [1, 0, 0]


def test_certainty_weighs_pixels_and_hides_regions():
    regions, certainty = frame(0, 0, 1, 2), frame(255, 51, 255, 0)
    scores = evaluate_regions([(regions, certainty)], [frame(0, 1, 1, 1)], 3)
    assert scores.regions.tolist() == [0, 1]
    assert scores.recall.tolist() == pytest.approx([1 / 1.2, 1])
    assert scores.precision.tolist() == pytest.approx([1, 1 / 1.2])
    assert scores.num_objects == 1


def maps_of(overlap):
    """Regions and prediction in which every pair shares as many pixels as told."""
    pairs = [(r, k) for r, row in enumerate(overlap) for k, count in enumerate(row) for _ in range(count)]
    regions, prediction = np.array(pairs, np.uint8).T
    return sure(regions[None]), prediction[None]


def test_extracted_needs_more_than_three_quarters():
    truth, prediction = maps_of([[96, 4], [0, 6]])
    scores = evaluate_regions([truth], [prediction], 2)
    assert scores.f_measure.tolist() == [192 / 196, 0.75]
    assert scores.num_extracted == 0
    truth, prediction = maps_of([[96, 4], [0, 7]])
    assert evaluate_regions([truth], [prediction], 2).num_extracted == 1


def test_four_decimals_of_f_decide_the_assignment():
    # The whole of F would match region 0 with cluster 0: its sum is larger by 0.00002.
    truth, prediction = maps_of([[33, 23], [22, 14]])
    assert evaluate_regions([truth], [prediction], 2).clusters.tolist() == [1, 0]


def test_data_set_figure_is_the_f_of_mean_precision_and_recall():
    whole = evaluate_regions([sure(frame(0, 1))], [frame(0, 1)], 2)
    none = evaluate_regions([sure(frame(0, 1))], [None], 2)
    figures = data_set_measure([whole, none])
    precision, recall = (1 + 0.75) / 2, (1 + 0.5) / 2
    assert figures["F-Measure"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert figures["Volume-IoU"] == 0.5


@pytest.mark.parametrize(
    ("prediction", "message"), [(frame(0, 255), "frame 0 of cats .*255"), (frame(0, 1, 1), "pixels")]
)
def test_predictions_against_the_rules(prediction, message):
    with pytest.raises(EvaluationError, match=message):
        evaluate_regions([sure(frame(0, 1))], [prediction], 2, "cats")


def test_nothing_to_score():
    with pytest.raises(EvaluationError, match="no labelled frame"):
        evaluate_regions([], [], 2)
    with pytest.raises(EvaluationError, match="no labelled frame"):
        evaluate_regions([(frame(0, 1), frame(0, 0))], [None], 2)
