import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import dilation, disk

from alba.masks import boundary_map, boundary_radius, dilate
from alba.masks.boundary import bits_dtype, label_bits

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


def test_radius_at_480p_is_eight():
    assert boundary_radius(480, 854) == 8
    assert boundary_radius(256, 256) == 3
    assert boundary_radius(1, 1) == 1


@given(masks)
def test_boundary_looks_right_down_and_diagonally(mask):
    height, width = mask.shape
    expected = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            if y == height - 1:
                neighbours = [(y, x + 1)]
            elif x == width - 1:
                neighbours = [(y + 1, x)]
            inside = [(v, u) for v, u in neighbours if v < height and u < width]
            expected[y, x] = any(mask[v, u] != mask[y, x] for v, u in inside)
    np.testing.assert_array_equal(boundary_map(mask), expected)


@given(masks, st.integers(0, 12))
def test_dilation_is_that_of_the_disk(mask, radius):
    padded = np.pad(mask, radius)
    expected = dilation(padded, disk(radius))
    expected = expected[radius : radius + mask.shape[0], radius : radius + mask.shape[1]]
    np.testing.assert_array_equal(dilate(mask, radius), expected)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 16), st.integers(1, 16)), elements=st.integers(0, 31)),
    st.sampled_from([1, 8, 9, 15, 16, 31]),
)
def test_every_bit_is_the_map_of_its_object(label_map, num_labels):
    bits = dilate(boundary_map(label_bits(label_map, num_labels)), 2)
    assert bits.dtype == bits_dtype(num_labels)
    for k in range(1, num_labels + 1):
        np.testing.assert_array_equal((bits >> (k - 1)) & 1, dilate(boundary_map(label_map == k), 2))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32"])
def test_tensors_and_stacks_are_served_by_the_same_functions(dtype):
    stack = np.random.default_rng(0).integers(0, 2, (3, 9, 14)).astype(dtype)
    expected = np.stack([dilate(boundary_map(frame), 3) for frame in stack])
    tensor = dilate(boundary_map(torch.from_numpy(stack)), 3)
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_input_stays_as_it_was():
    mask = np.eye(12, dtype=bool)
    dilate(mask, 3)
    boundary_map(mask)
    np.testing.assert_array_equal(mask, np.eye(12, dtype=bool))
