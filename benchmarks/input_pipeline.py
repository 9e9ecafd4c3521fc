r"""Speed at which supervised training takes in its data, against the same loop on batches that are in memory.

    OMP_NUM_THREADS=1 python benchmarks/input_pipeline.py cache/sprites/ \
        [--videos 12] [--rounds 5] [--cases selection assignment]

The argument is the cache of a data set with the stores of its training videos and a selection checkpoint.
One epoch of the selection network (crops are cut out of frames) and one of the assignment network (decisions
are joined to batches) go through their training step twice a round, batch by batch in turn: once reading as
the stage does, once on the very same batches made beforehand. Prints decisions a second of both and their
ratio, medians of the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from alba.config import AssignmentSettings, DatasetSettings, GroupingSettings, SelectionSettings
from alba.training import assignment as assignments
from alba.training import selection as selections
from alba.training.checkpoint import build_assignment, load_selection
from alba.training.corpus import Corpus
from alba.training.crops import draw_samples, read_batches
from alba.training.hardware import Hardware, use_hardware
from alba.training.run import Run
from alba.training.supervised import Tally, descend

Batch = tuple[Any, int]
"""What the loss is computed from, and the number of decisions in it."""


def newest(cache: Path, stage: str) -> Path:
    """Folder of a stage's stores or its checkpoint."""
    found = [path for path in cache.glob(f"{stage}-*") if path.is_dir() and not path.suffix]
    return max(found, key=lambda path: path.stat().st_mtime)


def steps(run: Run, batches: Iterable[Batch], losses: Callable[[Any], Any]) -> Iterator[tuple[float, int]]:
    """Seconds that each batch takes, reading included, and its decisions."""
    tally, start = Tally(run.hardware), time.perf_counter()
    for batch, count in batches:
        descend(run, run.network, *losses(batch), count, tally)
        yield time.perf_counter() - start, count
        start = time.perf_counter()


def compare(name: str, run: Run, read: Callable[[], Iterable[Batch]], losses: Any, rounds: int) -> None:
    held = list(read())
    speeds = []
    for _ in range(rounds + 1):  # the first one warms up
        both = zip(steps(run, read(), losses), steps(run, held, losses), strict=True)
        reading, holding = np.sum(list(both), axis=0)
        speeds.append((reading[1] / reading[0], holding[1] / holding[0]))
    reads, holds = np.median(speeds[1:], axis=0)
    ratio = statistics.median(reading / holding for reading, holding in speeds[1:])
    print(f"{name:12s}{len(held):8d}{reads:12.0f}{holds:12.0f}{ratio:10.3f}", flush=True)


def begin(network: torch.nn.Module, kind: str, folder: Path, hardware: Hardware) -> Run:
    network.to(hardware.device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    return Run(folder / kind, {}, {"kind": kind}, network, optimizer, [], hardware)


def measure_selection(corpus: Corpus, folder: Path, hardware: Hardware, rounds: int) -> None:
    settings = SelectionSettings()
    videos = selections.load_selection_videos(corpus, settings)
    selection = selections._begin(videos, settings, hardware)
    run = begin(selection.network, "selection", folder, hardware)

    def read() -> Iterable[Batch]:
        return read_batches(draw_samples(videos, settings, np.random.default_rng(0)), settings, hardware)

    compare("selection", run, read, lambda batch: selections._losses(selection, batch, hardware), rounds)


def measure_assignment(
    corpus: Corpus, selection_folder: Path, folder: Path, hardware: Hardware, rounds: int
) -> None:
    settings, grouping = AssignmentSettings(), GroupingSettings()
    selection = load_selection(selection_folder)
    assignment = build_assignment(settings, grouping, selection.num_features)
    videos = assignments.load_training_videos(corpus, selection, selection_folder, assignment)
    lessons = assignments._teach(videos, assignment, 0.5, hardware)
    assignments._standardize(assignment, lessons)
    run = begin(assignment.network, "assignment", folder, hardware)

    def read() -> Iterable[Batch]:
        drawn = assignments.draw_batches(lessons, settings, np.random.default_rng(0))
        return assignments.read_batches(drawn, assignment, hardware)

    compare("assignment", run, read, lambda batch: assignments._losses(assignment, batch, hardware), rounds)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    cases = ("selection", "assignment")
    parser.add_argument("--cases", nargs="+", default=cases, choices=cases)
    arguments = parser.parse_args(words)
    stores = (newest(arguments.cache, stage) for stage in ("proposals", "flow", "labels"))
    dataset = DatasetSettings(root=str(newest(arguments.cache, "sprites")))
    corpus = Corpus.of(dataset, "train", *stores)
    del corpus.videos[arguments.videos :]
    with use_hardware(SelectionSettings(device=arguments.device)) as hardware, TemporaryDirectory() as folder:
        print(hardware.device, f"{torch.get_num_threads()} threads")
        print(f"{'':12s}{'batches':>8s}{'reading':>12s}{'in memory':>12s}{'ratio':>10s}")
        if "selection" in arguments.cases:
            measure_selection(corpus, Path(folder), hardware, arguments.rounds)
        if "assignment" in arguments.cases:
            selection = newest(arguments.cache, "selection")
            measure_assignment(corpus, selection, Path(folder), hardware, arguments.rounds)


if __name__ == "__main__":
    main()
