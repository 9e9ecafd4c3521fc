"""Decisions a second of a rollout against the direct implementation of the same network, on the CPU.

    python -m benchmarks.rollout [--cases late early ...] [--frames 70] [--decisions 100] [--repeats 3]

One thread, processor time: what else runs on the machine does not count. A made video of 70 frames of 120 x
213 pixels with ten proposals each, two of each of four moving objects and two of clutter; K = 20. The
logits are computed and then overruled by a script, so that both forms go through the same states whatever the
weights are: objects keep their slots, clutter goes to slots drawn at random, so that all K are soon in use,
and a tenth of all decisions is random, in every rollout another. The direct form (`benchmarks/direct.py`)
takes the decisions of one of the rollouts; its time per decision does not depend on them, so that it is
measured on some (`--decisions`, a tenth of that with the paper's settings). Runs of one episode and of the
direct form alternate, and each keeps its best; episodes together, which take longest, run once. All cases
take some minutes of an idle core.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alba.config import AssignmentSettings, GroupingSettings
from alba.grouping import GroupingVideo, group_video, roll_out
from alba.training.checkpoint import Assignment, build_assignment
from benchmarks.direct import PixelVideo, group

NUM_PROPOSALS, NUM_OBJECTS, NUM_SLOTS = 10, 4, 20
WORKING = (120, 213)
NUM_FEATURES = 42
PAPER_HIDDEN = (4096, 2048, 1024, 512)


@dataclass(frozen=True)
class Case:
    """A form of the network, and how many episodes training rolls out together: videos x rollouts."""

    fusion: str
    input_size: int
    hidden: tuple[int, ...]
    none_action: bool
    together: tuple[int, int]
    direct_decisions: float  # share of --decisions


CASES = {
    "late": Case("late", 48, (128, 128, 64, 64), True, (8, 4), 2),
    "late, paper's MLP": Case("late", 48, PAPER_HIDDEN, False, (8, 4), 1),
    "early": Case("early", 48, (128, 128, 64, 64), False, (8, 4), 1),
    "early, paper": Case("early", 256, PAPER_HIDDEN, False, (8, 1), 0.1),
}


def make_video(seed: int, num_frames: int, size: int) -> PixelVideo:
    """Ellipses that drift, each proposed twice with other outlines, and clutter that stays a frame."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: WORKING[0], : WORKING[1]]
    centres, speeds = rng.uniform(0.2, 0.8, (NUM_OBJECTS, 2)) * WORKING, rng.normal(0, 1, (NUM_OBJECTS, 2))
    radii = rng.uniform(0.08, 0.2, (NUM_OBJECTS, 2)) * WORKING[0]
    masks = []
    for _ in range(num_frames):
        centres = (centres + speeds).clip(0, np.array(WORKING) - 1)
        clutter = rng.uniform(0, 1, (2, 2)) * WORKING, rng.uniform(4, 15, (2, 2))
        where = np.concatenate([centres, centres + rng.normal(0, 2, centres.shape), clutter[0]])
        extent = np.concatenate([radii, radii * rng.uniform(0.6, 1, radii.shape), clutter[1]])
        offsets = [
            ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2
            for (y, x), (a, b) in zip(where, extent, strict=True)
        ]
        masks.append(np.stack(offsets) < 1)
    features = [rng.normal(size=(NUM_PROPOSALS, NUM_FEATURES + 2)).astype(np.float32) for _ in masks]
    backward = rng.normal(0, 0.5, (num_frames, 2, *WORKING)).astype(np.float32)
    pictures = rng.normal(0, 0.3, (num_frames, 5, size, size)).astype(np.float16)
    return PixelVideo(masks, features, backward, pictures)


class Scripted:
    """A network whose logits are computed and then overruled."""

    def __init__(self, assignment: Assignment, num_frames: int, num_episodes: int) -> None:
        self.network = assignment.network
        rng = np.random.default_rng(num_episodes)
        wanted = np.arange(NUM_PROPOSALS) % NUM_OBJECTS
        wanted = np.tile(wanted, (num_frames, num_episodes, 1))
        wanted[..., 2 * NUM_OBJECTS :] = rng.integers(NUM_SLOTS, size=wanted[..., 2 * NUM_OBJECTS :].shape)
        random = rng.random(wanted.shape) < 0.1
        wanted[random] = rng.integers(NUM_SLOTS, size=random.sum())
        self.wanted = torch.from_numpy(wanted.transpose(0, 2, 1).reshape(-1, num_episodes))
        self.decision = 0

    def __call__(self, *observation: Tensor | int) -> Tensor:
        """Logits of the network, with the script's slot far above all others."""
        logits = self.network(*observation)
        # A slot that is not yet live stands for the next empty one, which is the last that is looked at.
        slot = self.wanted[self.decision].clamp_max(int(observation[-1]) - 1)
        self.decision += 1
        return logits.scatter(1, slot[:, None], 1e4)


def roll(videos: list[GroupingVideo], num_rollouts: int, assignment: Assignment) -> tuple[float, list]:
    """Seconds per decision, and the decisions of the first episode."""
    script = Scripted(assignment, len(videos[0]), len(videos) * num_rollouts)
    start = time.process_time()
    episodes = roll_out(videos, assignment.observer, script, NUM_SLOTS, num_rollouts=num_rollouts)
    seconds = time.process_time() - start
    num_decisions = num_rollouts * sum(video.num_decisions for video in videos)
    return seconds / num_decisions, episodes.frame_choices(0)


@torch.no_grad()
def measure(name: str, num_frames: int, num_decisions: int, repeats: int) -> None:
    case = CASES[name]
    num_videos, num_rollouts = case.together
    pixels = [make_video(seed, num_frames, case.input_size) for seed in range(num_videos)]
    videos = [
        group_video(
            "v", p.masks, list(p.features), p.backward, None, p.pictures if case.fusion == "early" else None
        )
        for p in pixels
    ]
    torch.manual_seed(0)
    settings = AssignmentSettings(
        fusion=case.fusion, encoder={"input_size": case.input_size}, hidden=case.hidden
    )
    grouping = GroupingSettings(num_slots=NUM_SLOTS, none_action=case.none_action)
    assignment = build_assignment(settings, grouping, NUM_FEATURES)
    weights = assignment.network.state_dict()
    some = max(1, round(case.direct_decisions * num_decisions))
    times: dict[str, list[float]] = {"direct": [], "one": []}
    for _ in range(repeats):
        seconds, choices = roll(videos[:1], 1, assignment)
        times["one"].append(seconds)
        start = time.process_time()
        group(pixels[0], case.fusion, weights, NUM_SLOTS, assignment.observer.none_action, choices, some)
        times["direct"].append((time.process_time() - start) / some)
    direct, one = (1 / min(times[kind]) for kind in ("direct", "one"))
    together = 1 / roll(videos, num_rollouts, assignment)[0]
    alone = f"{name:20s}{direct:10.1f}{one:10.1f}{one / direct:8.1f}"
    print(
        f"{alone}{f'{num_videos} x {num_rollouts}':>8s}{together:10.1f}{together / direct:8.1f}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument(
        "--decisions", type=int, default=100, help="of the direct form; paper's settings: a tenth"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, default=70)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("decisions a processor second; x: times the direct implementation")
    print(f"{'':20s}{'direct':>10s}{'one':>10s}{'x':>8s}{'videos':>8s}{'together':>10s}{'x':>8s}")
    for name in arguments.cases:
        measure(name, arguments.frames, arguments.decisions, arguments.repeats)


if __name__ == "__main__":
    main()
