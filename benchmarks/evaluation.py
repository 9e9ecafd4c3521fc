"""Speed of the measures against the slow reference of the tests, in one run.

    python benchmarks/evaluation.py [--videos 30] [--frames 67] [--jobs 2]

Writes made-up videos of 480 x 854 (2 objects, 20 tracks, annotations with void), then prints the time of
the whole evaluation, that of reading its PNGs alone, the largest memory of a process, and the ratios to the
reference for one frame of the evaluation and for one batch of the reward (16 frames of 256 x 256, 20 slots,
5 objects). Set OMP_NUM_THREADS to the cores that a process may use.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alba.datasets import Video
from alba.evaluation import evaluate
from alba.masks import VOID, read_label_map, write_label_map
from alba.metrics import pair_similarity

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/metrics"))
import reference

SIZE = (480, 854)


def moving_blobs(
    rng: np.random.Generator, num_frames: int, num_labels: int, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Ellipses that drift, later ones in front: (T, H, W) label maps."""
    height, width = size
    centres = rng.uniform(0, (width, height), (num_labels, 2))
    steps = rng.uniform(-4, 4, (num_labels, 2))
    axes = rng.uniform(0.04, 0.22, (num_labels, 2)) * height
    angles = rng.uniform(0, 180, num_labels)
    video = np.zeros((num_frames, *size), np.uint8)
    for t in range(num_frames):
        for k in range(num_labels):
            centre, axis = (centres[k] + t * steps[k]).astype(int).tolist(), axes[k].astype(int).tolist()
            cv2.ellipse(video[t], centre, axis, float(angles[k]), 0, 360, k + 1, thickness=-1)
    return video


def write_videos(root: Path, num_videos: int, num_frames: int) -> list[Video]:
    """Ground truth of two objects and predictions of 20 tracks, as indexed PNGs."""
    videos = []
    for index in range(num_videos):
        rng = np.random.default_rng(index)
        name = f"video-{index:02d}"
        truth = moving_blobs(rng, num_frames, 2, SIZE)
        truth[:, :40, :60] = VOID
        stored = {"truth": truth, "predictions": moving_blobs(rng, num_frames, 20, SIZE)}
        for kind, maps in stored.items():
            (root / kind / name).mkdir(parents=True)
            for t, label_map in enumerate(maps):
                write_label_map(root / kind / name / f"{t:05d}.png", label_map)
        image = root / f"{name}.jpg"
        Image.new("RGB", SIZE[::-1]).save(image)
        annotations = tuple(sorted((root / "truth" / name).iterdir()))
        videos.append(Video(name, tuple(image.with_stem(p.stem) for p in annotations), annotations))
        videos[-1].__dict__["size"] = SIZE  # the frames themselves are never read
    return videos


def read_all(paths: list[Path]) -> None:
    for path in paths:
        read_label_map(path)


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """Time of one call: the best of `repeats`, as other work on the machine only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def children_cpu() -> float:
    """CPU seconds of the processes that have ended: what other work on the machine changes least."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_evaluation(num_videos: int, num_frames: int, num_jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        videos = write_videos(root, num_videos, num_frames)
        predictions = root / "predictions"
        before = children_cpu()
        whole = seconds(
            partial(evaluate, "davis17-unsupervised", videos, predictions, root / "out", num_jobs)
        )
        whole_cpu = children_cpu() - before
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        paths = sorted(root.glob("*/*/*.png"))
        reading = seconds(partial(read_all, paths))
        truth, prediction = (read_label_map(paths[i]) for i in (len(paths) // 2, 0))
    fast = seconds(partial(pair_similarity, truth, prediction, 20, 2), repeats=20)
    slow = seconds(partial(reference.pairs, truth, prediction, 20, 2))
    count = num_videos * num_frames
    print(f"evaluation of {num_videos} x {num_frames} frames, {num_jobs} processes: {whole:.1f} s")
    print(f"  CPU {whole_cpu:.1f} s, at most {memory:.0f} MiB a process")
    print(f"  reading its PNGs alone, in one process: {reading:.1f} s")
    print(
        f"  a frame: {fast * 1e3:.1f} ms; reference {slow * 1e3:.0f} ms, {slow / fast:.0f} times; "
        f"all frames by the reference: {slow * count:.0f} s"
    )


def measure_reward(batch: int = 16) -> None:
    import torch  # here, as the processes of the evaluation import this file too

    from alba.metrics.reward import TruthBoundaries

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    truths, predictions = (
        np.concatenate([moving_blobs(rng, 1, num_labels, (256, 256)) for _ in range(batch)])
        for num_labels in (5, 20)
    )
    truth = TruthBoundaries(torch.from_numpy(truths), 5)
    fast = seconds(partial(truth.score, torch.from_numpy(predictions)), repeats=20)
    slow = seconds(partial(reference.pairs, truths[0], predictions[0], 20, 5)) * batch
    print(f"reward of {batch} frames: {fast * 1e3:.1f} ms; reference {slow:.2f} s, {slow / fast:.0f} times")


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
