"""Scores the PNGs of any method against the ground truth of a data set."""

from collections.abc import Collection, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from alba.config import DatasetSettings, parse_settings
from alba.errors import ConfigError, EvaluationError
from alba.evaluation import davis, fbms, youtube_vos
from alba.evaluation.request import Predictions, Request
from alba.evaluation.tables import Results, write_results
from alba.metrics import PROTOCOLS, SEEN_CATEGORIES
from alba.progress import progress
from alba.workers import worker_processes

_BENCHMARKS: dict[str, ModuleType] = {
    **dict.fromkeys(PROTOCOLS, davis),
    "fbms": fbms,
    "youtube-vos": youtube_vos,
}
_OWN_LAYOUT = ("davis16", "fbms", "youtube-vos")
"""Protocols whose data set has a layout of the same name; the others read that of DAVIS 2017."""


class Task(Protocol):
    """One video to score: read in the process that scores it."""

    @property
    def predictions(self) -> Predictions:
        """What is scored."""

    def score(self) -> Any:
        """Read and score all frames that count."""


def evaluate(
    protocol: str,
    ground_truth: str | Path | DatasetSettings,
    predictions: str | Path,
    output: str | Path,
    split: str = "val",
    year: str = "",
    jobs: int = 1,
    allow_missing: bool = False,
    tracks: str = "ids",
    seen: Collection[str] = SEEN_CATEGORIES,
) -> Results:
    """Score predictions and publish the tables; nothing is written unless every video can be scored.

    Parameters
    ----------
    protocol : str
        One of `alba.config.ProtocolName`.
    ground_truth : path or DatasetSettings
        Root of the official data set, or a data set of any layout.
    predictions : path
        Holds ``<video>/<frame>.png`` with the frames' own names; other files are ignored.
    output : path
        Folder of the tables, made if absent; see `write_results`.
    split : str
        Name of the list of videos, or a text file with a name a line; goes into the names of the
        official files.
    year : str
        DAVIS: folder of the list below ``ImageSets``; empty: the official one of the protocol.
    jobs : int
        Processes; videos are shared out among them.
    allow_missing : bool
        Score missing predictions as empty, and count them.
    tracks : "ids" or "first-frame"
        YouTube-VOS: whether track k is object k, or tracks are chosen with the ground truth of each
        object's first annotated frame, as in published zero-shot figures.
    seen : collection of str
        YouTube-VOS: categories that count as seen; others are unseen.

    Raises
    ------
    ConfigError
        The protocol is unknown, or an option does not belong to it.
    EvaluationError
        A prediction that the protocol scores is missing, undecodable, of another size, stores colours,
        holds 255 or too large an id; or there is nothing to score.
    DatasetError
        The ground truth is missing or damaged.
    """
    request = _request(
        protocol, ground_truth, Path(predictions), split, year, allow_missing, tracks, frozenset(seen)
    )
    if not request.predictions.is_dir():
        raise EvaluationError(f"{predictions} does not exist", "give the folder of the predictions")
    benchmark = _BENCHMARKS[protocol]
    tasks = benchmark.find_tasks(request)
    results: Results = benchmark.tabulate(request, tasks, _score_all(tasks, jobs))
    write_results(results, Path(output), Path(split).stem if split.endswith(".txt") else split)
    return results


def _request(
    protocol: str,
    ground_truth: str | Path | DatasetSettings,
    predictions: Path,
    split: str,
    year: str,
    allow_missing: bool,
    tracks: str,
    seen: frozenset[str],
) -> Request:
    if protocol not in _BENCHMARKS:
        raise ConfigError(f"unknown protocol {protocol!r}", f"choose one of {', '.join(_BENCHMARKS)}")
    youtube_vos.check_track_choice(tracks)
    if isinstance(ground_truth, DatasetSettings):
        dataset = ground_truth
    else:
        values = {"layout": protocol if protocol in _OWN_LAYOUT else "davis17", "root": str(ground_truth)}
        dataset = parse_settings(DatasetSettings, values, "ground truth")
    if protocol in ("fbms", "youtube-vos") and dataset.layout != protocol:
        raise ConfigError(f"{protocol} cannot score layout {dataset.layout}", "give a data set of its own")
    if year:
        if not protocol.startswith("davis"):
            raise ConfigError(f"{protocol} has no lists by year", "leave the year out")
        dataset = dataset.model_copy(update={"image_set": year})
    if tracks != "ids" and protocol != "youtube-vos":
        raise ConfigError(f"{protocol} does not choose tracks by the first frame", "leave the choice out")
    return Request(protocol, dataset, split, predictions, allow_missing, tracks, seen)


def _score_all(tasks: Sequence[Task], jobs: int) -> list[Any]:
    if jobs == 1 or len(tasks) == 1:
        return [task.score() for task in progress(tasks, "evaluate", unit="video")]
    with worker_processes(min(jobs, len(tasks))) as pool:
        try:
            # Longest first, so that no process is left alone with a long video at the end.
            order = sorted(range(len(tasks)), key=lambda i: -len(tasks[i].predictions.needed))
            futures = {i: pool.submit(tasks[i].score) for i in order}
            for future in progress(as_completed(futures.values()), "evaluate", len(tasks), unit="video"):
                future.result()  # the first failure ends the evaluation
            return [futures[i].result() for i in range(len(tasks))]
        except BrokenProcessPool:
            raise EvaluationError(
                "a process of the evaluation was killed", "give it more memory, or fewer jobs"
            ) from None
