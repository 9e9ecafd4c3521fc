from dataclasses import replace

import numpy as np
import pytest

from alba.proposals.regions.memory import Recollection
from alba.proposals.regions.ranking import Evidence, discount_loose
from alba.proposals.regions.superpixels import Superpixels

COLUMNS = 4


@pytest.fixture
def bars() -> Superpixels:
    """Four upright bars, the last as wide as the others together."""
    labels = np.repeat(np.arange(COLUMNS, dtype=np.int32), [4, 4, 4, 12])[None].repeat(10, 0)
    edges = np.stack([np.arange(COLUMNS - 1), np.arange(1, COLUMNS)], 1).astype(np.int32)
    areas = np.bincount(labels.ravel()).astype(np.float32)
    return Superpixels(labels, areas, edges, np.full(COLUMNS - 1, 10, np.float32))


@pytest.fixture
def evidence() -> Evidence:
    """Nothing but that the first two bars are salient."""
    flat, pairs = np.zeros(COLUMNS, np.float32), np.zeros((COLUMNS, 2), np.float32)
    nothing = Recollection(flat, flat[None][:0])
    saliency = np.array([1, 0.8, 0, 0], np.float32)
    return Evidence(np.zeros((COLUMNS, 3), np.float32), pairs, pairs, flat, flat, flat, nothing, saliency)


def members_of(*sets: tuple[int, ...]) -> np.ndarray:
    return np.array([np.isin(np.arange(COLUMNS), each) for each in sets])


def test_loose_proposal_no_longer_leads_its_better_part(bars, evidence):
    members = members_of((0, 1, 3), (0, 1))
    loose, firm = discount_loose(bars, evidence, members, np.array([0.9, 0.7], np.float32))
    assert firm > loose


def test_score_is_times_the_root_of_the_mean_saliency_by_pixels(bars, evidence):
    members = members_of((0,), (0, 1), (1, 3), (2, 3))
    found = discount_loose(bars, evidence, members, np.full(4, 0.5, np.float32))
    np.testing.assert_allclose(found, 0.5 * np.sqrt([1, 0.9, 0.2, 0]), rtol=1e-6)
    assert found.dtype == np.float32


def test_scores_stay_where_no_saliency_is_known(bars, evidence):
    scores = np.array([0.9, 0.7], np.float32)
    found = discount_loose(bars, replace(evidence, saliency=None), members_of((0, 3), (0,)), scores)
    np.testing.assert_array_equal(found, scores)
