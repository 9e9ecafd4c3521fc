"""The feature vector of a proposal: what it looks like, how it moves, where it is."""

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.frame import WorkFrame
from alba.proposals.regions.ranking import AGREEMENT, Evidence, agreement, boxes_of, ring_of
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
    inside = members.astype(np.float32) * superpixels.areas
    inside /= inside.sum(1, keepdims=True)
    ring = ring_of(superpixels, members).astype(np.float32) * superpixels.areas
    ring /= np.maximum(ring.sum(1, keepdims=True), 1)
    appearance = _appearance(superpixels, work, inside, ring)
    motion = _motion(evidence, inside, ring)
    geometry = _geometry(superpixels, members)
    saliency = np.zeros(len(superpixels), np.float32) if evidence.saliency is None else evidence.saliency
    salience = agreement(superpixels, saliency, members)
    features = np.concatenate([appearance, motion, geometry, salience], 1)
    return np.clip(np.nan_to_num(features), -4, 4).astype(np.float32)


def _appearance(
    superpixels: Superpixels, work: WorkFrame, inside: NDArray[np.float32], ring: NDArray[np.float32]
) -> NDArray[np.float32]:
    lab = work.lab / np.float32(50)
    mean = superpixels.mean(lab)
    square = superpixels.mean(np.square(lab))
    own = inside @ mean
    spread = np.sqrt(np.maximum(inside @ square - np.square(own), 0))
    rows, columns = np.gradient(lab[..., 0]) if min(work.size) > 1 else (lab[..., 0] * 0,) * 2
    texture = inside @ superpixels.mean(np.hypot(rows, columns).astype(np.float32))
    chroma = np.hypot(work.lab[..., 1], work.lab[..., 2])
    coloured = chroma / (chroma + _GREY)
    hue = np.arctan2(work.lab[..., 2], work.lab[..., 1]) / (2 * np.pi) % 1
    lightness_bins = _soft_bins(work.lab[..., 0] / 100 * (_LIGHTNESS_BINS - 1), _LIGHTNESS_BINS, False)
    hue_bins = _soft_bins(hue * _HUE_BINS, _HUE_BINS, True) * coloured[..., None]
    bins = np.concatenate([lightness_bins, hue_bins, 1 - coloured[..., None]], -1)
    histogram = superpixels.mean(bins.astype(np.float32))
    contrast = own - ring @ mean
    return np.concatenate([own, spread, 5 * texture[:, None], inside @ histogram, contrast], 1)


def _soft_bins(position: NDArray[np.floating], count: int, circular: bool) -> NDArray[np.float32]:
    """Linear share of each position in its two nearest bins, (h, w, count)."""
    distance = np.abs(position[..., None] - np.arange(count))
    if circular:
        distance = np.minimum(distance, count - distance)
    return np.maximum(1 - distance, 0).astype(np.float32)


def _motion(
    evidence: Evidence, inside: NDArray[np.float32], ring: NDArray[np.float32]
) -> NDArray[np.float32]:
    maps = np.stack([evidence.planar, evidence.epipolar], 1)
    own, around = inside @ maps, ring @ maps
    velocity = inside @ evidence.residual / _MOTION_UNIT
    outer = ring @ evidence.residual / _MOTION_UNIT
    speed = inside @ np.linalg.norm(evidence.residual, axis=1) / _MOTION_UNIT
    coherence = np.linalg.norm(velocity, axis=1) / np.maximum(speed, 1e-3)
    scalars = (own[:, 0], own[:, 0] - around[:, 0], own[:, 1])
    return np.concatenate(
        [np.stack(scalars, 1), velocity, velocity - outer, np.minimum(coherence, 1)[:, None]], 1
    )


def _geometry(superpixels: Superpixels, members: NDArray[np.bool_]) -> NDArray[np.float32]:
    height, width = superpixels.labels.shape
    area = members @ superpixels.areas
    centre = (members * superpixels.areas) @ superpixels.centres / area[:, None]
    box = boxes_of(superpixels, members)
    box_width, box_height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    low, high = superpixels.edges.T
    perimeter = (members[:, low] != members[:, high]) @ superpixels.lengths
    border = members @ superpixels.border_lengths
    columns = (
        np.log10(area / (height * width)) + 2,
        (centre[:, 0] + 0.5) / width - 0.5,
        (centre[:, 1] + 0.5) / height - 0.5,
        box_width / width,
        box_height / height,
        np.log(box_width / box_height),
        border / np.maximum(perimeter + border, 1),
        area / (box_width * box_height),
        np.sqrt(4 * np.pi * area) / np.maximum(perimeter + border, 1),
    )
    return np.stack(columns, 1).astype(np.float32)
