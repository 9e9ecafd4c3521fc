"""The DAVIS protocols on disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from alba.datasets import Video, list_videos, open_video
from alba.errors import EvaluationError
from alba.evaluation.request import Predictions, Request, find_predictions
from alba.evaluation.tables import Results, object_tables, overall_statistics, sequence_rows
from alba.metrics import PROTOCOLS, VideoScores, evaluate_video

_ANNOTATIONS = {
    "davis17-unsupervised": ("Annotations_unsupervised", "Annotations"),
    "davis17-semisupervised": ("Annotations",),
    "davis16": ("Annotations",),
}
"""Folders of the ground truth. Data sets of one's own may lack the first: then the second serves."""


@dataclass(frozen=True)
class DavisTask:
    """One video to score."""

    protocol: str
    video: Video
    predictions: Predictions

    def score(self) -> VideoScores:
        """Read and score all frames."""
        video = self.video
        truths = (video.annotation(t) for t in range(len(video)))
        return evaluate_video(
            truths, self.predictions, self.protocol, video.name, self.predictions.frame_names
        )


def find_tasks(request: Request) -> list[DavisTask]:
    """All videos of the list, with their predictions."""
    dataset, split = request.dataset, request.split
    if request.protocol == "davis17-unsupervised" and split.startswith("test-") and not dataset.image_set:
        dataset = dataset.model_copy(update={"image_set": "2019"})  # where the official scorer looks
    folders = _ANNOTATIONS[request.protocol]
    return [
        _find_task(request, open_video(dataset, name, folders, needs_images=False))
        for name in list_videos(dataset, split)
    ]


def _find_task(request: Request, video: Video) -> DavisTask:
    rules = PROTOCOLS[request.protocol]
    if video.annotation_paths is None:
        raise EvaluationError(
            f"video {video.name} has no ground truth in {' or '.join(_ANNOTATIONS[rules.name])}",
            "score annotated videos only",
        )
    scored = set(rules.scored(range(len(video))))
    which = "every frame" if rules.scores_ends else "all frames but the first and the last"
    rule = f"{rules.name} scores {which}"
    frames = [path.stem for path in video.frame_paths]
    return DavisTask(rules.name, video, find_predictions(request, video.name, frames, scored, rule))


def tabulate(request: Request, tasks: Sequence[DavisTask], scores: Sequence[VideoScores]) -> Results:
    """Tables of an evaluation."""
    videos = {task.video.name: video_scores for task, video_scores in zip(tasks, scores, strict=True)}
    frame_names = {task.video.name: [path.stem for path in task.video.frame_paths] for task in tasks}
    objects, frames = object_tables(videos, frame_names)
    return Results(
        request.protocol,
        overall_statistics(objects),
        sequence_rows(objects),
        ("J-Mean", "F-Mean"),
        objects,
        frames,
        sum(task.predictions.num_missing for task in tasks),
        {"annotations": _annotation_folder(tasks[0].video)},
    )


def _annotation_folder(video: Video) -> str:
    """Last two folders above the video's own, such as ``Annotations/480p``."""
    assert video.annotation_paths is not None  # _find_task has seen to it
    return "/".join(video.annotation_paths[0].parts[-4:-2])
