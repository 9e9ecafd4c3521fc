"""Scores the PNGs of any method against the ground truth of a data set."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.datasets import Video
from alba.errors import DatasetError, EvaluationError
from alba.evaluation.tables import Results, write_results
from alba.masks import read_label_map
from alba.metrics import PROTOCOLS, VideoScores, evaluate_video
from alba.progress import progress


@dataclass(frozen=True)
class _Task:
    """One video to score: `paths` has its predictions, None where a frame is left out or missing."""

    video: Video
    paths: tuple[Path | None, ...]
    num_missing: int


def evaluate(
    protocol: str,
    ground_truth: Sequence[Video],
    predictions: Path,
    output: Path,
    num_jobs: int = 1,
    split: str = "val",
    allow_missing: bool = False,
) -> Results:
    """Score predictions and publish the tables; nothing is written unless every video can be scored.

    Parameters
    ----------
    protocol : str
        A key of `alba.metrics.PROTOCOLS`.
    ground_truth : sequence of Video
        Annotated videos, in the order of the tables.
    predictions : Path
        Holds ``<video>/<frame>.png`` with the frames' own names; other files are ignored.
    output : Path
        Folder of the tables, made if absent; see `write_results`.
    num_jobs : int
        Processes; videos are shared out among them.
    split : str
        Goes into the names of the official files.
    allow_missing : bool
        Score missing predictions as empty, and count them.

    Raises
    ------
    EvaluationError
        A prediction that the protocol scores is missing, undecodable, of another size, stores colours,
        holds 255 or too large an id; or there is nothing to score.
    DatasetError
        The ground truth is missing or damaged.
    """
    if not predictions.is_dir():
        raise EvaluationError(f"{predictions} does not exist", "give the folder of the predictions")
    tasks = [_find_predictions(video, predictions, protocol, allow_missing) for video in ground_truth]
    scores = _score_all(tasks, protocol, num_jobs)
    results = Results(
        protocol,
        {task.video.name: video_scores for task, video_scores in zip(tasks, scores, strict=True)},
        sum(task.num_missing for task in tasks),
    )
    write_results(results, output, split)
    return results


def _find_predictions(video: Video, predictions: Path, protocol: str, allow_missing: bool) -> _Task:
    if video.annotation_paths is None:
        raise EvaluationError(f"video {video.name} has no ground truth", "score annotated videos only")
    folder = predictions / video.name
    paths = [folder / f"{frame.stem}.png" for frame in video.frame_paths]
    scored = set(PROTOCOLS[protocol].scored(range(len(video))))
    missing = {t for t in scored if not paths[t].is_file()}
    if missing and not allow_missing:
        rule = f"{protocol} scores {'every frame' if PROTOCOLS[protocol].scores_ends else 'this frame'}"
        what = paths[min(missing)] if folder.is_dir() else folder
        raise EvaluationError(f"{what} is missing, and {rule}", "write it, or allow missing predictions")
    needed = scored - missing
    return _Task(video, tuple(path if t in needed else None for t, path in enumerate(paths)), len(missing))


def _score_all(tasks: Sequence[_Task], protocol: str, num_jobs: int) -> list[VideoScores]:
    score = partial(_score, protocol=protocol)
    if num_jobs == 1 or len(tasks) == 1:
        return list(progress(map(score, tasks), "evaluate", len(tasks), unit="video"))
    # Fresh processes: a fork would inherit the threads of whatever library the caller has loaded.
    with ProcessPoolExecutor(min(num_jobs, len(tasks)), get_context("spawn")) as pool:
        try:
            # Longest first, so that no process is left alone with a long video at the end.
            order = sorted(range(len(tasks)), key=lambda i: -len(tasks[i].video))
            futures = {i: pool.submit(score, tasks[i]) for i in order}
            waiting = (futures[i].result() for i in range(len(tasks)))
            return list(progress(waiting, "evaluate", len(tasks), unit="video"))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _score(task: _Task, protocol: str) -> VideoScores:
    video = task.video
    truths = (video.annotation(t) for t in range(len(video)))
    masks = (None if path is None else _read_prediction(path, protocol) for path in task.paths)
    frame_names = [str(path) for path in task.paths]
    return evaluate_video(truths, masks, protocol, video.name, frame_names)


def _read_prediction(path: Path, protocol: str) -> NDArray[np.uint8]:
    try:
        return read_label_map(path)
    except DatasetError as error:
        raise EvaluationError(f"{error.problem}, which {protocol} needs", error.remedy) from None
