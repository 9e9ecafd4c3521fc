"""Sets of superpixels measured all at once against the same measured pixel by pixel."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from alba.proposals.regions.candidates import fill_holes
from alba.proposals.regions.sets import Sets
from alba.proposals.regions.superpixels import Superpixels, find_superpixels

SIZE = (30, 44)


@pytest.fixture(scope="module")
def superpixels() -> Superpixels:
    generator = np.random.default_rng(5)
    lab = np.repeat(np.repeat(generator.normal(50, 30, (6, 11, 3)), 5, 0), 4, 1).astype(np.float32)
    return find_superpixels(lab, np.zeros((*SIZE, 2), np.float32))


@pytest.fixture(scope="module")
def members(superpixels: Superpixels) -> np.ndarray:
    chosen = np.random.default_rng(6).random((20, len(superpixels))) < np.linspace(0.02, 0.9, 20)[:, None]
    chosen[:, 0] = True  # none is empty
    return chosen


def masks_of(superpixels: Superpixels, members: np.ndarray) -> np.ndarray:
    return members[:, superpixels.labels]


def test_areas_boxes_and_border_are_those_of_the_masks(superpixels, members):
    sets = Sets(superpixels, members)
    for k, mask in enumerate(masks_of(superpixels, members)):
        rows, columns = np.nonzero(mask)
        assert sets.areas[k] == mask.sum()
        assert sets.boxes[k].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        border = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
        assert sets.border_lengths[k] == border


def test_means_inside_are_those_of_the_pixels(superpixels, members):
    values = np.random.default_rng(7).random((len(superpixels), 3)).astype(np.float32)
    means = Sets(superpixels, members).mean_inside(values)
    for mean, mask in zip(means, masks_of(superpixels, members), strict=True):
        np.testing.assert_allclose(mean, values[superpixels.labels][mask].mean(0), rtol=1e-4)


def test_ring_holds_what_is_at_most_two_neighbours_away(superpixels, members):
    values = np.random.default_rng(8).random((len(superpixels), 2)).astype(np.float32)
    around = Sets(superpixels, members).mean_around(values)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    for mean, mask in zip(around, masks_of(superpixels, members), strict=True):
        grown = mask
        for _ in range(2):
            touched = np.unique(superpixels.labels[binary_dilation(grown, cross)])
            grown = np.isin(superpixels.labels, touched)
        ring = grown & ~mask
        expected = values[superpixels.labels][ring].mean(0) if ring.any() else np.zeros(2)
        np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-6)


def test_boundary_adds_up_what_it_parts(superpixels, members):
    lengths = Sets(superpixels, members).across(superpixels.lengths[:, None])[:, 0]
    for length, mask in zip(lengths, masks_of(superpixels, members), strict=True):
        assert length == (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()


def test_small_holes_are_filled_and_bays_are_not():
    labels = np.arange(25).reshape(5, 5).repeat(4, 0).repeat(4, 1)
    edges = np.array([(k, k + 1) for k in range(25) if k % 5 < 4] + [(k, k + 5) for k in range(20)], np.int32)
    superpixels = Superpixels(labels, np.full(25, 16, np.float32), edges, np.full(len(edges), 4, np.float32))
    ring = np.zeros((5, 5), bool)
    ring[1:4, 1:4] = True
    hole, bay = ring.copy(), ring.copy()
    hole[2, 2] = False
    bay[2, 2:4] = False
    filled = fill_holes(superpixels, np.stack([hole.ravel(), bay.ravel()]))
    np.testing.assert_array_equal(filled, np.stack([ring.ravel(), bay.ravel()]))
