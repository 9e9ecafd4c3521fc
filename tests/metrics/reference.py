"""The rules of the measures once more, slow and plain: loops, one mask at a time, scikit-image's disk.

Written from the rules alone, as the judge of `alba.metrics`.
"""

import itertools
import math

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


def score(truths, predictions, protocol):
    """Per-frame J and F (T, O) of a video, objects matched as the protocol says."""
    truths, predictions = list(truths), list(predictions)
    num_objects = max(int(x) for x in np.unique(truths[0]) if x != VOID)
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
    J, F = np.stack([f[0] for f in frames]), np.stack([f[1] for f in frames])
    tracks = range(num_objects)
    if protocol == "davis17-unsupervised":
        tracks = best_tracks((J + F).mean(0) / 2)
    columns = [(J[:, k, o], F[:, k, o]) for o, k in enumerate(tracks)]
    return np.stack([c[0] for c in columns], 1), np.stack([c[1] for c in columns], 1)


def best_tracks(quality):
    """Every injective choice of a track per object, tried in turn (few objects only)."""
    num_tracks, num_objects = quality.shape
    choices = itertools.permutations(range(num_tracks), num_objects)
    return max(choices, key=lambda tracks: sum(quality[k, o] for o, k in enumerate(tracks)))
