"""Fit the rankings of `regions` and print their constants.

    OMP_NUM_THREADS=1 python benchmarks/fit_regions_ranking.py ROOT SPRITES [--saliency FOLDER]

ROOT is DAVIS 2016 in the official layout, SPRITES the embedded data set (`alba sprites --output SPRITES`).
Without FOLDER it fits the ranking of the first candidates, with it the ranking of all candidates once the
saliency is known; FOLDER is what `benchmarks/fit_regions_saliency.py` wrote, whose networks are asked of the
videos that they were not trained on. The order is: first ranking, saliency, second ranking.

A run of frames from every train sequence of both. Every candidate counts, frames weigh
the same, sprites together as much as `SPRITES_SHARE` says: from the large single objects of DAVIS alone
the ranking learns to prefer unions of the small ones of sprites. The score is a logistic function of the
cues that approaches the largest IoU with an object; candidates weigh ``1 + 4 IoU``, since the order among
the good ones matters most. Paste what it prints into ``alba/proposals/regions/ranking.py``.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from fit_regions_saliency import FOLDS
from numpy.typing import NDArray
from proposals import flow_around
from scipy.optimize import minimize

from alba.config import DatasetSettings
from alba.datasets import Video, list_videos, open_video
from alba.proposals.regions.backend import (
    REMEMBERED,
    first_candidates,
    gather_evidence,
    look,
    second_candidates,
)
from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.memory import Memory
from alba.proposals.regions.motion import residual_motion
from alba.proposals.regions.ranking import (
    CUES,
    SALIENT_CUES,
    Evidence,
    candidate_cues,
    salient_cues,
    score_candidates,
)
from alba.proposals.regions.saliency import ColourModel, Ensemble, read_ensemble, saliency
from alba.proposals.regions.superpixels import Superpixels, find_superpixels

DAVIS_FRAMES, SPRITES_FRAMES = range(15, 29), range(4, 12)
SPRITES_SHARE = 0.35
RIDGE = 3e-4

Sample = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def samples(layout: str, root: Path, frames: range, folds: Path | None, share: float) -> Sample:
    """Cues, largest IoU with an object, and weight of every candidate; the weights add up to `share`."""
    names = list_videos(DatasetSettings(layout=layout, root=str(root)), "train")
    with ProcessPoolExecutor() as processes:
        of_videos = processes.map(
            partial(video_samples, layout, root, frames, folds), range(len(names)), names
        )
        parts = [sample for video in of_videos for sample in video]
    cues, overlap, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    return cues, overlap, weight * (share / weight.sum())


def video_samples(
    layout: str, root: Path, frames: range, folds: Path | None, number: int, name: str
) -> list[Sample]:
    """What a run of frames of one video has to teach."""
    cv2.setNumThreads(1)
    video = open_video(DatasetSettings(layout=layout, root=str(root)), name)
    networks = None if folds is None else read_ensemble(folds / f"without-{number % FOLDS}.npz")
    memory, colours = Memory(), ColourModel()
    first = max(0, min(frames.start, len(video) - len(frames)))
    found = [collect(video, t, memory, colours, networks) for t in range(first, first + len(frames))]
    return [sample for sample in found if sample is not None]


def collect(
    video: Video, t: int, memory: Memory, colours: ColourModel, networks: Ensemble | None
) -> Sample | None:
    """What one frame has to teach; nothing where it holds no object."""
    work = reduce_frame(video.frame(t), *flow_around(list(video.frame_paths), t))
    motion = residual_motion(work)
    superpixels = find_superpixels(work.lab, motion.residual)
    evidence = gather_evidence(superpixels, work, motion, memory.recall(superpixels, work.backward))
    truth = video.annotation(t)
    objects = [
        superpixels.mean(cv2.resize(np.float32(truth == k), work.size[::-1], interpolation=cv2.INTER_AREA))
        for k in np.unique(truth)
        if 0 < k < 255
    ]
    areas = np.array(objects, np.float32).reshape(-1, len(superpixels)) * superpixels.areas
    cues, overlaps = [], []

    def score(
        superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        if networks is None or evidence.saliency is not None:
            of = candidate_cues if networks is None else salient_cues
            cues.append(of(superpixels, evidence, members))
            shared = members @ areas.T
            union = (members @ superpixels.areas)[:, None] + areas.sum(1) - shared
            overlaps.append((shared / union).max(1, initial=0))
        return score_candidates(superpixels, evidence, members)

    pool = first_candidates(superpixels, evidence, score)
    if networks is not None and len(pool.scores):
        seen = look(pool, evidence, colours)
        second_candidates(pool, replace(evidence, saliency=saliency(superpixels, seen, networks)))
    memory.keep(superpixels, pool.best(REMEMBERED), pool.consensus())
    if not objects or not cues:
        return None
    overlap = np.concatenate(overlaps)
    return np.concatenate(cues), overlap, (1 + 4 * overlap) / len(overlap)


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
    parser.add_argument("--saliency", type=Path)
    options = parser.parse_args()
    davis = samples("davis16", options.root, DAVIS_FRAMES, options.saliency, 1 - SPRITES_SHARE)
    sprites = samples("davis17", options.sprites, SPRITES_FRAMES, options.saliency, SPRITES_SHARE)
    weights, bias = fit(*(np.concatenate(pair) for pair in zip(davis, sprites, strict=True)))
    prefix, names = ("", CUES) if options.saliency is None else ("SALIENT_", SALIENT_CUES)
    print(f"{prefix}COEFFICIENTS = {{")
    for name, value in zip(names, weights, strict=True):
        print(f'    "{name}": {value:.3f},')
    print(f"}}\n{prefix}BIAS = {bias:.3f}")


if __name__ == "__main__":
    main()
