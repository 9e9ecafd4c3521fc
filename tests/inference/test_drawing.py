"""From decisions and probabilities to tracks."""

import numpy as np

from alba.inference.decisions import Decisions, naive_slots
from alba.inference.refine import _draw


def test_naive_tracks_are_the_ranks_of_the_proposals():
    order = [np.array([2, 0, 1]), np.array([], int), np.array([3, 4])]
    slots = naive_slots(order, num_slots=2)
    assert [chosen.tolist() for chosen in slots] == [[1, 2, 0], [], [1, 2]]
    decisions = Decisions(order, slots, np.ones(5, np.float32))
    assert decisions.proposal_slots().tolist() == [2, 0, 1, 1, 2]


def test_a_pixel_is_its_likeliest_tracks_where_that_is_likelier_than_not():
    probabilities = np.zeros((2, 4, 6), np.float16)
    probabilities[0, :, :3] = 0.9
    probabilities[1, :, 2:5] = 0.8  # the third column belongs to the likelier one
    probabilities[1, :, 5] = 0.4
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)  # every pixel a superpixel
    drawn = _draw(probabilities, [3, 7], pixels, (4, 6))
    np.testing.assert_array_equal(drawn, [[3, 3, 3, 7, 7, 0]] * 4)


def test_half_of_a_probability_is_its_superpixels():
    probabilities = np.zeros((1, 2, 4), np.float16)
    probabilities[0, 0] = [0.9, 0.9, 0.9, 0.3]  # mean of the row .75: the last pixel's mixture is .525
    probabilities[0, 1] = [0.6, 0.1, 0.1, 0.1]  # mean .225: the first pixel's mixture is .4125
    rows = np.array([[0] * 4, [1] * 4], np.uint16)
    np.testing.assert_array_equal(_draw(probabilities, [1], rows, (2, 4)), [[1] * 4, [0] * 4])


def test_masks_are_drawn_at_the_size_of_the_video():
    probabilities = np.zeros((1, 2, 4), np.float16)
    probabilities[0, :, :2] = 1
    halves = np.repeat([[0, 0, 1, 1]], 2, axis=0).astype(np.uint16)
    drawn = _draw(probabilities, [1], halves, (8, 16))
    assert drawn.shape == (8, 16)
    np.testing.assert_array_equal(drawn == 1, np.arange(16) < 8 + np.zeros((8, 1)))
