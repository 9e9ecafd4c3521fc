"""J and F of all pairs of tracks and objects of one frame, from two label maps."""

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from alba.masks import VOID, boundary_radius, dilate
from alba.masks.boundary import bits_dtype, boundary_pixels

Counts = TypeVar("Counts", bound=Any)
Pixels: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]
Region: TypeAlias = tuple[slice, slice]


def pair_similarity(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], num_tracks: int, num_objects: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Region and boundary similarity of every track with every object (DAVIS 2017).

    Void pixels are background in both maps: so they leave intersection and union, and are empty when
    contours are drawn.

    Parameters
    ----------
    truth : (H, W) uint8
        Object ids; 255 is void; ids above `num_objects` are background.
    prediction : (H, W) uint8
        Track ids; ids above `num_tracks` are background.
    num_tracks, num_objects : int
        K and O, at most 31.

    Returns
    -------
    J, F : (K, O) float64 in [0, 1]
    """
    # Products of bytes are several times as fast as `np.where`.
    prediction = prediction * ((truth != VOID) & (prediction <= num_tracks)).view(np.uint8)
    truth = truth * (truth <= num_objects).view(np.uint8)
    joint = _joint_histogram(truth, prediction, num_objects + 1, num_tracks + 1)
    J = region_similarity(joint.T)
    return J, _contour_similarity(truth, prediction, num_tracks, num_objects)


def region_similarity(joint: Counts) -> Counts:
    """J from the joint histogram of two label maps; 1 where the union is empty.

    Parameters
    ----------
    joint : (..., 1 + K, 1 + O) float array or tensor
        Pixels per track id and object id, background first.

    Returns
    -------
    (..., K, O)
    """
    intersection = joint[..., 1:, 1:]
    union = joint.sum(-1)[..., 1:, None] + joint.sum(-2)[..., None, 1:] - intersection
    return (intersection + (union == 0)) / (union + (union == 0))


def boundary_measure(
    track_hits: Counts, track_lengths: Counts, object_hits: Counts, object_lengths: Counts
) -> Counts:
    """F from pixel counts: 1 where both boundaries are empty, 0 where one is or nothing meets.

    Parameters
    ----------
    track_hits : (..., K, O) float array or tensor
        Boundary pixels of the track inside the dilated boundary of the object.
    track_lengths : (..., K)
        Boundary pixels of the track.
    object_hits : (..., K, O)
        Boundary pixels of the object inside the dilated boundary of the track.
    object_lengths : (..., O)
        Boundary pixels of the object.

    Returns
    -------
    (..., K, O)
    """
    track_lengths, object_lengths = track_lengths[..., :, None], object_lengths[..., None, :]
    precision = track_hits / (track_lengths + (track_lengths == 0))
    recall = object_hits / (object_lengths + (object_lengths == 0))
    total = precision + recall
    both_empty = (track_lengths == 0) & (object_lengths == 0)
    return 2 * precision * recall / (total + (total == 0)) + both_empty


def _joint_histogram(
    rows: NDArray[np.uint8], columns: NDArray[np.uint8], num_rows: int, num_columns: int
) -> NDArray[np.float64]:
    codes = rows.astype(np.uint16)
    codes *= num_columns
    codes += columns
    runs = codes.ravel()  # labels come in long runs, so that runs are counted faster than pixels
    starts = np.concatenate([[0], np.flatnonzero(runs[1:] != runs[:-1]) + 1])
    lengths = np.diff(starts, append=runs.size)
    counts = np.bincount(runs[starts], lengths, minlength=num_rows * num_columns)
    return counts.reshape(num_rows, num_columns).astype(np.float64, copy=False)


def _contour_similarity(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], num_tracks: int, num_objects: int
) -> NDArray[np.float64]:
    tracks, objects = boundary_pixels(prediction, num_tracks), boundary_pixels(truth, num_objects)
    radius = boundary_radius(*truth.shape)
    region = _meeting_region(tracks, objects, radius)
    track_hits, track_lengths = _count_hits(tracks, num_tracks, objects, num_objects, region, radius)
    object_hits, object_lengths = _count_hits(objects, num_objects, tracks, num_tracks, region, radius)
    return boundary_measure(track_hits, track_lengths, object_hits.T, object_lengths)


def _count_hits(
    own: Pixels, num_own: int, others: Pixels, num_others: int, region: Region, radius: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boundary pixels of each mask near each other mask's boundary (n, m), and in all (n,)."""
    rows, columns, bits = _inside(others, region)
    present = np.flatnonzero(_unpack(bits, num_others).any(1))
    near = np.zeros([part.stop - part.start for part in region], bits_dtype(len(present)))
    near[rows, columns] = _select_bits(bits, present).astype(near.dtype)
    near = dilate(near, radius)
    rows, columns, bits = _inside(own, region)
    hits = np.zeros((num_own, num_others))
    hits[:, present] = _unpack(bits, num_own) @ _unpack(near[rows, columns], len(present)).T
    return hits, _unpack(own[2], num_own).sum(1, dtype=np.float64)


def _select_bits(bits: NDArray[np.integer], labels: NDArray[np.int64]) -> NDArray[np.integer]:
    """Keep the bits of some labels, close together: the fewer bits, the faster the dilation."""
    selected = np.zeros_like(bits)
    for place, label in enumerate(labels.tolist()):
        selected |= ((bits >> label) & 1) << place
    return selected


def _unpack(bits: NDArray[np.integer], num_labels: int) -> NDArray[np.float32]:
    """(n,) bits as (num_labels, n) zeros and ones; float32 counts exactly up to 2**24 pixels."""
    masks = np.left_shift(1, np.arange(num_labels), dtype=np.int32)
    return ((bits & masks[:, None]) != 0).astype(np.float32)


def _meeting_region(pixels: Pixels, others: Pixels, radius: int) -> Region:
    """Rows and columns outside of which no pixel of one map is within `radius` of one of the other."""
    if not len(pixels[0]) or not len(others[0]):
        return slice(0, 0), slice(0, 0)
    spans = []
    for mine, theirs in ((pixels[0], others[0]), (pixels[1], others[1])):
        start = max(int(mine.min()), int(theirs.min())) - radius
        stop = min(int(mine.max()), int(theirs.max())) + radius + 1
        spans.append(slice(start, max(start, stop)))
    return spans[0], spans[1]


def _inside(pixels: Pixels, region: Region) -> Pixels:
    """Pixels inside a region, rows and columns counted from its corner."""
    rows, columns, bits = pixels
    rows, columns = rows - region[0].start, columns - region[1].start
    inside = (rows >= 0) & (rows < region[0].stop - region[0].start)
    inside &= (columns >= 0) & (columns < region[1].stop - region[1].start)
    return rows[inside], columns[inside], bits[inside]
