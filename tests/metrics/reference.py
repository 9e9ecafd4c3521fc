"""The rules of the measures once more, slow and plain: loops, one mask at a time, scikit-image's disk.

Written from the rules alone, as the judge of `alba.metrics`.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
from skimage.morphology import dilation, disk

VOID = 255


def region_similarity(mask, truth, void):
    mask, truth = mask & ~void, truth & ~void
    union = np.count_nonzero(mask | truth)
    return 1.0 if union == 0 else np.count_nonzero(mask & truth) / union


def contour(mask):
    height, width = mask.shape
    east, south, southeast = mask.copy(), mask.copy(), mask.copy()
    east[:, : width - 1] = mask[:, 1:]
    south[: height - 1] = mask[1:]
    southeast[: height - 1, : width - 1] = mask[1:, 1:]
    on = (mask != east) | (mask != south) | (mask != southeast)
    on[height - 1] = mask[height - 1] != east[height - 1]
    on[:, width - 1] = mask[:, width - 1] != south[:, width - 1]
    on[height - 1, width - 1] = False
    return on


def disk_dilation(mask, radius):
    padded = np.pad(mask, radius)
    grown = dilation(padded, disk(radius))
    return grown[radius : radius + mask.shape[0], radius : radius + mask.shape[1]]


def contour_similarity(mask, truth, void):
    height, width = mask.shape
    radius = math.ceil(0.008 * math.sqrt(height**2 + width**2))
    found, wanted = contour(mask & ~void), contour(truth & ~void)
    if not found.any() and not wanted.any():
        return 1.0
    if not found.any() or not wanted.any():
        return 0.0
    precision = np.count_nonzero(found & disk_dilation(wanted, radius)) / np.count_nonzero(found)
    recall = np.count_nonzero(wanted & disk_dilation(found, radius)) / np.count_nonzero(wanted)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def pairs(truth, prediction, num_tracks, num_objects, use_void=True):
    void = (truth == VOID) & use_void
    J, F = np.zeros((2, num_tracks, num_objects))
    for k, o in itertools.product(range(num_tracks), range(num_objects)):
        mask, target = prediction == k + 1, truth == o + 1
        J[k, o] = region_similarity(mask, target, void)
        F[k, o] = contour_similarity(mask, target, void)
    return J, F


def summary(values):
    """Mean, recall and decay of one object's values over frames."""
    values = list(values)
    num = len(values)
    edges = [round(1 + quarter * (num - 1) / 4 + 1e-10) - 1 for quarter in range(5)]
    first, last = values[edges[0] : edges[1] + 1], values[edges[3] : edges[4] + 1]
    recall = sum(value > 0.5 for value in values) / num
    return sum(values) / num, recall, sum(first) / len(first) - sum(last) / len(last)


def all_pairs(truths, predictions, protocol):
    """J and F (T, K, O) of every track with every object in the frames that count."""
    truths, predictions = list(truths), list(predictions)
    num_objects = max([int(x) for x in np.unique(truths[0]) if x != VOID], default=0)
    if protocol == "davis16":
        num_objects = 1
        truths, predictions = (
            [(x > 0).astype(int) for x in truths],
            [(x > 0).astype(int) for x in predictions],
        )
    if protocol != "davis17-unsupervised":
        truths, predictions = truths[1:-1], predictions[1:-1]
    num_tracks = max(num_objects, *(int(x.max()) for x in predictions))
    use_void = protocol == "davis17-unsupervised"
    frames = [
        pairs(x, y, num_tracks, num_objects, use_void) for x, y in zip(truths, predictions, strict=True)
    ]
    return np.stack([f[0] for f in frames]), np.stack([f[1] for f in frames])


def best_tracks(quality):
    """Every injective choice of a track per object, tried in turn (few objects only)."""
    num_tracks, num_objects = quality.shape
    choices = itertools.permutations(range(num_tracks), num_objects)
    return max(choices, key=lambda tracks: sum(quality[k, o] for o, k in enumerate(tracks)))


def region_overlaps(truths, predictions, num_regions):
    """Pixels that each region shares with each cluster, weighted by certainty in 1/255, pixel by pixel."""
    num_clusters = 1 + max(int(prediction.max()) for prediction in predictions)
    overlap = [[0] * num_clusters for _ in range(num_regions)]
    for (regions, certainty), prediction in zip(truths, predictions, strict=True):
        for region, sure, cluster in zip(regions.flat, certainty.flat, prediction.flat, strict=True):
            overlap[region][cluster] += int(sure)
    return overlap


def region_outcomes(overlap):
    """(precision, recall, F, extracted objects) of a video, for every assignment that is optimal: exact."""
    visible = [row for row in overlap if sum(row)]
    num_regions, num_clusters = len(visible), len(overlap[0])
    sizes = [sum(row[k] for row in overlap) for k in range(num_clusters)]
    size = max(num_regions, num_clusters)
    P, R, F = ([[Fraction(0)] * size for _ in range(size)] for _ in range(3))
    for r, row in enumerate(visible):
        for k in range(num_clusters):
            P[r][k] = Fraction(row[k], sizes[k]) if sizes[k] else Fraction(0)
            R[r][k] = Fraction(row[k], sum(row))
            F[r][k] = 2 * P[r][k] * R[r][k] / (P[r][k] + R[r][k]) if row[k] else Fraction(0)
    truncated = [[math.floor(F[r][k] * 10000) for k in range(size)] for r in range(size)]
    worth = {
        choice: (
            sum(truncated[r][k] for r, k in enumerate(choice)),
            sum(F[r][k] for r, k in enumerate(choice)),
        )
        for choice in itertools.permutations(range(size))
    }
    best = max(worth.values())
    outcomes = []
    for choice in (choice for choice, value in worth.items() if value == best):
        matched = list(enumerate(choice[:num_regions]))
        precision = sum(P[r][k] if k < num_clusters else 1 for r, k in matched) / num_regions
        recall = sum(R[r][k] for r, k in matched) / num_regions
        extracted = max(0, sum(F[r][k] > Fraction(3, 4) for r, k in matched) - 1)
        f_measure = 2 * precision * recall / (precision + recall) if recall else 0
        outcomes.append((float(precision), float(recall), float(f_measure), extracted))
    return outcomes


def volume_ious(truths, predictions, num_regions):
    """Largest sum over objects of the IoU of a region's and a track's volume, one track per object."""
    num_tracks = max(int(prediction.max()) for prediction in predictions)
    regions = np.stack([regions for regions, _ in truths])
    tracks = np.stack(predictions)
    iou = np.zeros((max(num_tracks, num_regions - 1), num_regions - 1))
    for k, o in itertools.product(range(num_tracks), range(num_regions - 1)):
        mask, target = tracks == k + 1, regions == o + 1
        union = np.count_nonzero(mask | target)
        iou[k, o] = np.count_nonzero(mask & target) / union if union else 0
    return max(
        sum(iou[k, o] for o, k in enumerate(choice))
        for choice in itertools.permutations(range(len(iou)), num_regions - 1)
    )


def objects_from_first_frame(truths, predictions, object_ids, first_frames, tracks):
    """J and F of each object with its track, from its first frame on: a list of (J, F) per object."""
    values = []
    for object_id, first, track in zip(object_ids, first_frames, tracks, strict=True):
        frames = []
        for truth, prediction in list(zip(truths, predictions, strict=True))[first:]:
            target, mask = truth == object_id, (prediction == track) & (track > 0)
            void = np.zeros_like(mask)
            frames.append((region_similarity(mask, target, void), contour_similarity(mask, target, void)))
        values.append(([J for J, _ in frames], [F for _, F in frames]))
    return values
