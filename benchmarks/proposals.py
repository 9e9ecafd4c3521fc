"""How well the proposals of `regions` cover the object of DAVIS 2016, per sequence.

    python benchmarks/proposals.py ROOT --split val --stride 1

ROOT is the official layout. Prints, for every sequence and on average: J of the best single proposal;
J of the greedy union (by falling score, a proposal joins when it raises the IoU and as much of it lies
inside the object as the oracle asks for by default, `labels.join_min_precision`) and of the best-first
union (the largest gain first, until none helps); the share of frames whose best proposal exceeds IoU 0.5;
J of the top-ranked proposal; proposals per frame; processor seconds per frame on one core for the
proposals and for the flow.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.config.backends import DisOptions, RegionsOptions
from alba.config.settings import LabelSettings
from alba.datasets.video import read_frame
from alba.flow.dis import DisBackend
from alba.masks import iou_matrix
from alba.proposals.protocol import Proposals
from alba.proposals.regions.backend import RegionsBackend

_DIS = DisBackend(DisOptions())


def sequences(root: Path, split: str) -> list[str]:
    """Names of a split that are on disk."""
    lines = (root / "ImageSets/480p" / f"{split}.txt").read_text().split()
    names = sorted({Path(line).parts[-2] for line in lines})
    return [name for name in names if (root / "Annotations/480p" / name).is_dir()]


def iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def greedy_union(masks: NDArray[np.bool_], truth: NDArray[np.bool_], min_precision: float) -> float:
    united, reached = np.zeros_like(truth), iou(np.zeros_like(truth), truth)
    for mask in masks:
        if np.count_nonzero(mask & truth) >= min_precision * np.count_nonzero(mask):
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
    """Forward and backward flow of frame `t` (`dis`), (2, H, W) each."""
    here = read_frame(paths[t])
    flows: list[NDArray[np.float32] | None] = []
    for other in (t + 1, t - 1):
        there = read_frame(paths[other]) if 0 <= other < len(paths) else None
        flows.append(None if there is None else _DIS.flow(here, there))
    forward, backward = flows
    return [-backward if forward is None else forward, -forward if backward is None else backward]


def propose(backend: RegionsBackend, paths: list[Path], t: int) -> tuple[Proposals, tuple[float, float]]:
    """Proposals of frame `t`; processor seconds that they took, and that the flow took."""
    frame = read_frame(paths[t])
    begun = time.process_time()
    flow = flow_around(paths, t)
    flowed = time.process_time()
    proposals = backend.propose(frame, *flow)
    return proposals, (time.process_time() - flowed, flowed - begun)


def figures_of(proposals: Proposals, annotation: Path) -> tuple[float, ...]:
    """The columns of the table but the times, in their order."""
    truth = cv2.imread(str(annotation), cv2.IMREAD_GRAYSCALE) > 0
    overlaps = iou_matrix(proposals.masks, truth[None])[:, 0] if len(proposals) else np.zeros(1)
    return (
        float(overlaps.max()),
        greedy_union(proposals.masks, truth, LabelSettings().join_min_precision),
        best_first_union(proposals.masks, truth),
        float(overlaps.max() > 0.5),
        float(overlaps[0]),
        len(proposals),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of sequences")
    parser.add_argument("--max-proposals", type=int, default=RegionsOptions().max_proposals)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    backend = RegionsBackend(RegionsOptions(max_proposals=options.max_proposals))
    header = ("best", "greedy", "bestfirst", "recall.5", "top", "number", "s/frame", "s/flow")
    print(f"{'sequence':20s}" + "".join(f"{name:>10s}" for name in header))
    rows = []
    for name in options.only or sequences(options.root, options.split):
        paths = sorted((options.root / "JPEGImages/480p" / name).glob("*.jpg"))
        truths = options.root / "Annotations/480p" / name
        backend.begin_video(name)
        figures = []
        for t in range(len(paths) - 1):  # all of them, since the backend remembers
            proposals, times = propose(backend, paths, t)
            # DAVIS 2016 scores neither the first nor the last frame.
            if t > 0 and t % options.stride == 0:
                figures.append((*figures_of(proposals, truths / f"{paths[t].stem}.png"), *times))
        rows.append(np.mean(figures, 0))
        print(f"{name:20s}" + "".join(f"{value:10.3f}" for value in rows[-1]), flush=True)
    print(f"{'mean':20s}" + "".join(f"{value:10.3f}" for value in np.mean(rows, 0)))


if __name__ == "__main__":
    main()
