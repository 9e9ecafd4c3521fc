"""Motion that the camera does not explain, on exact flow."""

import numpy as np
import pytest
from numpy.typing import NDArray

from alba.proposals.regions.frame import WorkFrame
from alba.proposals.regions.motion import Motion, residual_motion

HEIGHT, WIDTH = 120, 200


def box(top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[top:bottom, left:right] = True
    return inside


def motion_of(flow: NDArray[np.float32]) -> Motion:
    lab = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    return residual_motion(WorkFrame(lab, flow, -flow))


def shifted(camera: tuple[float, float], moving: NDArray[np.bool_], own: tuple[float, float]) -> Motion:
    """A camera that pans and an object with a motion of its own, pixels per frame."""
    flow = np.empty((2, HEIGHT, WIDTH), np.float32)
    flow[:] = np.array(camera, np.float32)[:, None, None]
    flow[:, moving] += np.array(own, np.float32)[:, None]
    return motion_of(flow)


@pytest.mark.parametrize("camera", [(0, 0), (3, -1)])
def test_an_object_moves_and_the_rest_does_not(camera: tuple[float, float]) -> None:
    moving = box(40, 80, 60, 120)
    motion = shifted(camera, moving, (2, 1))
    assert motion.planar[moving] == pytest.approx(np.hypot(2, 1), abs=0.01)
    assert motion.planar[~moving] == pytest.approx(0, abs=0.01)
    assert motion.residual[moving] == pytest.approx(np.tile([2, 1], (moving.sum(), 1)), abs=0.01)


def test_the_camera_is_not_fitted_to_an_object_that_fills_most_of_the_frame() -> None:
    moving = box(13, 107, 20, 180)
    assert moving.mean() > 0.6
    motion = shifted((1, 0), moving, (-3, 2))
    assert motion.planar[moving].min() > 3
    assert motion.planar[~moving].max() < 0.1


def test_parallax_is_not_motion_across_the_epipolar_lines() -> None:
    """Ground further down is nearer and moves faster away from the epipole; the object across that."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    nearness = np.float32(0.02) * (1 + np.sin(columns / 15) + np.cos(rows / 11))
    flow = nearness * np.stack([columns - 30, rows - 50])
    moving = box(70, 100, 120, 170)
    flow[:, moving] += np.array([-2, 3], np.float32)[:, None]
    motion = motion_of(flow)
    across = np.median(motion.epipolar[moving]), np.median(motion.epipolar[~moving])
    along = np.median(motion.planar[~moving])
    assert across[0] > 2
    assert across[1] < 0.3 * along
