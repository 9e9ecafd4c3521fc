import cv2
import numpy as np
import pytest

from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.superpixels import find_superpixels, upsample

SIZES = ((480, 854), (721, 1279), (497, 700))
DARK, LIGHT = (60, 80, 70), (200, 150, 120)


def disc(size):
    """A light disc on dark ground: the frame (H, W, 3) and the disc (H, W)."""
    rows, columns = np.indices(size)
    inside = np.hypot(rows - 0.47 * size[0], columns - 0.52 * size[1]) < 0.31 * size[0]
    return np.where(inside[..., None], LIGHT, DARK).astype(np.uint8), inside


def regions_of(frame):
    """Superpixels of a frame at rest, and their mean colours."""
    work = reduce_frame(frame, None, None)
    superpixels = find_superpixels(work.lab, np.zeros((*work.size, 2), np.float32))
    return superpixels, superpixels.mean(work.lab)


def light_regions(superpixels, frame):
    small = cv2.resize(frame[..., 0], superpixels.labels.shape[::-1], interpolation=cv2.INTER_AREA)
    return superpixels.mean(small.astype(np.float32)) > (LIGHT[0] + DARK[0]) / 2


@pytest.mark.parametrize("size", SIZES)
def test_regions_of_the_full_frame_follow_its_edges_to_the_pixel(size):
    frame, inside = disc(size)
    superpixels, lab = regions_of(frame)
    chosen = light_regions(superpixels, frame)
    wrong = np.count_nonzero(chosen[upsample(superpixels, lab, frame)] != inside)
    assert wrong <= 10  # of some thousand along the edge; enlarged without the frame it is hundreds


def test_without_an_edge_each_pixel_stays_where_it_lies():
    frame, _ = disc((480, 854))
    superpixels, lab = regions_of(frame)
    height, width = superpixels.labels.shape
    plain = np.full((2 * height, 2 * width, 3), 128, np.uint8)
    nearest = np.repeat(np.repeat(superpixels.labels, 2, 0), 2, 1)
    assert np.array_equal(upsample(superpixels, np.zeros_like(lab), plain), nearest)


def test_a_pixel_takes_no_region_from_farther_than_beside_it():
    frame, inside = disc((480, 854))
    superpixels, lab = regions_of(frame)
    regions = upsample(superpixels, lab, 255 - frame)  # its colours lead astray
    reach = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    assert not light_regions(superpixels, frame)[regions][~reach].any()


def test_a_frame_that_is_not_reduced_keeps_its_regions():
    frame, _ = disc((144, 256))
    superpixels, lab = regions_of(frame)
    assert np.array_equal(upsample(superpixels, lab, frame), superpixels.labels)
