"""How likely a candidate is one whole moving object."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.memory import Recollection
from alba.proposals.regions.superpixels import Superpixels

COEFFICIENTS = {
    "planar": 1.608,
    "planar_contrast": 1.635,
    "calm": -1.958,
    "epipolar": -0.425,
    "epipolar_contrast": 0.727,
    "distance": 1.356,
    "distance_contrast": 1.550,
    "edge_colour": 1.756,
    "edge_motion": 1.436,
    "colour_contrast": -0.047,
    "coherence": 2.224,
    "log_area": 1.053,
    "log_area_squared": -1.924,
    "border": -1.408,
    "compactness": 1.293,
    "solidity": 0.354,
    "centrality": -0.746,
    "captured": 0.017,
    "distance_times_coherence": -1.675,
    "calm_times_epipolar": 1.764,
    "epipolar_times_border": 2.860,
}
"""Cues in the order of `candidate_cues` with their weights in the logistic score.

Made from the train videos of DAVIS 2016 and of sprites by ``benchmarks/fit_regions_ranking.py``, which
prints them anew. The products are those that helped on held-out train videos; all products of two cues
overfit."""

BIAS = -4.227

AGREEMENT = (
    "saliency",
    "saliency_contrast",
    "saliency_overlap",
    "certain_overlap",
    "saliency_captured",
)
"""Cues of `agreement`."""

SALIENT_COEFFICIENTS = {
    "planar": 1.107,
    "planar_contrast": 1.291,
    "calm": -0.380,
    "epipolar": -0.311,
    "epipolar_contrast": -0.017,
    "distance": 0.790,
    "distance_contrast": 0.293,
    "edge_colour": 0.936,
    "edge_motion": 0.611,
    "colour_contrast": -0.118,
    "coherence": 1.843,
    "log_area": -0.610,
    "log_area_squared": -2.634,
    "border": 1.288,
    "compactness": 0.925,
    "solidity": 0.266,
    "centrality": -0.437,
    "captured": -0.344,
    "distance_times_coherence": -0.936,
    "calm_times_epipolar": 1.101,
    "epipolar_times_border": -6.331,
    "saliency": 0.107,
    "saliency_contrast": 2.059,
    "saliency_overlap": -0.372,
    "certain_overlap": 0.384,
    "saliency_captured": -0.002,
}
"""The same once the saliency is known, with the cues of `salient_cues`."""

SALIENT_BIAS = -4.310

CUES, SALIENT_CUES = tuple(COEFFICIENTS), tuple(SALIENT_COEFFICIENTS)
WEIGHTS = np.array(list(COEFFICIENTS.values()), np.float32)
SALIENT_WEIGHTS = np.array(list(SALIENT_COEFFICIENTS.values()), np.float32)


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
    recalled : Recollection
        What the frames before held.
    saliency : (S,) float32 in [0, 1], optional
        What the network of `alba.proposals.regions.saliency` says, once it has been asked.
    """

    lab: NDArray[np.float32]
    residual: NDArray[np.float32]
    velocity: NDArray[np.float32]
    planar: NDArray[np.float32]
    epipolar: NDArray[np.float32]
    distance: NDArray[np.float32]
    recalled: Recollection
    saliency: NDArray[np.float32] | None = None


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
    inside /= area[:, None]
    ring = ring_of(superpixels, members).astype(np.float32) * superpixels.areas
    ring /= np.maximum(ring.sum(1), 1)[:, None]
    planar, epipolar, distance = np.stack([evidence.planar, evidence.epipolar, evidence.distance])
    speed = inside @ np.linalg.norm(evidence.velocity, axis=1)
    coherence = np.linalg.norm(inside @ evidence.velocity, axis=1) / np.maximum(speed, 1e-3)
    colour_contrast = np.linalg.norm((inside - ring) @ evidence.lab, axis=1) / 40
    calm = inside @ (planar < 0.3)
    captured = inside @ planar * area / max(float(superpixels.areas @ planar), 1e-6)
    size = np.array(superpixels.labels.shape[::-1], np.float32)
    centrality = np.linalg.norm(inside @ superpixels.centres / size - 0.5, axis=1)
    log_area = np.log(area / superpixels.areas.sum()) / 5
    edge_colour, edge_motion, border, compactness = _boundary_cues(superpixels, evidence, members, area)
    box = boxes_of(superpixels, members)
    solidity = area / np.prod(box[:, 2:] - box[:, :2], axis=1)
    columns = (
        inside @ planar,
        (inside - ring) @ planar,
        calm,
        inside @ epipolar,
        (inside - ring) @ epipolar,
        inside @ distance,
        (inside - ring) @ distance,
        edge_colour,
        edge_motion,
        np.minimum(colour_contrast, 1.5),
        coherence,
        log_area,
        np.square(log_area),
        border,
        compactness,
        solidity,
        centrality,
        captured,
        inside @ distance * coherence,
        calm * (inside @ epipolar),
        inside @ epipolar * border,
    )
    return np.stack(columns, 1).astype(np.float32)


def _boundary_cues(
    superpixels: Superpixels,
    evidence: Evidence,
    members: NDArray[np.bool_],
    area: NDArray[np.float32],
) -> tuple[NDArray[np.float32], ...]:
    """Steps of colour and of motion across the boundary, its share on the border, compactness."""
    low, high = superpixels.edges.T
    cut = (members[:, low] != members[:, high]).astype(np.float32) * superpixels.lengths
    perimeter = np.maximum(cut.sum(1), 1)
    colour_step = np.minimum(np.linalg.norm(evidence.lab[low] - evidence.lab[high], axis=1) / 30, 1)
    motion_step = np.linalg.norm(evidence.velocity[low] - evidence.velocity[high], axis=1)
    border = members @ superpixels.border_lengths
    whole = perimeter + border
    return (
        cut @ colour_step / perimeter,
        cut @ motion_step / perimeter,
        border / whole,
        np.sqrt(4 * np.pi * area) / whole,
    )


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


def agreement(
    superpixels: Superpixels, saliency: NDArray[np.float32], members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """How candidates agree with the saliency: (N, len(AGREEMENT)) float32 in [-1, 1]."""
    salient = saliency * superpixels.areas
    area = members @ superpixels.areas
    inside = members @ salient
    ring = ring_of(superpixels, members)
    around = ring @ salient / np.maximum(ring @ superpixels.areas, 1)
    certain = (saliency > 0.5) * superpixels.areas
    shared = members @ certain
    columns = (
        inside / area,
        inside / area - around,
        inside / (area + salient.sum() - inside),
        shared / np.maximum(area + certain.sum() - shared, 1),
        inside / max(float(salient.sum()), 1e-6),
    )
    return np.stack(columns, 1).astype(np.float32)


def salient_cues(
    superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The cues of `candidate_cues` and those of `agreement`: (N, len(SALIENT_CUES)) float32."""
    assert evidence.saliency is not None
    own = agreement(superpixels, evidence.saliency, members)
    return np.concatenate([candidate_cues(superpixels, evidence, members), own], 1)


def score_candidates(
    superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Score in [0, 1] of every candidate, (N,) float32; with the saliency where it is known."""
    if evidence.saliency is None:
        logits = candidate_cues(superpixels, evidence, members) @ WEIGHTS + BIAS
    else:
        logits = salient_cues(superpixels, evidence, members) @ SALIENT_WEIGHTS + SALIENT_BIAS
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


Scorer = Callable[[Superpixels, Evidence, NDArray[np.bool_]], NDArray[np.float32]]
"""Gives candidates (N, S) bool their scores."""
