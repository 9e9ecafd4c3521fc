"""The greedy oracle of section 3.2: which proposals move, and which object each one joins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.config import LabelSettings
from alba.masks import VOID


@dataclass(frozen=True)
class FrameLabels:
    """What the oracle says of the N proposals and O objects of one frame.

    Parameters
    ----------
    iou : (N, O) float32
    selected : (N,) bool
    oracle_object : (N,) uint8
        1..O, 0 for none.
    segmentation : (H, W) uint8
        What the joined proposals paint; a pixel stays with the object that takes it first.
    """

    iou: NDArray[np.float32]
    selected: NDArray[np.bool_]
    oracle_object: NDArray[np.uint8]
    segmentation: NDArray[np.uint8]


def label_frame(
    masks: NDArray[np.bool_], ground_truth: NDArray[np.uint8], num_objects: int, settings: LabelSettings
) -> FrameLabels:
    """Label the proposals of one frame.

    Parameters
    ----------
    masks : (N, H, W) bool
        By falling score.
    ground_truth : (H, W) uint8
        0 background, 1..num_objects, 255 void; void pixels do not count.
    num_objects : int
    settings : LabelSettings
    """
    overlaps = pixel_counts(masks, ground_truth, num_objects)
    true_areas = np.bincount(ground_truth.ravel(), minlength=256)[1 : num_objects + 1]
    areas = overlaps.sum(1)
    union = areas[:, None] + true_areas - overlaps[:, 1:]
    iou = overlaps[:, 1:] / np.maximum(union, 1)
    selected = (iou > settings.selection_min_iou).any(1)
    joined = np.zeros(len(masks), np.uint8)
    joined[selected], segmentation = join_greedily(
        masks[selected], ground_truth, num_objects, settings.join_min_precision
    )
    return FrameLabels(iou.astype(np.float32), selected, joined, segmentation)


def join_greedily(
    masks: NDArray[np.bool_], ground_truth: NDArray[np.uint8], num_objects: int, min_precision: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Walk the proposals in order; each joins the object whose IoU it improves most, or none.

    Parameters
    ----------
    masks : (N, H, W) bool
    ground_truth : (H, W) uint8
    num_objects : int
        O.
    min_precision : float
        Share of a proposal that must lie in the object.

    Returns
    -------
    joined : (N,) uint8
        1..O, 0 for none.
    segmentation : (H, W) uint8
    """
    segmentation = np.zeros_like(ground_truth)
    joined = np.zeros(len(masks), np.uint8)
    true_areas = np.bincount(ground_truth.ravel(), minlength=256)[1 : num_objects + 1].astype(float)
    intersections = np.zeros(num_objects)
    painted = np.zeros(num_objects)
    for i, mask in enumerate(masks):
        inside = np.bincount(ground_truth[mask], minlength=256)
        gained = np.bincount(ground_truth[mask & (segmentation == 0)], minlength=256)
        counted = inside[:VOID].sum(), gained[:VOID].sum()
        more = gained[1 : num_objects + 1]
        before = intersections / np.maximum(true_areas + painted - intersections, 1)
        union = true_areas + painted + counted[1] - intersections - more
        gain = (intersections + more) / np.maximum(union, 1) - before
        gain[inside[1 : num_objects + 1] < min_precision * counted[0]] = 0
        if not num_objects or gain.max() <= 0:
            continue
        best = int(gain.argmax())
        joined[i] = best + 1
        intersections[best] += more[best]
        painted[best] += counted[1]
        segmentation[mask & (segmentation == 0)] = best + 1
    return joined, segmentation


def pixel_counts(
    masks: NDArray[np.bool_], ground_truth: NDArray[np.uint8], num_objects: int
) -> NDArray[np.int64]:
    """Pixels of each mask on background and on each object, void left out: (N, O + 1) int64."""
    counts = [np.bincount(ground_truth[mask], minlength=num_objects + 1) for mask in masks]
    if not counts:
        return np.zeros((0, num_objects + 1), np.int64)
    return np.stack([count[: num_objects + 1] for count in counts])
