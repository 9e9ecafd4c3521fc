"""The YouTube-VOS measures: objects count from their first annotated frame; seen and unseen ones apart."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from alba.errors import EvaluationError
from alba.metrics.davis import VideoScores, check_prediction
from alba.metrics.similarity import pair_similarity

PROTOCOL = "youtube-vos"

_SEEN = """
airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck eagle earless_seal
elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog horse knife leopard lion lizard monkey
motorbike mouse others owl paddle parachute parrot penguin person plant rabbit raccoon sedan shark sheep sign
skateboard snail snake snowboard squirrel surfboard tennis_racket tiger toilet train truck turtle umbrella
whale zebra
"""
SEEN_CATEGORIES = frozenset(_SEEN.split())
"""The 65 categories of the training set; every other category (26 in the validation set) is unseen."""

_NUM_IDS = 256


def evaluate_objects(
    truth: Iterable[NDArray[np.uint8]],
    prediction: Iterable[NDArray[np.uint8] | None],
    object_ids: Sequence[int],
    first_frames: Sequence[int],
    tracks: Sequence[int] | None = None,
    name: str = "the video",
    frame_names: Sequence[str] | None = None,
) -> VideoScores:
    """Score one video, frame by frame.

    Parameters
    ----------
    truth : iterable of (H, W) uint8
        Label maps of the annotated frames.
    prediction : iterable of (H, W) uint8 or None
        Label maps of the same frames. None is an empty frame; what stands for a frame before any object's
        first is not looked at.
    object_ids, first_frames : sequence of int, length O
        Ids of the objects, and the frame from which each counts.
    tracks : sequence of int, length O, optional
        Id of the track that stands for each object, 0 for none; left out, track k is object k, and other
        ids are an error.
    name : str
        What to call the video in errors.
    frame_names : sequence of str, optional
        What to call the predicted frames in errors.

    Returns
    -------
    VideoScores
        J and F are NaN where an object does not count yet; frames are indices among those given.

    Raises
    ------
    EvaluationError
        A prediction is of another size, holds 255, or an id that no object has.
    """
    num_objects, first = len(object_ids), np.asarray(first_frames)
    to_object = _slots(object_ids)
    to_track = _slots(object_ids if tracks is None else tracks)
    indices, J, F = [], [], []
    for t, (truth_map, predicted) in enumerate(zip(truth, prediction, strict=True)):
        counts = first <= t
        if not counts.any():
            continue
        if predicted is None:
            predicted = np.zeros_like(truth_map)
        frame_name = frame_names[t] if frame_names else f"frame {t} of {name}"
        check_prediction(predicted, truth_map, PROTOCOL, frame_name)
        if tracks is None:
            check_ids(predicted, object_ids, frame_name)
        frame_J, frame_F = pair_similarity(
            to_object[truth_map], to_track[predicted], num_objects, num_objects
        )
        indices.append(t)
        J.append(np.where(counts, frame_J.diagonal(), np.nan))
        F.append(np.where(counts, frame_F.diagonal(), np.nan))
    if not indices:
        raise EvaluationError(f"{name} has no annotated object", "leave the video out")
    ids = np.array(object_ids)
    return VideoScores(
        np.array(indices), ids if tracks is None else np.array(tracks), np.stack(J), np.stack(F), ids
    )


def choose_tracks(
    first_frames: Iterable[tuple[NDArray[np.bool_], NDArray[np.uint8]]],
) -> NDArray[np.int64]:
    """Choose the track of each object with the ground truth of its first annotated frame.

    Published zero-shot figures (RVOS) do so: the masks are found without annotation, but which of them are
    scored is told by it.

    Parameters
    ----------
    first_frames : iterable of (mask, label map), each (H, W), one per object
        The object in the first frame that has it, and the prediction of that frame.

    Returns
    -------
    (O,) int64
        Ids of the tracks, each at most once: those of maximal summed IoU; 0 where none overlaps.
    """
    rows = []
    for mask, predicted in first_frames:
        inside = np.bincount(predicted[mask], minlength=_NUM_IDS)
        union = np.bincount(predicted.ravel(), minlength=_NUM_IDS) + np.count_nonzero(mask) - inside
        rows.append(inside[1:] / np.maximum(union[1:], 1))
    iou = np.array(rows).reshape(-1, _NUM_IDS - 1)
    objects, columns = linear_sum_assignment(iou, maximize=True)
    tracks = np.zeros(len(iou), np.int64)
    tracks[objects] = np.where(iou[objects, columns] > 0, columns + 1, 0)
    return tracks


def overall_measure(
    means: Mapping[str, NDArray[np.float64]],
    categories: Sequence[str],
    seen: Collection[str] = SEEN_CATEGORIES,
) -> dict[str, float]:
    """Figures of a data set.

    Parameters
    ----------
    means : mapping of "J" and "F" to (O,) float64
        Means over frames of every object of all videos.
    categories : sequence of str, length O
        Their categories.
    seen : collection of str
        The categories of the training set.

    Returns
    -------
    dict
        ``Overall`` (G, the mean of the four others), ``J-Seen``, ``J-Unseen``, ``F-Seen``, ``F-Unseen``:
        means over objects. NaN for a group without objects, and then for G.
    """
    is_seen = np.array([category in seen for category in categories], bool)
    figures = {
        f"{measure}-{group}": float(means[measure][chosen].mean()) if chosen.any() else float("nan")
        for measure in "JF"
        for group, chosen in (("Seen", is_seen), ("Unseen", ~is_seen))
    }
    return {"Overall": float(np.mean(list(figures.values()))), **figures}


def check_ids(predicted: NDArray[np.uint8], object_ids: Sequence[int], name: str) -> None:
    """Refuse ids that no object has.

    Raises
    ------
    EvaluationError
        The label map holds one; `name` says where.
    """
    other = np.setdiff1d(np.flatnonzero(np.bincount(predicted.ravel())), [0, *object_ids])
    if len(other):
        raise EvaluationError(
            f"{name} holds id {other[0]}; {PROTOCOL} scores ids {', '.join(map(str, object_ids))} only",
            "give each track the id of its object, or let tracks be chosen by the first frame",
        )


def _slots(ids: Sequence[int]) -> NDArray[np.uint8]:
    """(256,) uint8: the place of each id among those given, counted from 1; 0 for other ids."""
    table = np.zeros(_NUM_IDS, np.uint8)
    for slot, given in enumerate(ids, start=1):
        if given:
            table[given] = slot
    return table
