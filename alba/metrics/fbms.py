"""The FBMS-59 measures of one video, and of the data set.

The official one (Ochs, Malik and Brox, 2014): the background is a region and a cluster like any other;
overlaps are weighted by certainty and pooled over the labelled frames; regions and clusters are matched on F.
Its F is computed from mean precision and mean recall, not the mean of F. Beside it stands the volume IoU that
other papers report, over objects and tracks without the background.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from alba.errors import EvaluationError
from alba.metrics.davis import check_prediction

EXTRACTED = 0.75
"""An object counts as extracted when its F exceeds this."""

_NUM_IDS = 256


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Scores of one video, an entry per visible region, the background among them.

    Parameters
    ----------
    regions : (R,) int64
        Region indices, rising; 0 is the background.
    clusters : (R,) int64
        Matched cluster (predicted id, 0 is the background); -1 where none was left.
    overlap : (T, R, K) int64
        Pixels of each labelled frame that region and cluster share, weighted by certainty in 1/255.
    precision, recall, f_measure : (R,) float64 in [0, 1]
        Precision 1 and recall 0 for a region without a cluster.
    volume_iou : (R,) float64 in [0, 1]
        Over the labelled frames, in whole pixels; objects and tracks are matched anew, by it. NaN for the
        background.
    num_tracks : int
        Predicted ids above 0 that have a pixel in a labelled frame.
    """

    regions: NDArray[np.int64]
    clusters: NDArray[np.int64]
    overlap: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f_measure: NDArray[np.float64]
    volume_iou: NDArray[np.float64]
    num_tracks: int

    @property
    def num_objects(self) -> int:
        """Visible regions without the background, which is taken to be visible."""
        return max(0, len(self.regions) - 1)

    @property
    def num_extracted(self) -> int:
        """Regions with F above `EXTRACTED`, less one for the background."""
        return max(0, int(np.count_nonzero(self.f_measure > EXTRACTED)) - 1)


def evaluate_regions(
    truth: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    prediction: Iterable[NDArray[np.uint8] | None],
    num_regions: int,
    name: str = "the video",
    frame_names: Sequence[str] | None = None,
) -> RegionScores:
    """Score one video on its labelled frames.

    Parameters
    ----------
    truth : iterable of (regions, certainty), each (H, W) uint8
        Region indices, and certainty in 1/255, of the labelled frames.
    prediction : iterable of (H, W) uint8 or None
        Label maps of the same frames; None is background everywhere.
    num_regions : int
    name : str
        What to call the video in errors.
    frame_names : sequence of str, optional
        What to call the predicted frames in errors.

    Raises
    ------
    EvaluationError
        A prediction is of another size or holds 255, or no frame is labelled.
    """
    weighted, counts = [], []
    for t, ((regions, certainty), predicted) in enumerate(zip(truth, prediction, strict=True)):
        if predicted is None:
            predicted = np.zeros_like(regions)
        frame_name = frame_names[t] if frame_names else f"labelled frame {t} of {name}"
        check_prediction(predicted, regions, "fbms", frame_name)
        codes = (regions.astype(np.int32) * _NUM_IDS + predicted).ravel()
        length = num_regions * _NUM_IDS
        weighted.append(np.bincount(codes, certainty.ravel(), length))
        counts.append(np.bincount(codes, minlength=length))
    if not np.any(weighted):
        raise EvaluationError(f"{name} has no labelled frame with a certain pixel", "leave the video out")
    shape = (len(counts), num_regions, _NUM_IDS)
    overlap, pixels = np.stack(weighted).astype(np.int64).reshape(shape), np.stack(counts).reshape(shape)
    used = np.flatnonzero(pixels.sum((0, 1)))
    num_clusters = int(used[-1]) + 1
    visible = np.flatnonzero(overlap.sum((0, 2)) > 0)
    overlap = overlap[:, visible, :num_clusters]
    precision, recall, f_measure, clusters = _match_regions(overlap.sum(0))
    volumes = pixels.sum(0)[:, :num_clusters]
    return RegionScores(
        visible,
        clusters,
        overlap,
        precision,
        recall,
        f_measure,
        _match_volumes(volumes)[visible],
        int(np.count_nonzero(used)),
    )


def data_set_measure(videos: Sequence[RegionScores]) -> dict[str, float]:
    """Figures of a data set.

    Returns
    -------
    dict
        ``F-Measure`` of the means of ``Precision`` and ``Recall`` over videos, ``Extracted`` of ``Objects``
        in all; then of other papers: ``Volume-IoU``, mean over all objects, and ``Delta-Objects``, mean over
        videos of the difference between the numbers of tracks and objects.
    """
    precision, recall = (
        float(np.mean([getattr(scores, measure).mean() for scores in videos]))
        for measure in ("precision", "recall")
    )
    volumes = np.concatenate([scores.volume_iou[scores.regions > 0] for scores in videos])
    return {
        "F-Measure": 2 * precision * recall / (precision + recall),
        "Precision": precision,
        "Recall": recall,
        "Extracted": sum(scores.num_extracted for scores in videos),
        "Objects": sum(scores.num_objects for scores in videos),
        "Volume-IoU": float(volumes.mean()) if len(volumes) else float("nan"),
        "Delta-Objects": float(np.mean([abs(s.num_tracks - s.num_objects) for s in videos])),
    }


def _match_regions(
    overlap: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Precision, recall, F and cluster of every region (R,) from pooled overlaps (R, K)."""
    region_sizes, cluster_sizes = overlap.sum(1), overlap.sum(0)
    sizes = region_sizes[:, None] + cluster_sizes  # 2 PR / (P + R) is twice the overlap by both sizes
    pairs = 2 * overlap / sizes
    # F with four decimals decides, as in the official scorer; between equals, where that leaves it to its
    # solver, the whole of F.
    regions, clusters = linear_sum_assignment(20000 * overlap // sizes + pairs * 1e-6, maximize=True)
    precision, recall, f = np.ones(len(overlap)), np.zeros(len(overlap)), np.zeros(len(overlap))
    matched = np.full(len(overlap), -1)
    shared = overlap[regions, clusters]
    precision[regions] = shared / np.maximum(cluster_sizes[clusters], 1)
    recall[regions] = shared / region_sizes[regions]
    f[regions], matched[regions] = pairs[regions, clusters], clusters
    return precision, recall, f, matched


def _match_volumes(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Volume IoU of every region (R,) with its track from pooled pixel counts (R, K); NaN for region 0."""
    shared = pixels[1:, 1:]
    union = pixels[1:].sum(1, keepdims=True) + pixels[:, 1:].sum(0) - shared
    iou = shared / np.maximum(union, 1)
    volume_iou = np.zeros(len(pixels))
    volume_iou[0] = np.nan
    objects, tracks = linear_sum_assignment(iou, maximize=True)
    volume_iou[objects + 1] = iou[objects, tracks]
    return volume_iou
