"""Motion that the camera does not explain."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.frame import WorkFrame

_GRID_STEP = 6  # the camera is fitted to every sixth pixel of every sixth row
_INLIER_DISTANCE = 0.7  # pixels
_BORDER = 0.2  # share of its sides within which a sample lies near the frame's border
_EPIPOLES = 150  # candidates for the epipole
_SAME_LINE = 1e-3  # length of the product of two lines that lie on each other
_FLOOR = 0.15  # pixels: residuals below are noise of the flow itself


@dataclass(frozen=True)
class Motion:
    """Residual motion of a frame.

    Parameters
    ----------
    residual : (h, w, 2) float32
        Flow per frame relative to the camera's homography, pixels of the reduced frame.
    planar : (h, w) float32
        Length of the residual, the smaller of both directions of time: an occlusion halo stands
        on one side of an object forward and on the other backward.
    epipolar : (h, w) float32
        Its component across the epipolar direction, again the smaller one: static things at another depth
        (parallax) have a planar residual, but no epipolar one.
    """

    residual: NDArray[np.float32]
    planar: NDArray[np.float32]
    epipolar: NDArray[np.float32]


def residual_motion(work: WorkFrame) -> Motion:
    """Separate the motion of things from the motion of the camera."""
    forward, backward = _planar_residual(work.forward), _planar_residual(work.backward)
    planar = np.minimum(_length(forward), _length(backward))
    epipolar = np.minimum(_epipolar_residual(forward), _epipolar_residual(backward))
    return Motion(np.float32(0.5) * (forward - backward), planar, epipolar)


def relative(magnitude: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitudes squeezed into [0, 1) against the frame's own strong motion."""
    scale = max(float(np.quantile(magnitude, 0.95)), 4 * _FLOOR) / 2
    return (magnitude / (magnitude + scale)).astype(np.float32)


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(vectors[..., 0], vectors[..., 1])


def _border_samples(flow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Positions near the border and where the flow takes them, (P, 2) each.

    What moves on its own seldom fills the border, but may well fill so much of the rest that
    the camera would be fitted to it.
    """
    height, width = flow.shape[1:]
    y, x = np.mgrid[:height:_GRID_STEP, :width:_GRID_STEP]
    inset = np.minimum(np.minimum(y, height - 1 - y) / height, np.minimum(x, width - 1 - x) / width)
    rows, columns = y[inset < _BORDER], x[inset < _BORDER]
    points = np.stack([columns, rows], -1).astype(np.float32)
    return points, points + flow[:, rows, columns].T


def _positions(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = np.mgrid[: flow.shape[1], : flow.shape[2]]
    return np.stack([columns, rows, np.ones_like(rows)], -1).astype(np.float32)


def _planar_residual(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    start, end = _border_samples(flow)
    homography = None
    if len(start) >= 8:
        homography, _ = cv2.findHomography(start, end, cv2.RANSAC, _INLIER_DISTANCE)
    flow_last = np.moveaxis(flow, 0, -1)
    if homography is None:
        return np.asarray(flow_last - np.median(flow_last, axis=(0, 1)), np.float32)
    positions = _positions(flow)
    mapped = positions @ homography.T.astype(np.float32)
    depth = np.where(np.abs(mapped[..., 2:]) < 1e-6, 1, mapped[..., 2:])
    camera = mapped[..., :2] / depth - positions[..., :2]
    return np.asarray(flow_last - camera, np.float32)


def _epipolar_residual(residual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the planar residual across the direction of the epipole, pixels.

    Relative to a plane, static points move toward or away from one common point, the epipole
    (plane and parallax). It is found among the crossings of pairs of residuals by their inliers.
    """
    rows, columns = (np.arange(side, dtype=np.float32) for side in residual.shape[:2])
    sample = residual[::_GRID_STEP, ::_GRID_STEP].reshape(-1, 2)
    x, y = (axis.ravel() for axis in np.meshgrid(columns[::_GRID_STEP], rows[::_GRID_STEP]))
    moving = np.linalg.norm(sample, axis=1) > 2 * _FLOOR
    if np.count_nonzero(moving) < 2:
        return _length(residual)
    sample, x, y = sample[moving], x[moving], y[moving]
    lines = np.stack([-sample[:, 1], sample[:, 0], sample[:, 1] * x - sample[:, 0] * y], 1)
    pairs = np.random.default_rng(0).integers(0, len(lines), (2, _EPIPOLES))
    epipoles = np.cross(lines[pairs[0]], lines[pairs[1]])
    # A line crosses itself nowhere: all residuals would seem to agree on a point that is none.
    epipoles = epipoles[np.linalg.norm(epipoles, axis=1) > _SAME_LINE, :, None]
    if not len(epipoles):
        return _length(residual)
    inliers = np.count_nonzero(_across(epipoles, sample[:, 0], sample[:, 1], x, y) < 2 * _FLOOR, axis=1)
    best = epipoles[inliers.argmax()]
    return _across(best, residual[..., 0], residual[..., 1], columns, rows[:, None])


def _across(
    epipole: NDArray[np.float32],
    dx: NDArray[np.float32],
    dy: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Length of (dx, dy) at (x, y) across the direction of homogeneous epipoles (..., 3, 1).

    The places may be of any shape that goes with that of the vectors, such as an open grid.
    """
    along_x = epipole[..., 0, :] - epipole[..., 2, :] * x
    along_y = epipole[..., 1, :] - epipole[..., 2, :] * y
    return np.abs(dx * along_y - dy * along_x) / np.maximum(np.hypot(along_x, along_y), 1e-6)
