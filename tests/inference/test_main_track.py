import numpy as np

from alba.masks import keep_main_track

WEIGHTS = np.zeros(21)
WEIGHTS[[2, 5, 9]] = 8.0, 3.0, 1.0


def frame(*ids: int) -> np.ndarray:
    label_map = np.zeros((4, 6), np.uint8)
    for column, track in enumerate(ids):
        label_map[:, column] = track
    return label_map


def test_weightiest_track_of_each_frame_is_the_foreground():
    label_maps = np.stack([frame(9, 2, 5), frame(9, 5, 5), frame(9), frame()])
    found = keep_main_track(label_maps, WEIGHTS)
    np.testing.assert_array_equal(found, label_maps == np.array([2, 5, 9, 21])[:, None, None])
    assert found.dtype == np.uint8
