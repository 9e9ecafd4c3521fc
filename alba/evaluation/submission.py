"""The archive that the YouTube-VOS server takes."""

import io
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from alba.config import DatasetSettings
from alba.evaluation.request import Request
from alba.evaluation.youtube_vos import YouTubeTask, check_track_choice, open_tasks
from alba.masks import read_label_map, write_label_map
from alba.metrics import SEEN_CATEGORIES
from alba.metrics.davis import check_prediction
from alba.metrics.youtube_vos import check_ids
from alba.progress import progress
from alba.whole_file import whole_file


def write_submission(
    ground_truth: str | Path | DatasetSettings,
    predictions: str | Path,
    output: str | Path,
    split: str = "valid",
    tracks: str = "ids",
    allow_missing: bool = False,
) -> int:
    """Write ``Annotations/<video>/<frame>.png`` of every frame that the server scores into one archive.

    Parameters
    ----------
    ground_truth : path or DatasetSettings
        Root of YouTube-VOS.
    predictions : path
        Holds ``<video>/<frame>.png``.
    output : path
        ZIP file; whole or absent, and the same bytes for the same predictions.
    split : str
    tracks : "ids" or "first-frame"
        Whether track k is object k, or the tracks are chosen with the ground truth of each object's first
        frame and renumbered.
    allow_missing : bool
        Hand in missing predictions as empty.

    Returns
    -------
    int
        Predictions that were missing.

    Raises
    ------
    EvaluationError
        A prediction is missing, undecodable, of another size, stores colours or holds a wrong id, or the
        archive cannot be written.
    """
    check_track_choice(tracks)
    if not isinstance(ground_truth, DatasetSettings):
        ground_truth = DatasetSettings(layout="youtube-vos", root=str(ground_truth))
    request = Request(
        "youtube-vos", ground_truth, split, Path(predictions), allow_missing, tracks, SEEN_CATEGORIES
    )
    tasks = open_tasks(request)
    with whole_file(Path(output)) as partial, ZipFile(partial, "w") as archive:
        for task in progress(tasks, "submission", unit="video"):
            for frame, label_map in _label_maps(task):
                content = io.BytesIO()
                write_label_map(content, label_map)
                # A fixed date: the archive depends on the masks alone.
                entry = ZipInfo(f"Annotations/{task.truth.name}/{frame}.png", (1980, 1, 1, 0, 0, 0))
                archive.writestr(entry, content.getvalue())
    return sum(task.predictions.num_missing for task in tasks)


def _label_maps(task: YouTubeTask) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Frames from the first annotated one on, with the ids of the objects."""
    truth, predictions = task.truth, task.predictions
    object_ids = [item.object_id for item in truth.objects]
    reference = read_label_map(truth.path(truth.objects[0].first))
    table = np.arange(256, dtype=np.uint8)
    if task.tracks == "first-frame":
        table[:] = 0
        chosen = task.chosen_tracks()
        table[chosen[chosen > 0]] = np.array(object_ids, np.uint8)[chosen > 0]
    for t in range(min(truth.frames.index(item.first) for item in truth.objects), len(truth.frames)):
        predicted = predictions.read(t)
        if predicted is None:
            predicted = np.zeros_like(reference)
        check_prediction(predicted, reference, "youtube-vos", str(predictions.paths[t]))
        if task.tracks == "ids":
            check_ids(predicted, object_ids, str(predictions.paths[t]))
        yield truth.frames[t], table[predicted]
