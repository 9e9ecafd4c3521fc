"""Fit the ranking of `regions` and print its constants.

    OMP_NUM_THREADS=1 python benchmarks/fit_regions_ranking.py ROOT SPRITES

ROOT is DAVIS 2016 in the official layout, SPRITES the embedded data set (`alba sprites --output SPRITES`).
A run of frames from every train sequence of both. Every candidate of every family counts, frames weigh
the same, sprites together as much as `SPRITES_SHARE` says: from the large single objects of DAVIS alone
the ranking learns to prefer unions of the small ones of sprites. The score is a logistic function of the
cues that approaches the largest IoU with an object; candidates weigh ``1 + 4 IoU``, since the order among
the good ones matters most. Paste what it prints into ``alba/proposals/regions/ranking.py``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from proposals import flow_around
from scipy.optimize import minimize

from alba.config import DatasetSettings
from alba.datasets import Video, list_videos, open_video
from alba.proposals.regions.backend import REMEMBERED, find_candidates, gather_evidence
from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.memory import Memory
from alba.proposals.regions.motion import residual_motion
from alba.proposals.regions.ranking import CUES, Evidence, candidate_cues, score_candidates
from alba.proposals.regions.superpixels import Superpixels, find_superpixels

DAVIS_FRAMES, SPRITES_FRAMES = range(15, 29), range(4, 12)
SPRITES_SHARE = 0.35
RIDGE = 3e-4

Sample = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def samples(layout: str, root: Path, frames: range) -> Iterator[Sample]:
    """Cues, largest IoU with an object, and weight of every candidate of a frame."""
    dataset = DatasetSettings(layout=layout, root=str(root))
    for name in list_videos(dataset, "train"):
        video, memory = open_video(dataset, name), Memory()
        first = min(frames.start, len(video) - len(frames))
        for t in range(max(0, first), max(0, first) + len(frames)):
            sample = collect(video, t, memory)
            if sample is not None:
                yield sample


def collect(video: Video, t: int, memory: Memory) -> Sample | None:
    """What one frame has to teach; nothing where it holds no object."""
    work = reduce_frame(video.frame(t), *flow_around(list(video.frame_paths), t))
    motion = residual_motion(work)
    superpixels = find_superpixels(work.lab, motion.residual)
    recalled = memory.recall(superpixels, work.backward)
    truth = video.annotation(t)
    objects = [
        superpixels.mean(cv2.resize(np.float32(truth == k), work.size[::-1], interpolation=cv2.INTER_AREA))
        for k in np.unique(truth)
        if 0 < k < 255
    ]
    cues, overlaps = [], []

    def score(
        superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        cues.append(candidate_cues(superpixels, evidence, members))
        areas = np.array(objects, np.float32).reshape(-1, len(superpixels)) * superpixels.areas
        shared = members @ areas.T
        union = (members @ superpixels.areas)[:, None] + areas.sum(1) - shared
        overlaps.append((shared / union).max(1, initial=0))
        return score_candidates(superpixels, evidence, members)

    pool = find_candidates(superpixels, gather_evidence(superpixels, work, motion, recalled), score)
    memory.keep(superpixels, *pool.best(REMEMBERED), pool.consensus())
    if not objects or not cues:
        return None
    overlap = np.concatenate(overlaps)
    return np.concatenate(cues), overlap, (1 + 4 * overlap) / len(overlap)


def join(parts: list[Sample], share: float) -> Sample:
    """All samples of a data set; their weights add up to its share."""
    cues, overlap, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    return cues, overlap, weight * (share / weight.sum())


def fit(
    cues: NDArray[np.float32], overlap: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """Weights and bias of least weighted cross-entropy."""
    centre, spread = cues.mean(0), cues.std(0) + 1e-6
    standard = (cues - centre) / spread

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
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
    parser.add_argument("sprites", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    davis = join(list(samples("davis16", options.root, DAVIS_FRAMES)), 1 - SPRITES_SHARE)
    sprites = join(list(samples("davis17", options.sprites, SPRITES_FRAMES)), SPRITES_SHARE)
    weights, bias = fit(*(np.concatenate(pair) for pair in zip(davis, sprites, strict=True)))
    print("COEFFICIENTS = {")
    for name, value in zip(CUES, weights, strict=True):
        print(f'    "{name}": {value:.3f},')
    print(f"}}\nBIAS = {bias:.3f}")


if __name__ == "__main__":
    main()
