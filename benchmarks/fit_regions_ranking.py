"""Fit the ranking of `regions` to the train sequences of DAVIS 2016 and print its constants.

    OMP_NUM_THREADS=1 python benchmarks/fit_regions_ranking.py ROOT

ROOT is the official layout. Every 12th frame of the train sequences; every candidate of every family
counts, frames weigh the same. The score is a logistic function of the cues that approaches the IoU with
the object; candidates weigh ``1 + 4 IoU``, since the order among the good ones matters most. Which
candidates later families see depends on the score, so the fit is repeated. Paste what it prints into
``alba/proposals/regions/ranking.py``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from proposals import flow_around, sequences
from scipy.optimize import minimize

from alba.proposals.regions.backend import find_candidates, gather_evidence
from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.motion import residual_motion
from alba.proposals.regions.ranking import BIAS, CUES, WEIGHTS, Evidence, candidate_cues
from alba.proposals.regions.superpixels import Superpixels, find_superpixels

STRIDE = 12
ROUNDS = 2
RIDGE = 1e-4

Scene = tuple[Superpixels, Evidence, NDArray[np.float32]]
Sample = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def scenes(root: Path) -> Iterator[Scene]:
    """Superpixels, their evidence, and the pixels of the object in each of them."""
    for name in sequences(root, "train"):
        paths = sorted((root / "JPEGImages/480p" / name).glob("*.jpg"))
        for t in range(STRIDE // 2, len(paths), STRIDE):
            frame = cv2.cvtColor(cv2.imread(str(paths[t])), cv2.COLOR_BGR2RGB)
            annotation = root / "Annotations/480p" / name / f"{paths[t].stem}.png"
            truth = (cv2.imread(str(annotation), cv2.IMREAD_GRAYSCALE) > 0).astype(np.float32)
            work = reduce_frame(frame, *flow_around(paths, t))
            motion = residual_motion(work)
            superpixels = find_superpixels(work.lab, motion.residual)
            share = cv2.resize(truth, work.size[::-1], interpolation=cv2.INTER_AREA)
            object_area = superpixels.mean(share) * superpixels.areas
            if object_area.sum() > 0:
                yield superpixels, gather_evidence(superpixels, work, motion), object_area


def collect(scene: Scene, weights: NDArray[np.float32], bias: float) -> Sample:
    """Cues, IoU with the object, and weight of every candidate of a frame."""
    superpixels, evidence, object_area = scene
    cues, overlaps = [], []

    def score(
        superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        cues.append(candidate_cues(superpixels, evidence, members))
        shared = members @ object_area
        overlaps.append(shared / (members @ superpixels.areas + object_area.sum() - shared))
        return (1 / (1 + np.exp(-(cues[-1] @ weights + bias)))).astype(np.float32)

    find_candidates(superpixels, evidence, score)
    overlap = np.concatenate(overlaps)
    return np.concatenate(cues), overlap, (1 + 4 * overlap) / len(overlap)


def fit(cues: NDArray[np.float32], overlap: NDArray[np.float32], weight: NDArray[np.float32]):
    """Weights and bias of least weighted cross-entropy."""
    centre, spread = cues.mean(0), cues.std(0) + 1e-6
    standard = (cues - centre) / spread
    weight = weight / weight.sum()

    def loss(parameters):
        logit = standard @ parameters[1:] + parameters[0]
        entropy = weight @ (np.logaddexp(0, logit) - overlap * logit)
        slope = weight * (1 / (1 + np.exp(-logit)) - overlap)
        gradient = np.r_[slope.sum(), slope @ standard + 2 * RIDGE * parameters[1:]]
        return entropy + RIDGE * np.square(parameters[1:]).sum(), gradient

    found = minimize(loss, np.zeros(cues.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[1:] / spread
    return weights.astype(np.float32), float(found[0] - centre @ weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    root = parser.parse_args().root
    cv2.setNumThreads(1)
    weights, bias = WEIGHTS, BIAS
    everything = list(scenes(root))
    for _ in range(ROUNDS):
        samples = [collect(scene, weights, bias) for scene in everything]
        weights, bias = fit(*(np.concatenate(part) for part in zip(*samples, strict=True)))
    print("COEFFICIENTS = {")
    for name, value in zip(CUES, weights, strict=True):
        print(f'    "{name}": {value:.3f},')
    print(f"}}\nBIAS = {bias:.3f}")


if __name__ == "__main__":
    main()
