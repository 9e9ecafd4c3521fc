"""The greedy oracle, on cases small enough to decide by hand."""

import numpy as np

from alba.config import LabelSettings
from alba.oracle import join_greedily, label_frame

TRUTH = np.zeros((4, 8), np.uint8)
TRUTH[:, :4] = 1
TRUTH[:, 6:] = 2


def box(left, right):
    mask = np.zeros(TRUTH.shape, bool)
    mask[:, left:right] = True
    return mask


def test_selected_means_iou_above_the_threshold_with_any_object():
    masks = np.stack([box(0, 4), box(3, 6), box(5, 7)])
    labels = label_frame(masks, TRUTH, 2, LabelSettings())
    np.testing.assert_allclose(labels.iou, [[1, 0], [1 / 6, 0], [0, 1 / 3]])
    assert labels.selected.tolist() == [True, False, True]


def test_a_proposal_joins_what_it_improves_most_and_parts_add_up():
    masks = np.stack([box(0, 3), box(6, 8), box(3, 4)])
    joined, segmentation = join_greedily(masks, TRUTH, 2, 0.5)
    assert joined.tolist() == [1, 2, 1]
    np.testing.assert_array_equal(segmentation, TRUTH)


def test_what_improves_nothing_joins_none():
    joined, _ = join_greedily(np.stack([box(0, 4), box(0, 4), box(4, 6)]), TRUTH, 2, 0.0)
    assert joined.tolist() == [1, 0, 0]


def test_precision_keeps_a_loose_proposal_out():
    loose = box(1, 8)  # three columns of object 1, two of object 2, two of background
    assert join_greedily(loose[None], TRUTH, 2, 0.0)[0].tolist() == [1]
    assert join_greedily(loose[None], TRUTH, 2, 0.5)[0].tolist() == [0]


def test_void_does_not_count():
    truth = TRUTH.copy()
    truth[:, 4:6] = 255
    labels = label_frame(box(0, 6)[None], truth, 2, LabelSettings())
    assert labels.iou[0, 0] == 1
    assert labels.oracle_object.tolist() == [1]


def test_a_frame_without_proposals():
    labels = label_frame(np.zeros((0, 4, 8), bool), TRUTH, 2, LabelSettings())
    assert labels.iou.shape == (0, 2)
    assert not labels.segmentation.any()
