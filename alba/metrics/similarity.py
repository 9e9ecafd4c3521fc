"""J and F of all pairs of tracks and objects of one frame, from two label maps."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from alba.masks import VOID, boundary_map, boundary_radius, dilate
from alba.masks.boundary import label_bits

Counts = TypeVar("Counts", bound=Any)


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
    track_bits = boundary_map(label_bits(prediction, num_tracks))
    object_bits = boundary_map(label_bits(truth, num_objects))
    radius = boundary_radius(*truth.shape)
    meeting = _meeting_region(track_bits, object_bits, radius)
    track_hits, track_lengths = _count_hits(
        track_bits, num_tracks, _dilate_inside(object_bits, radius, meeting), num_objects
    )
    object_hits, object_lengths = _count_hits(
        object_bits, num_objects, _dilate_inside(track_bits, radius, meeting), num_tracks
    )
    return boundary_measure(track_hits, track_lengths, object_hits.T, object_lengths)


def _count_hits(
    bits: NDArray[np.integer], num_labels: int, near_bits: NDArray[np.integer], num_others: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels of each mask inside each other mask (n, m), and in all (n,)."""
    pixels = np.flatnonzero(bits != 0)  # boundaries are sparse
    own = _unpack(bits.reshape(-1)[pixels], num_labels)
    near = _unpack(near_bits.reshape(-1)[pixels], num_others)
    return (own @ near.T).astype(np.float64), own.sum(1, dtype=np.float64)


def _unpack(bits: NDArray[np.integer], num_labels: int) -> NDArray[np.float32]:
    """(n,) bits as (num_labels, n) zeros and ones; float32 counts exactly up to 2**24 pixels."""
    masks = np.left_shift(1, np.arange(num_labels), dtype=np.int32)
    return ((bits & masks[:, None]) != 0).astype(np.float32)


def _meeting_region(
    bits: NDArray[np.integer], others: NDArray[np.integer], radius: int
) -> tuple[slice, slice]:
    """Rows and columns outside of which no pixel of one map is within `radius` of one of the other."""
    spans = []
    for axis in (1, 0):
        ends = [np.flatnonzero(np.bitwise_or.reduce(b, axis)) for b in (bits, others)]
        if not all(len(end) for end in ends):
            return slice(0), slice(0)
        start = max(end[0] for end in ends) - radius
        stop = min(end[-1] for end in ends) + radius + 1
        spans.append(slice(max(start, 0), max(stop, 0)))
    return spans[0], spans[1]


def _dilate_inside(
    bits: NDArray[np.integer], radius: int, region: tuple[slice, slice]
) -> NDArray[np.integer]:
    dilated = np.zeros_like(bits)
    dilated[region] = dilate(bits[region], radius)
    return dilated
