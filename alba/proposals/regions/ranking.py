"""How likely a candidate is one whole moving object."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.superpixels import Superpixels

CUES = (
    "planar",
    "planar_contrast",
    "planar_low",
    "epipolar",
    "epipolar_contrast",
    "distance",
    "distance_contrast",
    "edge_colour",
    "edge_motion",
    "colour_contrast",
    "coherence",
    "log_area",
    "log_area_squared",
    "border",
    "compactness",
    "solidity",
    "centrality",
    "captured",
    "pieces",
    "support",
)
"""Names of the columns of `candidate_cues`."""


@dataclass(frozen=True)
class Evidence:
    """What is known of every superpixel.

    Parameters
    ----------
    lab : (S, 3) float32
    residual : (S, 2) float32
        Residual motion (dx, dy) per frame, in diagonals of the frame.
    velocity : (S, 2) float32
        Its direction, with the length squeezed into [0, 1) against the frame's own motion.
    planar, epipolar, distance : (S,) float32 in [0, 1]
        Residual motions against the frame's own, and the geodesic distance from the border.
    """

    lab: NDArray[np.float32]
    residual: NDArray[np.float32]
    velocity: NDArray[np.float32]
    planar: NDArray[np.float32]
    epipolar: NDArray[np.float32]
    distance: NDArray[np.float32]


def candidate_cues(
    superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Cues of every candidate, (N, len(CUES)) float32 of about unit range.

    Parameters
    ----------
    superpixels : Superpixels
    evidence : Evidence
    members : (N, S) bool
        None of them empty.
    """
    inside = members.astype(np.float32) * superpixels.areas
    area = inside.sum(1)
    ring = ring_of(superpixels, members).astype(np.float32) * superpixels.areas
    ring_area = np.maximum(ring.sum(1), 1)
    maps = np.stack([evidence.planar, evidence.epipolar, evidence.distance], 1)
    mean = inside @ maps / area[:, None]
    around = ring @ maps / ring_area[:, None]
    low, high = superpixels.edges.T
    cut = (members[:, low] != members[:, high]).astype(np.float32) * superpixels.lengths
    perimeter = np.maximum(cut.sum(1), 1)
    colour_step = np.minimum(np.linalg.norm(evidence.lab[low] - evidence.lab[high], axis=1) / 30, 1)
    motion_step = np.linalg.norm(evidence.velocity[low] - evidence.velocity[high], axis=1)
    motion_total = max(float(superpixels.areas @ evidence.planar), 1e-6)
    velocity = inside @ evidence.velocity / area[:, None]
    speed = inside @ np.linalg.norm(evidence.velocity, axis=1) / area
    lab_gap = inside @ evidence.lab / area[:, None] - ring @ evidence.lab / ring_area[:, None]
    share = area / superpixels.areas.sum()
    box = boxes_of(superpixels, members)
    box_area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    border = members @ superpixels.border_lengths
    size = np.array(superpixels.labels.shape[::-1], np.float32)
    centre = inside @ superpixels.centres / area[:, None] / size - 0.5
    log_area = np.log(share) / 5
    columns = (
        mean[:, 0],
        mean[:, 0] - around[:, 0],
        inside @ (evidence.planar < 0.3) / area,
        mean[:, 1],
        mean[:, 1] - around[:, 1],
        mean[:, 2],
        mean[:, 2] - around[:, 2],
        cut @ colour_step / perimeter,
        cut @ motion_step / perimeter,
        np.minimum(np.linalg.norm(lab_gap, axis=1) / 40, 1.5),
        np.linalg.norm(velocity, axis=1) / np.maximum(speed, 1e-3),
        log_area,
        np.square(log_area),
        border / (perimeter + border),
        np.sqrt(4 * np.pi * area) / (perimeter + border),
        area / box_area,
        np.linalg.norm(centre, axis=1),
        inside @ evidence.planar / motion_total,
        np.zeros_like(area),
        np.zeros_like(area),
    )
    return np.stack(columns, 1).astype(np.float32)


def ring_of(superpixels: Superpixels, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Superpixels at most two steps away from each candidate, (N, S) bool."""
    graph = superpixels.graph(np.ones(len(superpixels.edges), np.float32))
    grown = members
    for _ in range(2):
        grown = ((graph @ grown.T.astype(np.float32)).T > 0) | grown
    return grown & ~members


def boxes_of(superpixels: Superpixels, members: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Tight boxes of candidates in pixels of the reduced frame, (N, 4) float32."""
    candidate, region = np.nonzero(members)
    first = np.searchsorted(candidate, np.arange(len(members)))
    boxes = superpixels.boxes[region]
    lower = np.minimum.reduceat(boxes[:, :2], first)
    upper = np.maximum.reduceat(boxes[:, 2:], first)
    return np.concatenate([lower, upper], 1)


def score_candidates(
    superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Score in [0, 1] of every candidate, (N,) float32."""
    cues = candidate_cues(superpixels, evidence, members)
    return (1 / (1 + np.exp(-(cues @ WEIGHTS + BIAS)))).astype(np.float32)


Scorer = Callable[[Superpixels, Evidence, NDArray[np.bool_]], NDArray[np.float32]]
"""Gives candidates (N, S) bool their scores."""


WEIGHTS = np.zeros(len(CUES), np.float32)
WEIGHTS[:7] = 1, 1.5, -0.5, 0.5, 0.5, 0.5, 1
WEIGHTS[[7, 8, 9, 10, 11, 12, 13, 14, 15, 17]] = 0.5, 1, 0.3, 0.5, -0.5, -0.8, -0.8, 0.5, 0.5, 1.5
BIAS = -2.0
