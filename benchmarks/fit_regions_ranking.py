"""Fit the rankings of `regions` and print their constants.

    python benchmarks/fit_regions_ranking.py ROOT SPRITES [--still]
    python benchmarks/fit_regions_ranking.py ROOT SPRITES --glance FOLDER

ROOT is DAVIS 2016 in the official layout, SPRITES the embedded data set (`alba sprites --output SPRITES`).
The first fits the ranking of the first candidates, or that by their looks alone; the second that of all
candidates once the first network of the saliency has been asked; FOLDER is what
`benchmarks/fit_regions_saliency.py` wrote, whose networks are asked of the videos that they were not trained
on. Every step builds on those before: rankings of the first candidates, glance, the last ranking, survey.

A run of frames from every train sequence of both. Every candidate counts, frames weigh
the same, sprites together as much as `SPRITES_SHARE` says: from the large single objects of DAVIS alone
the ranking learns to prefer unions of the small ones of sprites. The score is a logistic function of the
cues that approaches the largest IoU with an object; candidates weigh ``1 + 4 IoU``, since the order among
the good ones matters most. Paste what it prints into ``alba/proposals/regions/ranking.py``.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from proposals import flow_around
from scipy.optimize import minimize

from alba.config import DatasetSettings
from alba.datasets import Video, list_videos, open_video
from alba.proposals.regions.backend import Network, glances
from alba.proposals.regions.colour import NUM_BINS
from alba.proposals.regions.ranking import (
    CUES,
    SALIENT_CUES,
    STILL_COEFFICIENTS,
    Evidence,
    candidate_cues,
    salient_cues,
    score_candidates,
)
from alba.proposals.regions.saliency import FOLDS
from alba.proposals.regions.superpixels import Superpixels
from alba.proposals.regions.unet import probability, read_weights

DAVIS_FRAMES, SPRITES_FRAMES = range(15, 29), range(4, 12)
SPRITES_SHARE = 0.35
RIDGE = 3e-4

Judged = tuple[Superpixels, NDArray[np.float32], NDArray[np.bool_]]
"""Cues of candidates and what they consist of."""

Sample = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class Fit(NamedTuple):
    """A ranking to fit: its constants' prefix, its cues, and where the weights of the first network are."""

    prefix: str
    cues: tuple[str, ...]
    folder: Path | None


def samples(layout: str, root: Path, frames: range, ranking: Fit, share: float) -> Sample:
    """Cues, largest IoU with an object, and weight of every candidate; the weights add up to `share`."""
    names = list_videos(DatasetSettings(layout=layout, root=str(root)), "train")
    with ProcessPoolExecutor() as processes:
        of_videos = processes.map(
            partial(video_samples, layout, root, frames, ranking), range(len(names)), names
        )
        parts = [sample for video in of_videos for sample in video]
    cues, overlap, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    return cues, overlap, weight * (share / weight.sum())


def video_samples(
    layout: str, root: Path, frames: range, ranking: Fit, number: int, name: str
) -> list[Sample]:
    """What a run of frames of one video has to teach."""
    cv2.setNumThreads(1)
    video = open_video(DatasetSettings(layout=layout, root=str(root)), name)
    first = max(0, min(frames.start, len(video) - len(frames)))
    times = range(first, first + len(frames))
    judged: list[Judged] = []
    found = []
    for t, superpixels in zip(times, looks(video, times, ranking, number % FOLDS, judged), strict=True):
        truths = truths_of(video.annotation(t), superpixels)
        here = [(cues, members) for of, cues, members in judged if of is superpixels]
        if len(truths) and here:
            cues, members = (np.concatenate(part) for part in zip(*here, strict=True))
            shared = members @ truths.T
            union = (members @ superpixels.areas)[:, None] + truths.sum(1) - shared
            overlap = (shared / union).max(1)
            found.append((cues, overlap, (1 + 4 * overlap) / len(overlap)))
        judged[:] = [each for each in judged if each[0] is not superpixels]
    return found


def looks(video: Video, times: range, ranking: Fit, fold: int, judged: list[Judged]) -> Iterator[Superpixels]:
    """Superpixels of frame after frame, once its candidates are in `judged`."""

    def score(
        superpixels: Superpixels, evidence: Evidence, members: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        if (evidence.saliency is None) == (ranking.folder is None):
            of = candidate_cues if evidence.saliency is None else salient_cues
            cues = of(superpixels, evidence, members)
            if ranking.prefix == "STILL_":
                cues = cues[:, [CUES.index(cue) for cue in ranking.cues]]
            judged.append((superpixels, cues, members))
        return score_candidates(superpixels, evidence, members)

    paths, so_far = list(video.frame_paths), np.zeros((2, NUM_BINS))
    inputs = ((video.frame(t), *flow_around(paths, t)) for t in times)
    network: Network = lambda cues: np.zeros_like(cues[0])  # noqa: E731
    if ranking.folder is not None:
        weights = read_weights(ranking.folder / f"glance-without-{fold}.npz")
        network = partial(probability, weights=weights)
    for each in glances(inputs, network, so_far, score):
        yield each.superpixels


def truths_of(annotation: NDArray[np.uint8], superpixels: Superpixels) -> NDArray[np.float32]:
    """Pixels of each object in each superpixel, (K, S)."""
    size = superpixels.labels.shape[::-1]
    objects = [
        superpixels.mean(cv2.resize(np.float32(annotation == k), size, interpolation=cv2.INTER_AREA))
        for k in np.unique(annotation)
        if 0 < k < 255
    ]
    return np.array(objects, np.float32).reshape(-1, len(superpixels)) * superpixels.areas


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
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--still", action="store_true", help="without motion")
    which.add_argument("--glance", type=Path)
    options = parser.parse_args()
    ranking = Fit("STILL_", tuple(STILL_COEFFICIENTS), None) if options.still else Fit("", CUES, None)
    if options.glance:
        ranking = Fit("SALIENT_", SALIENT_CUES, options.glance)
    davis = samples("davis16", options.root, DAVIS_FRAMES, ranking, 1 - SPRITES_SHARE)
    sprites = samples("davis17", options.sprites, SPRITES_FRAMES, ranking, SPRITES_SHARE)
    weights, bias = fit(*(np.concatenate(pair) for pair in zip(davis, sprites, strict=True)))
    print(f"{ranking.prefix}COEFFICIENTS = {{")
    for name, value in zip(ranking.cues, weights, strict=True):
        print(f'    "{name}": {value:.3f},')
    print(f"}}\n{ranking.prefix}BIAS = {bias:.3f}")


if __name__ == "__main__":
    main()
