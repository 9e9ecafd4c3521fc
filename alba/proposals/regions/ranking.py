"""How likely a candidate is one whole moving object."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.memory import Recollection
from alba.proposals.regions.sets import Sets
from alba.proposals.regions.superpixels import Superpixels

COEFFICIENTS = {
    "planar": 1.233,
    "planar_contrast": 2.453,
    "calm": -1.570,
    "epipolar": -0.048,
    "epipolar_contrast": -0.528,
    "distance": 1.464,
    "distance_contrast": 1.272,
    "edge_colour": 1.657,
    "edge_motion": 0.882,
    "colour_contrast": -0.092,
    "coherence": 2.119,
    "log_area": 0.827,
    "log_area_squared": -2.108,
    "border": -0.546,
    "compactness": 1.344,
    "solidity": 0.142,
    "centrality": -0.519,
    "captured": -0.119,
    "distance_times_coherence": -1.656,
    "calm_times_epipolar": 0.633,
    "epipolar_times_border": -2.387,
}
"""Cues in the order of `candidate_cues` with their weights in the logistic score.

Made from the train videos of DAVIS 2016 and of sprites by ``benchmarks/fit_regions_ranking.py``, which
prints them anew. The products are those that helped on held-out train videos; all products of two cues
overfit."""

BIAS = -3.931

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
    return _candidate_cues(Sets(superpixels, members), evidence)


def _candidate_cues(sets: Sets, evidence: Evidence) -> NDArray[np.float32]:
    superpixels, area = sets.superpixels, sets.areas
    maps = np.stack([evidence.planar, evidence.epipolar, evidence.distance], 1)
    velocity, place = evidence.velocity, superpixels.centres
    alone = np.stack([np.linalg.norm(velocity, axis=1), evidence.planar < 0.3], 1)
    inside = sets.mean_inside(np.concatenate([maps, evidence.lab, velocity, place, alone], 1))
    around = sets.mean_around(np.concatenate([maps, evidence.lab], 1))
    planar, epipolar, distance = inside[:, :3].T
    planar_contrast, epipolar_contrast, distance_contrast = (inside[:, :3] - around[:, :3]).T
    colour_contrast = np.linalg.norm(inside[:, 3:6] - around[:, 3:], axis=1) / 40
    speed, calm = inside[:, 10:].T
    coherence = np.linalg.norm(inside[:, 6:8], axis=1) / np.maximum(speed, 1e-3)
    captured = planar * area / max(float(superpixels.areas @ evidence.planar), 1e-6)
    size = np.array(superpixels.labels.shape[::-1], np.float32)
    centrality = np.linalg.norm(inside[:, 8:10] / size - 0.5, axis=1)
    log_area = np.log(area / superpixels.areas.sum()) / 5
    edge_colour, edge_motion, border, compactness = _boundary_cues(sets, evidence)
    solidity = area / np.prod(sets.boxes[:, 2:] - sets.boxes[:, :2], axis=1)
    columns = (
        planar,
        planar_contrast,
        calm,
        epipolar,
        epipolar_contrast,
        distance,
        distance_contrast,
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
        distance * coherence,
        calm * epipolar,
        epipolar * border,
    )
    return np.stack(columns, 1).astype(np.float32)


def _boundary_cues(sets: Sets, evidence: Evidence) -> tuple[NDArray[np.float32], ...]:
    """Steps of colour and of motion across the boundary, its share on the border, compactness."""
    low, high = sets.superpixels.edges.T
    lengths = sets.superpixels.lengths
    colour = np.minimum(np.linalg.norm(evidence.lab[low] - evidence.lab[high], axis=1) / 30, 1)
    motion = np.linalg.norm(evidence.velocity[low] - evidence.velocity[high], axis=1)
    perimeter, *steps = sets.across(np.stack([lengths, lengths * colour, lengths * motion], 1)).T
    perimeter = np.maximum(perimeter, 1)
    whole = perimeter + sets.border_lengths
    return (
        *(step / perimeter for step in steps),
        sets.border_lengths / whole,
        np.sqrt(4 * np.pi * sets.areas) / whole,
    )


def agreement(sets: Sets, saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    """How candidates agree with the saliency, (S,): (N, len(AGREEMENT)) float32 in [-1, 1]."""
    areas = sets.superpixels.areas
    values = np.stack([saliency, saliency > 0.5], 1)
    total, certain = areas @ values
    own = sets.mean_inside(values)
    inside, shared = (own * sets.areas[:, None]).T
    columns = (
        own[:, 0],
        own[:, 0] - sets.mean_around(values[:, :1])[:, 0],
        inside / (sets.areas + total - inside),
        shared / np.maximum(sets.areas + certain - shared, 1),
        inside / max(float(total), 1e-6),
    )
    return np.stack(columns, 1).astype(np.float32)


def salient_cues(
    superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The cues of `candidate_cues` and those of `agreement`: (N, len(SALIENT_CUES)) float32."""
    assert evidence.saliency is not None
    sets = Sets(superpixels, members)
    return np.concatenate([_candidate_cues(sets, evidence), agreement(sets, evidence.saliency)], 1)


def score_candidates(
    superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Score in [0, 1] of every candidate, (N,) float32; with the saliency where it is known."""
    if evidence.saliency is None:
        logits = candidate_cues(superpixels, evidence, members) @ WEIGHTS + BIAS
    else:
        logits = salient_cues(superpixels, evidence, members) @ SALIENT_WEIGHTS + SALIENT_BIAS
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def discount_loose(
    superpixels: Superpixels,
    evidence: Evidence,
    members: NDArray[np.bool_],
    scores: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Scores of what is proposed, lower where some of it does not move on its own.

    By `score_candidates` a whole object with some of its surroundings may lead its better part. Whoever joins
    proposals by falling score, as the greedy oracle does, cannot take the surroundings away again.

    Parameters
    ----------
    superpixels : Superpixels
    evidence : Evidence
    members : (N, S) bool
        None of them empty.
    scores : (N,) float32 in [0, 1]

    Returns
    -------
    (N,) float32 in [0, 1]
        The scores times the square root of the mean saliency inside; as they were where there is none.
    """
    if evidence.saliency is None:
        return scores
    inside = Sets(superpixels, members).mean_inside(evidence.saliency[:, None])[:, 0]
    return (scores * np.sqrt(inside)).astype(np.float32)


Scorer = Callable[[Superpixels, Evidence, NDArray[np.bool_]], NDArray[np.float32]]
"""Gives candidates (N, S) bool their scores."""
