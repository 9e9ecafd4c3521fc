"""YouTube-VOS on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.datasets import ObjectTruth, list_videos, youtube_vos
from alba.errors import ConfigError, EvaluationError
from alba.evaluation.request import Predictions, Request, find_predictions
from alba.evaluation.tables import Results, object_tables, overall_statistics, sequence_rows
from alba.masks import read_label_map
from alba.metrics import VideoScores, choose_tracks, evaluate_objects
from alba.metrics.davis import check_prediction
from alba.metrics.youtube_vos import overall_measure

TRACK_RULES = {
    "ids": "track k is object k",
    "first-frame": "chosen with the ground truth of each object's first annotated frame",
}


def check_track_choice(tracks: str) -> None:
    """Raise `ConfigError` unless `tracks` is a key of `TRACK_RULES`."""
    if tracks not in TRACK_RULES:
        raise ConfigError(f"unknown way to choose tracks {tracks!r}", f"give {' or '.join(TRACK_RULES)}")


@dataclass(frozen=True)
class YouTubeTask:
    """One video to score, or to hand in."""

    truth: ObjectTruth
    predictions: Predictions
    tracks: str

    def score(self) -> VideoScores:
        """Read and score all annotated frames."""
        truth = self.truth
        return evaluate_objects(
            (read_label_map(truth.path(frame)) for frame in truth.frames),
            self.predictions,
            [item.object_id for item in truth.objects],
            [truth.frames.index(item.first) for item in truth.objects],
            None if self.tracks == "ids" else self.chosen_tracks().tolist(),
            truth.name,
            self.predictions.frame_names,
        )

    def chosen_tracks(self) -> NDArray[np.int64]:
        """Track of each object (O,), chosen with the annotation of its first frame; 0 for none."""
        pairs = []
        for item in self.truth.objects:
            annotation = read_label_map(self.truth.path(item.first))
            t = self.truth.frames.index(item.first)
            predicted = self.predictions.read(t)
            if predicted is None:
                predicted = np.zeros_like(annotation)
            check_prediction(predicted, annotation, "youtube-vos", str(self.predictions.paths[t]))
            pairs.append((annotation == item.object_id, predicted))
        return choose_tracks(pairs)


def open_tasks(request: Request) -> list[YouTubeTask]:
    """All videos of the split, with their predictions from the first annotated frame on."""
    names = list_videos(request.dataset, request.split)
    truths = youtube_vos.open_objects(Path(request.dataset.root), names)
    return [_find_task(request, truth) for truth in truths]


def _find_task(request: Request, truth: ObjectTruth) -> YouTubeTask:
    first = min(truth.frames.index(item.first) for item in truth.objects)
    rule = "youtube-vos scores every fifth frame from an object's first annotation on"
    scored = range(first, len(truth.frames))
    return YouTubeTask(
        truth, find_predictions(request, truth.name, truth.frames, scored, rule), request.tracks
    )


def find_tasks(request: Request) -> list[YouTubeTask]:
    """All videos of a split whose ground truth is all there, with their predictions.

    Raises
    ------
    EvaluationError
        It is not, as in `valid` and `test`.
    """
    tasks = open_tasks(request)
    for truth in (task.truth for task in tasks):
        for frame in truth.frames:
            if frame not in truth.annotated:
                raise EvaluationError(
                    f"{truth.path(frame)} is missing: this split is scored on the official server",
                    "write an archive by `alba submission`, or score a part of train",
                )
        for item in truth.objects:
            if not item.category:
                raise EvaluationError(
                    f"meta.json tells no category of object {item.object_id} of {truth.name}",
                    "seen and unseen categories are scored apart: restore it",
                )
    return tasks


def tabulate(request: Request, tasks: Sequence[YouTubeTask], scores: Sequence[VideoScores]) -> Results:
    """Tables of an evaluation."""
    videos = {task.truth.name: one for task, one in zip(tasks, scores, strict=True)}
    objects, frames = object_tables(videos, {task.truth.name: task.truth.frames for task in tasks})
    categories = [item.category for task in tasks for item in task.truth.objects]
    objects.insert(3, "category", categories)
    means = {measure: objects[f"{measure}-Mean"].to_numpy() for measure in "JF"}
    return Results(
        request.protocol,
        {**overall_measure(means, categories, request.seen), **overall_statistics(objects)},
        sequence_rows(objects),
        ("J-Mean", "F-Mean"),
        objects,
        frames,
        sum(task.predictions.num_missing for task in tasks),
        {"tracks": TRACK_RULES[request.tracks]},
    )
