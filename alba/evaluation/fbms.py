"""FBMS-59 on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from alba.datasets import RegionTruth, fbms, list_videos
from alba.evaluation.request import Predictions, Request, find_predictions
from alba.evaluation.tables import Results
from alba.metrics.fbms import RegionScores, data_set_measure, evaluate_regions

_OFFICIAL = ("F-Measure", "Precision", "Recall", "Extracted", "Objects")


@dataclass(frozen=True)
class FbmsTask:
    """One video to score."""

    truth: RegionTruth
    predictions: Predictions

    def score(self) -> RegionScores:
        """Read and score all labelled frames."""
        truth = self.truth
        frames = (truth.read(i) for i in range(len(truth.frames)))
        return evaluate_regions(
            frames, self.predictions, truth.num_regions, truth.name, self.predictions.frame_names
        )


def find_tasks(request: Request) -> list[FbmsTask]:
    """All videos of the split, with their predictions of the labelled frames."""
    root, tasks = Path(request.dataset.root), []
    for name in list_videos(request.dataset, request.split):
        truth = fbms.open_regions(root, name)
        rule = f"fbms scores the {len(truth.frames)} frames that {truth.definition.name} lists"
        scored = range(len(truth.frames))
        tasks.append(FbmsTask(truth, find_predictions(request, name, truth.frame_names, scored, rule)))
    return tasks


def tabulate(request: Request, tasks: Sequence[FbmsTask], scores: Sequence[RegionScores]) -> Results:
    """Tables of an evaluation."""
    truths = [task.truth for task in tasks]
    return Results(
        request.protocol,
        data_set_measure(scores),
        pd.DataFrame(
            {"Sequence": truth.name, **data_set_measure([one])}
            for truth, one in zip(truths, scores, strict=True)
        ),
        _OFFICIAL,
        pd.concat(map(_objects, truths, scores), ignore_index=True),
        pd.concat(map(_frames, truths, scores), ignore_index=True),
        sum(task.predictions.num_missing for task in tasks),
        {
            "F-Measure": "Ochs, Malik and Brox (2014); the background is a region",
            "Volume-IoU": "mean over objects, matched by it, without the background",
        },
    )


def _objects(truth: RegionTruth, scores: RegionScores) -> pd.DataFrame:
    """A row per visible region, the background included."""
    return pd.DataFrame(
        {
            "sequence": truth.name,
            "object": scores.regions,
            "track": scores.clusters,
            "Precision": scores.precision,
            "Recall": scores.recall,
            "F-Measure": scores.f_measure,
            "Volume-IoU": scores.volume_iou,
        }
    )


def _frames(truth: RegionTruth, scores: RegionScores) -> pd.DataFrame:
    """Precision, recall and F of every region with its cluster, in each labelled frame alone; 0 / 0 is 0."""
    clusters = np.maximum(scores.clusters, 0)
    shared = np.take_along_axis(scores.overlap, clusters[None, :, None], 2)[..., 0] * (scores.clusters >= 0)
    region_sizes = scores.overlap.sum(2)
    cluster_sizes = scores.overlap.sum(1)[:, clusters]
    num_frames, num_regions = shared.shape
    return pd.DataFrame(
        {
            "sequence": truth.name,
            "object": np.repeat(scores.regions, num_frames),
            "frame": np.tile(truth.frames, num_regions),
            "name": np.tile(truth.frame_names, num_regions),
            "Precision": (shared / np.maximum(cluster_sizes, 1)).T.ravel(),
            "Recall": (shared / np.maximum(region_sizes, 1)).T.ravel(),
            "F-Measure": (2 * shared / np.maximum(region_sizes + cluster_sizes, 1)).T.ravel(),
        }
    )
