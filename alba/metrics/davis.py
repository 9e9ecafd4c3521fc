"""The DAVIS protocols: objects, tracks, matching and statistics of one video.

Two of the official scorer's quirks are not repeated: it numbers objects by proposal (here by true id), and
its 8-bit bin edges make decay wrong from 256 frames on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from alba.errors import EvaluationError
from alba.masks import MAX_OBJECTS, VOID
from alba.metrics.similarity import pair_similarity

STATISTICS = ("J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
"""Official column names of what is told of one object."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Protocol:
    """The rules in which the DAVIS benchmarks differ.

    Parameters
    ----------
    name : str
    binary : bool
        Every non-zero pixel is the one object, in ground truth and prediction.
    matched : bool
        Tracks are matched to objects; otherwise track k is object k.
    scores_ends : bool
        Whether the first and the last frame count.
    """

    name: str
    binary: bool
    matched: bool
    scores_ends: bool

    def scored(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those of a video's frames, or of what stands for them, that count."""
        if self.scores_ends:
            yield from items
            return
        for item, _ in pairwise(islice(items, 1, None)):
            yield item


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("davis17-unsupervised", binary=False, matched=True, scores_ends=True),
        Protocol("davis17-semisupervised", binary=False, matched=False, scores_ends=False),
        Protocol("davis16", binary=True, matched=False, scores_ends=False),
    )
}


@dataclass(frozen=True, eq=False)
class VideoScores:
    """Scores of one video, a column per object of the ground truth.

    Parameters
    ----------
    frames : (T,) int64
        Indices of the frames that count.
    tracks : (O,) int64
        Id of the track that was matched to each object; an id that no frame holds is an empty track.
    J, F : (T, O) float64 in [0, 1]
        Region and boundary similarity of each object with its track; NaN where the object does not count.
    objects : (O,) int64
        True id of each object.
    """

    frames: NDArray[np.int64]
    tracks: NDArray[np.int64]
    J: NDArray[np.float64]
    F: NDArray[np.float64]
    objects: NDArray[np.int64]

    def statistics(self) -> NDArray[np.float64]:
        """(O, 6) float64: `STATISTICS` of every object, ids rising."""
        rows = [
            [*summarise(J[np.isfinite(J)]), *summarise(F[np.isfinite(F)])]
            for J, F in zip(self.J.T, self.F.T, strict=True)
        ]
        return np.array(rows).reshape(len(self.objects), len(STATISTICS))


def evaluate_video(
    ground_truth: Iterable[NDArray[np.uint8]],
    prediction: Iterable[NDArray[np.uint8] | None],
    protocol: str,
    name: str = "the video",
    frame_names: Sequence[str] | None = None,
) -> VideoScores:
    """Score one video, frame by frame: memory does not grow with its length but for the scores.

    Parameters
    ----------
    ground_truth : iterable of (H, W) uint8
        Label maps of all frames; 255 is void. Objects are the ids up to the largest in the first frame.
    prediction : iterable of (H, W) uint8 or None
        Label maps of all frames. None is an empty frame; what stands for a frame that the protocol
        leaves out is not looked at.
    protocol : str
        A key of `PROTOCOLS`.
    name : str
        What to call the video in errors.
    frame_names : sequence of str, optional
        What to call the predicted frames in errors, such as their paths.

    Raises
    ------
    EvaluationError
        A prediction is of another size, holds 255 or an id that the protocol does not allow, or no
        frame counts.
    """
    rules = PROTOCOLS[protocol]
    frames = enumerate(zip(ground_truth, prediction, strict=True))
    first = next(frames, None)
    if first is None:
        raise EvaluationError(f"{name} has no frames", "give at least one")
    num_objects = _count_objects(first[1][0], rules)
    limit = MAX_OBJECTS if rules.matched else num_objects
    num_tracks = num_objects
    indices, J, F = [], [], []
    for t, (truth, predicted) in rules.scored(chain([first], frames)):
        if predicted is None:
            predicted = np.zeros_like(truth)
        if rules.binary:
            truth, predicted = (truth > 0).astype(np.uint8), (predicted > 0).astype(np.uint8)
        largest = int(predicted.max(initial=0))
        frame_name = frame_names[t] if frame_names else f"frame {t} of {name}"
        _check(predicted, largest, truth, limit, rules, frame_name)
        num_tracks = max(num_tracks, largest)
        truth = truth if rules.matched else np.where(truth == VOID, np.uint8(0), truth)
        frame_J, frame_F = pair_similarity(truth, predicted, limit, num_objects)
        indices.append(t)
        J.append(frame_J)
        F.append(frame_F)
    if not indices:
        raise EvaluationError(
            f"{name} has no frame that {protocol} scores, as it leaves out the first and the last",
            "leave the video out",
        )
    all_J, all_F = np.stack(J)[:, :num_tracks], np.stack(F)[:, :num_tracks]
    objects = np.arange(num_objects)
    tracks = match_tracks(all_J, all_F) if rules.matched else objects
    return VideoScores(
        np.array(indices), tracks + 1, all_J[:, tracks, objects], all_F[:, tracks, objects], objects + 1
    )


def match_tracks(J: NDArray[np.floating[Any]], F: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """One track per object of a whole video, of maximal mean over objects of (J_mean + F_mean) / 2.

    Parameters
    ----------
    J, F : (T, K, O) float, K >= O
        Similarity of every track with every object; K is the largest predicted id, or O if that is more.

    Returns
    -------
    (O,) int64 in 0..K-1
    """
    quality = ((J + F) / 2).mean(axis=0)
    tracks, objects = linear_sum_assignment(quality, maximize=True)
    assignment = np.empty(quality.shape[1], np.int64)
    assignment[objects] = tracks
    return assignment


def frame_rewards(
    J: NDArray[np.floating[Any]], F: NDArray[np.floating[Any]], assignment: NDArray[np.int64]
) -> NDArray[np.float64]:
    """J&F of every frame under one assignment: its mean over frames is the video's J&F.

    Parameters
    ----------
    J, F : (T, K, O) float
    assignment : (O,) int64
        Track of every object.

    Returns
    -------
    (T,) float64 in [0, 1]
        Mean over objects of (J + F) / 2; 0 for a video without objects.
    """
    objects = np.arange(len(assignment))
    if not len(objects):
        return np.zeros(len(J))
    rewards: NDArray[np.float64] = ((J + F) / 2)[:, assignment, objects].mean(axis=1, dtype=np.float64)
    return rewards


def summarise(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, recall and decay over frames.

    Recall is the share of frames strictly above 0.5; decay the mean of the first quarter minus that of
    the last, where neighbouring quarters share a frame.

    Parameters
    ----------
    values : (T, ...) float64

    Returns
    -------
    mean, recall, decay : (...) float64
    """
    edges = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    first, last = values[edges[0] : edges[1] + 1], values[edges[3] : edges[4] + 1]
    return values.mean(0), (values > 0.5).mean(0), first.mean(0) - last.mean(0)


def _count_objects(first: NDArray[np.uint8], rules: Protocol) -> int:
    return 1 if rules.binary else int(np.where(first == VOID, 0, first).max(initial=0))


def check_prediction(
    predicted: NDArray[np.uint8], truth: NDArray[np.uint8], protocol: str, name: str
) -> None:
    """Refuse what no protocol with several tracks allows.

    Raises
    ------
    EvaluationError
        The prediction is of another size than the ground truth, or holds 255.
    """
    if predicted.shape != truth.shape:
        raise EvaluationError(
            f"{name} is {' x '.join(map(str, predicted.shape))} pixels, the ground truth "
            f"{' x '.join(map(str, truth.shape))}",
            f"{protocol} needs predictions at the size of the ground truth",
        )
    if predicted.max(initial=0) == VOID:
        raise EvaluationError(
            f"{name} holds {VOID}, which is void and no track in {protocol}",
            "write ids from 1, and 0 for the background",
        )


def _check(
    predicted: NDArray[np.uint8],
    largest: int,
    truth: NDArray[np.uint8],
    limit: int,
    rules: Protocol,
    name: str,
) -> None:
    check_prediction(predicted, truth, rules.name, name)
    if largest > limit:
        allowed = f"at most {limit} tracks" if rules.matched else f"ids of the {limit} true objects only"
        raise EvaluationError(
            f"{name} holds id {largest}; {rules.name} allows {allowed}", f"write ids 1..{limit}"
        )
