"""Which of many overlapping candidates are kept."""

import numpy as np
import pytest

from alba.masks import iou_matrix
from alba.proposals.regions.suppression import suppress

AREAS = np.arange(1, 101, dtype=np.float32)


def runs(*spans: tuple[int, int]) -> np.ndarray:
    """Candidates that hold a run of superpixels each."""
    members = np.zeros((len(spans), len(AREAS)), bool)
    for member, (start, stop) in zip(members, spans, strict=True):
        member[start:stop] = True
    return members


def test_an_object_is_not_lost_to_variants_of_a_better_one():
    variants = [(10, 40 + n) for n in range(20)]
    members = runs(*variants, (60, 80))
    scores = np.linspace(0.9, 0.5, 21).astype(np.float32)
    kept = suppress(members, AREAS, scores, 0.99, 10)
    assert 20 in kept
    assert 0 in kept
    assert len(kept) == 10  # and the places that are left go to variants


@pytest.mark.parametrize("overlap", [0.3, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("most", [1, 2, 7, 200])
def test_no_two_overlap_more_than_allowed_and_scores_fall(overlap, most):
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 60, 150)
    members = runs(
        *((start, start + length) for start, length in zip(starts, rng.integers(1, 40, 150), strict=True))
    )
    scores = rng.random(150).astype(np.float32)
    kept = suppress(members, AREAS, scores, overlap, most)
    assert len(set(kept)) == len(kept) <= most
    assert (np.diff(scores[kept]) <= 0).all()
    assert kept[0] == scores.argmax()
    pixels = np.repeat(members[kept], AREAS.astype(int), axis=1)[:, None]
    overlaps = iou_matrix(pixels, pixels) - np.eye(len(kept))
    assert overlaps.max() <= overlap + 1e-6


def test_places_that_are_left_over_are_filled_until_only_near_duplicates_remain():
    members = runs((0, 50), (0, 51), (0, 60), (0, 80))
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    assert suppress(members, AREAS, scores, 0.9, 4).tolist() == [0, 2, 3]
    assert suppress(members, AREAS, scores, 1.0, 4).tolist() == [0, 1, 2, 3]


def test_without_candidates_nothing_is_kept():
    assert len(suppress(runs(), AREAS, np.zeros(0, np.float32), 0.9, 5)) == 0
