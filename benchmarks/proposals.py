"""How well the proposals of `regions` cover the object of DAVIS 2016, per sequence.

    python benchmarks/proposals.py ROOT --split val --stride 1

ROOT is the official layout. Prints, for every sequence and on average: J of the best single proposal;
J of the greedy union (by falling score, a proposal joins when it raises the IoU and at least half of it
lies inside the object) and of the best-first union (the largest gain first, until none helps); the share
of frames whose best proposal exceeds IoU 0.5; J of the top-ranked proposal; proposals per frame; processor
seconds per frame on one core for the proposals and for the flow.
"""

import argparse
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.config.backends import RegionsOptions
from alba.masks import iou_matrix
from alba.proposals.regions.backend import RegionsBackend


@dataclass(frozen=True)
class FrameFigures:
    """Figures of one frame, J in [0, 1], times in seconds."""

    best: float
    greedy: float
    best_first: float
    recall: float
    top: float
    count: float
    seconds: float
    flow_seconds: float


def sequences(root: Path, split: str) -> list[str]:
    """Names of a split that are on disk."""
    lines = (root / "ImageSets/480p" / f"{split}.txt").read_text().split()
    names = sorted({Path(line).parts[-2] for line in lines})
    return [name for name in names if (root / "Annotations/480p" / name).is_dir()]


def iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def greedy_union(masks: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    united, reached = np.zeros_like(truth), iou(np.zeros_like(truth), truth)
    for mask in masks:
        if 2 * np.count_nonzero(mask & truth) >= np.count_nonzero(mask):
            joined = iou(united | mask, truth)
            if joined > reached:
                united, reached = united | mask, joined
    return reached


def best_first_union(masks: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    united, reached = np.zeros_like(truth), iou(np.zeros_like(truth), truth)
    while len(masks):
        gains = iou_matrix(masks | united, truth[None])[:, 0]
        if gains.max() <= reached:
            break
        united, reached = united | masks[gains.argmax()], float(gains.max())
    return reached


def flow_around(paths: list[Path], t: int) -> list[NDArray[np.float32]]:
    """Forward and backward flow of frame `t` (DIS, medium), (2, H, W) each."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    here = cv2.imread(str(paths[t]), cv2.IMREAD_GRAYSCALE)
    flows: list[NDArray[np.float32] | None] = []
    for other in (t + 1, t - 1):
        if 0 <= other < len(paths):
            there = cv2.imread(str(paths[other]), cv2.IMREAD_GRAYSCALE)
            flows.append(np.ascontiguousarray(np.moveaxis(dis.calc(here, there, None), -1, 0)))
        else:
            flows.append(None)
    forward, backward = flows
    return [-backward if forward is None else forward, -forward if backward is None else backward]


def measure_frame(backend: RegionsBackend, paths: list[Path], truths: Path, t: int) -> FrameFigures:
    frame = cv2.cvtColor(cv2.imread(str(paths[t])), cv2.COLOR_BGR2RGB)
    truth = cv2.imread(str(truths / f"{paths[t].stem}.png"), cv2.IMREAD_GRAYSCALE) > 0
    begun = time.process_time()
    flow = flow_around(paths, t)
    flowed = time.process_time()
    proposals = backend.propose(frame, *flow)
    done = time.process_time()
    overlaps = iou_matrix(proposals.masks, truth[None])[:, 0] if len(proposals) else np.zeros(1)
    return FrameFigures(
        float(overlaps.max()),
        greedy_union(proposals.masks, truth),
        best_first_union(proposals.masks, truth),
        float(overlaps.max() > 0.5),
        float(overlaps[0]),
        len(proposals),
        done - flowed,
        flowed - begun,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--max-proposals", type=int, default=RegionsOptions().max_proposals)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    backend = RegionsBackend(RegionsOptions(max_proposals=options.max_proposals))
    header = ("best", "greedy", "bestfirst", "recall.5", "top", "number", "s/frame", "s/flow")
    print(f"{'sequence':20s}" + "".join(f"{name:>10s}" for name in header))
    rows = []
    for name in sequences(options.root, options.split):
        paths = sorted((options.root / "JPEGImages/480p" / name).glob("*.jpg"))
        truths = options.root / "Annotations/480p" / name
        # DAVIS 2016 scores neither the first nor the last frame.
        frames = range(max(1, options.stride // 2), len(paths) - 1, options.stride)
        figures = [astuple(measure_frame(backend, paths, truths, t)) for t in frames]
        rows.append(np.mean(figures, 0))
        print(f"{name:20s}" + "".join(f"{value:10.3f}" for value in rows[-1]), flush=True)
    print(f"{'mean':20s}" + "".join(f"{value:10.3f}" for value in np.mean(rows, 0)))


if __name__ == "__main__":
    main()
