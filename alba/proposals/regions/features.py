"""The feature vector of a proposal: what it looks like, how it moves, where it is."""

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.frame import WorkFrame
from alba.proposals.regions.ranking import AGREEMENT, Evidence, agreement
from alba.proposals.regions.sets import Sets
from alba.proposals.regions.superpixels import Superpixels

_LIGHTNESS_BINS, _HUE_BINS = 6, 8
_GREY = 8.0  # chroma below which a hue says nothing
_MOTION_UNIT = 0.02  # residual motion of a fiftieth of the diagonal per frame counts one

FEATURE_NAMES = (
    "lightness_mean",
    "a_mean",
    "b_mean",
    "lightness_std",
    "a_std",
    "b_std",
    "texture",
    *(f"lightness_bin_{k}" for k in range(_LIGHTNESS_BINS)),
    *(f"hue_bin_{k}" for k in range(_HUE_BINS)),
    "grey_share",
    "lightness_contrast",
    "a_contrast",
    "b_contrast",
    "motion_mean",
    "motion_contrast",
    "epipolar_mean",
    "velocity_x",
    "velocity_y",
    "velocity_contrast_x",
    "velocity_contrast_y",
    "coherence",
    "log_area",
    "centre_x",
    "centre_y",
    "box_width",
    "box_height",
    "log_aspect",
    "border_contact",
    "solidity",
    "compactness",
    *AGREEMENT,
)
"""Every feature by name, in order.

Lab values are over 50; lightness and hue bins are shares of the pixels (hue weighted by being
coloured at all); contrasts are inside minus a ring around; motion is relative to the camera, its
mean against the frame's own strong motion, its velocity in fiftieths of the diagonal per frame;
``log_area`` is log10 of the share of the frame plus 2; centres and boxes are shares of the frame,
centres from its middle; ``log_aspect`` is the logarithm of width over height."""


def proposal_features(
    superpixels: Superpixels, evidence: Evidence, work: WorkFrame, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Feature vectors of proposals.

    Returns
    -------
    (N, D) float32
        Finite, about unit range, clipped to [-4, 4]; columns as `FEATURE_NAMES`.
    """
    if not len(members):
        return np.zeros((0, len(FEATURE_NAMES)), np.float32)
    sets = Sets(superpixels, members)
    saliency = np.zeros(len(superpixels), np.float32) if evidence.saliency is None else evidence.saliency
    features = np.concatenate(
        [
            _appearance(sets, evidence, work),
            _motion(sets, evidence),
            _geometry(sets),
            agreement(sets, saliency),
        ],
        axis=1,
    )
    return np.clip(np.nan_to_num(features), -4, 4).astype(np.float32)


def _appearance(sets: Sets, evidence: Evidence, work: WorkFrame) -> NDArray[np.float32]:
    superpixels, lab = sets.superpixels, work.lab / np.float32(50)
    mean = evidence.lab / np.float32(50)
    square = superpixels.mean(np.square(lab))
    rows, columns = np.gradient(lab[..., 0]) if min(work.size) > 1 else (lab[..., 0] * 0,) * 2
    texture = superpixels.mean(np.hypot(rows, columns).astype(np.float32))
    histograms = _histograms(superpixels, work.lab)
    inside = sets.mean_inside(np.concatenate([mean, square, 5 * texture[:, None], histograms], 1))
    own, square, rest = inside[:, :3], inside[:, 3:6], inside[:, 6:]
    spread = np.sqrt(np.maximum(square - np.square(own), 0))
    return np.concatenate([own, spread, rest, own - sets.mean_around(mean)], 1)


def _histograms(superpixels: Superpixels, lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares of every region's pixels in the bins of lightness and hue, and of grey: (S, 15)."""
    lightness, a, b = (np.asarray(channel) for channel in np.moveaxis(lab, -1, 0))
    chroma = np.hypot(a, b)
    coloured = chroma / (chroma + _GREY)
    hue = np.arctan2(b, a) / (2 * np.pi) % 1
    lightness_bins = np.clip(lightness / 100, 0, 1) * (_LIGHTNESS_BINS - 1)
    return np.concatenate(
        [
            _soft_bins(superpixels, lightness_bins, np.ones_like(coloured), _LIGHTNESS_BINS),
            _soft_bins(superpixels, hue * _HUE_BINS, coloured, _HUE_BINS),
            superpixels.mean(1 - coloured)[:, None],
        ],
        axis=1,
    )


def _soft_bins(
    superpixels: Superpixels, position: NDArray[np.floating], weight: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """Mean linear share of the pixels in the two bins next to their position, on a circle: (S, count)."""
    lower = np.floor(position)
    share = weight * (position - lower)
    bins = lower.astype(np.intp) % count
    sums = np.zeros(len(superpixels) * count)
    for bin_, part in ((bins, weight - share), ((bins + 1) % count, share)):
        sums += np.bincount((superpixels.labels * count + bin_).ravel(), part.ravel(), len(sums))
    return (sums.reshape(-1, count) / superpixels.areas[:, None]).astype(np.float32)


def _motion(sets: Sets, evidence: Evidence) -> NDArray[np.float32]:
    residual = evidence.residual / _MOTION_UNIT
    values = [evidence.planar[:, None], residual, evidence.epipolar[:, None]]
    own = sets.mean_inside(np.concatenate([*values, np.linalg.norm(residual, axis=1)[:, None]], 1))
    around = sets.mean_around(np.concatenate(values[:2], 1))
    planar, velocity, epipolar, speed = own[:, :1], own[:, 1:3], own[:, 3:4], own[:, 4]
    coherence = np.linalg.norm(velocity, axis=1) / np.maximum(speed, 1e-3)
    return np.concatenate(
        [
            planar,
            planar - around[:, :1],
            epipolar,
            velocity,
            velocity - around[:, 1:],
            np.minimum(coherence, 1)[:, None],
        ],
        axis=1,
    )


def _geometry(sets: Sets) -> NDArray[np.float32]:
    superpixels, area, border = sets.superpixels, sets.areas, sets.border_lengths
    height, width = superpixels.labels.shape
    centre = sets.mean_inside(superpixels.centres)
    box_width, box_height = (sets.boxes[:, 2:] - sets.boxes[:, :2]).T
    outline = np.maximum(sets.across(superpixels.lengths[:, None])[:, 0] + border, 1)
    columns = (
        np.log10(area / (height * width)) + 2,
        (centre[:, 0] + 0.5) / width - 0.5,
        (centre[:, 1] + 0.5) / height - 0.5,
        box_width / width,
        box_height / height,
        np.log(box_width / box_height),
        border / outline,
        area / (box_width * box_height),
        np.sqrt(4 * np.pi * area) / outline,
    )
    return np.stack(columns, 1).astype(np.float32)
