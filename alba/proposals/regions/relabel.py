"""Foreground and background told apart again by colour, place and motion, from a first guess."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from alba.proposals.regions.superpixels import Superpixels

_LANDMARK_STEP = 10  # every tenth superpixel stands for the colours around it
_COLOUR_WIDTH = 4.0  # Lab units
_PLACE_WIDTH = 0.1  # of the frame's diagonal
_ROUNDS, _SWEEPS = 3, 8


def relabel(
    superpixels: Superpixels,
    lab: NDArray[np.float32],
    guess: NDArray[np.float32],
    evidence: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Refine guesses in the way of GrabCut, all of them at once.

    In each round the guess gives a colour model of foreground and of background (kernel densities
    on landmark superpixels, local in the frame); their log ratio and the evidence are then smoothed
    over the graph of neighbours by mean-field updates of a contrast-sensitive Potts model.

    Parameters
    ----------
    superpixels : Superpixels
    lab : (S, 3) float32
    guess : (S, K) float32
        Probability of foreground, one guess per column.
    evidence : (S, K) float32
        Log odds that stay the same through all rounds.

    Returns
    -------
    (S, K) float32
        Probability of foreground.
    """
    kernel = _kernel(superpixels, lab)
    coupling = _coupling(superpixels, lab)
    area = superpixels.areas[:, None]
    guess, evidence = np.ascontiguousarray(guess), np.ascontiguousarray(evidence)
    everything = kernel @ (kernel.T @ area)
    probability = guess
    for _ in range(_ROUNDS):
        foreground = kernel @ (kernel.T @ (probability * area))
        background = np.maximum(everything - foreground, 0)
        floor = 1e-3 * everything.max() + 1e-6
        ratio = np.log((foreground + floor) / (background + floor))
        # Colour says which side is more likely given the share of each, hence the share is divided out.
        share = (probability * area).sum(0) / area.sum()
        ratio -= 0.5 * np.log((share + 1e-3) / (1 - share + 1e-3))
        unary = np.clip(ratio, -2.5, 2.5) + evidence
        lean = 2 * probability - 1
        for _ in range(_SWEEPS):  # twice the probability less one is the hyperbolic tangent of half the odds
            lean = np.tanh((unary + coupling @ lean) / 2)
        probability = ((1 + lean) / 2).astype(np.float32)
    return probability


def _kernel(superpixels: Superpixels, lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, L) similarity in colour and place to every landmark."""
    place = superpixels.centres / (_PLACE_WIDTH * np.hypot(*superpixels.labels.shape))
    points = np.concatenate([lab / _COLOUR_WIDTH, place], 1)
    landmarks = points[::_LANDMARK_STEP]
    square = np.square(points).sum(1)[:, None] + np.square(landmarks).sum(1) - 2 * points @ landmarks.T
    return np.exp(-0.5 * square).astype(np.float32)


def _coupling(superpixels: Superpixels, lab: NDArray[np.float32]) -> csr_array:
    """(S, S) pull of every neighbour, weaker across a step of colour, 2 for all neighbours together."""
    low, high = superpixels.edges.T
    contrast = np.square(lab[low] - lab[high]).sum(1)
    weights = np.exp(-contrast / (2 * max(float(contrast.mean()), 1.0)))
    weights *= superpixels.lengths
    graph = superpixels.graph(weights)
    # A superpixel listens to its neighbours as a whole, however long its boundary is.
    share = diags_array(2.0 / np.maximum(graph.sum(1), 1e-6))
    return csr_array(share @ graph)
