"""Speed and memory of the measures against the slow reference of the tests, in one run.

    python benchmarks/evaluation.py [--videos 30] [--frames 67] [--jobs 2]

Writes made-up videos of 480 x 854 (2 objects, 20 tracks, annotations with void) in the layout of DAVIS 2017,
then prints the time of the whole evaluation beside that of the same processes only reading the PNGs, the
largest memory of a process for two videos and for all, and the ratios to the reference for one frame of the
evaluation and for one batch of the reward (a frame of 256 x 256 of each of 16 videos, 20 slots, 5 objects).
Set OMP_NUM_THREADS to the cores that a process may use.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alba.evaluation import evaluate
from alba.masks import VOID, read_label_map, write_label_map
from alba.metrics import pair_similarity

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/metrics"))
import reference

SIZE = (480, 854)


def moving_blobs(
    rng: np.random.Generator, num_frames: int, num_labels: int, size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    """Ellipses that drift, later ones in front: (H, W) label maps, one by one.

    A video is never held as a whole: what this process once held would count as memory of those it starts.
    """
    height, width = size
    centres = rng.uniform(0, (width, height), (num_labels, 2))
    steps = rng.uniform(-4, 4, (num_labels, 2))
    axes = rng.uniform(0.04, 0.22, (num_labels, 2)) * height
    angles = rng.uniform(0, 180, num_labels)
    for t in range(num_frames):
        label_map = np.zeros(size, np.uint8)
        for k in range(num_labels):
            centre, axis = (centres[k] + t * steps[k]).astype(int).tolist(), axes[k].astype(int).tolist()
            cv2.ellipse(label_map, centre, axis, float(angles[k]), 0, 360, k + 1, thickness=-1)
        yield label_map


def write_videos(root: Path, num_videos: int, num_frames: int) -> list[str]:
    """Ground truth of two objects and predictions of 20 tracks, as indexed PNGs; returns the names."""
    names = [f"video-{index:02d}" for index in range(num_videos)]
    image = root / "frame.jpg"
    Image.new("RGB", SIZE[::-1]).save(image)
    for index, name in enumerate(names):
        rng = np.random.default_rng(index)
        folders = {f"DAVIS/Annotations_unsupervised/480p/{name}": 2, f"predictions/{name}": 20}
        for folder, num_labels in folders.items():
            (root / folder).mkdir(parents=True)
            for t, label_map in enumerate(moving_blobs(rng, num_frames, num_labels, SIZE)):
                if num_labels == 2:
                    label_map[:40, :60] = VOID
                write_label_map(root / folder / f"{t:05d}.png", label_map)
        frames = root / "DAVIS/JPEGImages/480p" / name
        frames.mkdir(parents=True)
        for t in range(num_frames):
            (frames / f"{t:05d}.jpg").hardlink_to(image)
    return names


def read_all(paths: Sequence[Path]) -> None:
    for path in paths:
        read_label_map(path)


def read_in_processes(paths: Sequence[Path], num_jobs: int) -> None:
    """Decode all PNGs in as many fresh processes as the evaluation has."""
    with ProcessPoolExecutor(num_jobs, get_context("spawn")) as pool:
        list(pool.map(read_all, [paths[job::num_jobs] for job in range(num_jobs)]))


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """Time of one call: the best of `repeats`, as other work on the machine only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def children() -> tuple[float, float]:
    """CPU seconds of the processes that have ended, and the largest memory of any of them in MiB."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call that works in processes of its own; CPU is what load changes least."""
    before = children()[0]
    wall = seconds(call)
    return wall, children()[0] - before


def measure_evaluation(num_videos: int, num_frames: int, num_jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = write_videos(root, num_videos, num_frames)
        score = partial(
            evaluate,
            "davis17-unsupervised",
            root / "DAVIS",
            root / "predictions",
            root / "out",
            jobs=num_jobs,
        )
        (root / "few.txt").write_text("\n".join(names[:2]))
        (root / "all.txt").write_text("\n".join(names))
        score(split=str(root / "few.txt"))
        few_memory = children()[1]
        wall, cpu = measured(partial(score, split=str(root / "all.txt")))
        all_memory = children()[1]
        paths = sorted(root.glob("*/**/*.png"))
        reading, reading_cpu = measured(partial(read_in_processes, paths, num_jobs))
        truth, prediction = (read_label_map(paths[i]) for i in (0, -1))
    fast = seconds(partial(pair_similarity, truth, prediction, 20, 2), repeats=20)
    slow = seconds(partial(reference.pairs, truth, prediction, 20, 2))
    count = num_videos * num_frames
    load = os.getloadavg()[0]
    print(f"evaluation of {num_videos} x {num_frames} frames, {num_jobs} processes, load average {load:.1f}:")
    print(
        f"  {wall:.1f} s (CPU {cpu:.1f} s); reading the PNGs alone {reading:.1f} s (CPU {reading_cpu:.1f} s)"
    )
    print(f"  memory of a process: {few_memory:.0f} MiB for 2 videos, {all_memory:.0f} MiB for {num_videos}")
    print(
        f"  a frame: {fast * 1e3:.1f} ms; reference {slow * 1e3:.0f} ms, {slow / fast:.0f} times; "
        f"all frames by the reference: {slow * count:.0f} s, {slow * count / wall:.0f} times the evaluation"
    )


def measure_reward(batch: int = 16) -> None:
    import torch  # here, as the processes of the evaluation import this file too

    from alba.metrics.reward import TruthBoundaries

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    truths, predictions = (
        np.stack([next(moving_blobs(rng, 1, num_labels, (256, 256))) for _ in range(batch)])
        for num_labels in (5, 20)
    )
    slow = seconds(partial(reference.pairs, truths[0], predictions[0], 20, 5)) * batch
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        truth = TruthBoundaries(torch.from_numpy(truths).to(device), 5)
        slots = torch.from_numpy(predictions).to(device)
        fast = seconds(lambda truth=truth, slots=slots: [x.cpu() for x in truth.score(slots)], repeats=20)
        print(
            f"reward of {batch} frames, {device}: {fast * 1e3:.1f} ms; reference {slow:.2f} s, "
            f"{slow / fast:.0f} times"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--frames", type=int, default=67)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    measure_evaluation(arguments.videos, arguments.frames, arguments.jobs)
    measure_reward()


if __name__ == "__main__":
    main()
