import numpy as np
import pytest
import reference
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alba.metrics import pair_similarity


@st.composite
def label_map_pairs(draw, max_side=40):
    """Blocks, one-pixel objects and noise, at borders too, with void and with ids above the limits."""
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = draw(st.sampled_from([1, 3, 9, 20]))
    maps = []
    for _ in range(2):
        labels = rng.integers(0, draw(st.integers(1, 6)), (height // cell + 1, width // cell + 1))
        label_map = np.kron(labels, np.ones((cell, cell), int))[:height, :width].astype(np.uint8)
        label_map[rng.random((height, width)) < draw(st.sampled_from([0, 0.02]))] = rng.integers(0, 6)
        maps.append(label_map)
    maps[0][rng.random((height, width)) < draw(st.sampled_from([0, 0.1, 0.6]))] = reference.VOID
    return maps[0], maps[1]


@settings(max_examples=150, deadline=None)
@given(label_map_pairs(), st.integers(1, 6), st.integers(1, 6))
@example((np.zeros((5, 7), np.uint8), np.zeros((5, 7), np.uint8)), 2, 2)
@example((np.full((5, 7), 255, np.uint8), np.ones((5, 7), np.uint8)), 1, 1)
@example((np.eye(9, dtype=np.uint8), np.fliplr(np.eye(9, dtype=np.uint8))), 1, 1)
def test_equals_the_slow_reference(maps, num_tracks, num_objects):
    J, F = pair_similarity(*maps, num_tracks, num_objects)
    expected_J, expected_F = reference.pairs(*maps, num_tracks, num_objects)
    np.testing.assert_allclose(J, expected_J, rtol=0, atol=1e-9)
    np.testing.assert_allclose(F, expected_F, rtol=0, atol=1e-9)


@pytest.mark.parametrize("num_labels", [7, 8, 9, 15, 16, 20])
def test_equals_the_slow_reference_for_any_number_of_labels(num_labels):
    rng = np.random.default_rng(num_labels)
    maps = [np.kron(rng.integers(0, num_labels + 1, (8, 8)), np.ones((6, 6))).astype(np.uint8) for _ in "ab"]
    for values, expected in zip(
        pair_similarity(*maps, num_labels, num_labels),
        reference.pairs(*maps, num_labels, num_labels),
        strict=True,
    ):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)


def test_tolerance_reaches_eight_pixels_at_480p_and_no_further():
    truth = np.zeros((480, 854), np.uint8)
    truth[:, :400] = 1
    for shift, expected in ((8, 1.0), (9, 0.0)):
        prediction = np.zeros_like(truth)
        prediction[:, : 400 + shift] = 1
        assert pair_similarity(truth, prediction, 1, 1)[1].item() == expected


def test_empty_masks():
    empty, full = np.zeros((6, 6), np.uint8), np.zeros((6, 6), np.uint8)
    full[2:4, 2:4] = 1
    assert [x.item() for x in pair_similarity(empty, empty, 1, 1)] == [1, 1]
    assert [x.item() for x in pair_similarity(full, empty, 1, 1)] == [0, 0]
    assert [x.item() for x in pair_similarity(empty, full, 1, 1)] == [0, 0]


def test_no_object_gives_an_empty_table():
    J, F = pair_similarity(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8), 3, 0)
    assert J.shape == F.shape == (3, 0)
