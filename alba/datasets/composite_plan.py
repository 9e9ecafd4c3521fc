"""What a composite is made of: which objects are pasted into which video, where, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.config import CompositesSettings
from alba.datasets.clip import Clip
from alba.datasets.video import Video
from alba.errors import DatasetError
from alba.masks import MAX_OBJECTS, VOID

_COARSE_ROWS = 60
"""Places are chosen on label maps of at least so many rows."""

_AREAS = (0.004, 0.2)
"""Least and largest mean area of a pasted object, as a share of the frame, if the scale allows it."""

_TRIALS = 40
"""Places that are drawn before an object is given up."""


@dataclass(frozen=True, eq=False)
class Paste:
    """An object that is pasted; its path is that in its own video, magnified and moved once.

    Parameters
    ----------
    clip : Clip
        Of the object's own video.
    object_id : int
        What it is called there.
    label : int
        What it is called in the composite.
    scale : float
        Pixels of the composite per pixel of the clip.
    offset : tuple of float
        Where the clip's upper left corner comes to lie: column, row.
    gains : (3,) float32
        Factors of red, green and blue.
    """

    clip: Clip
    object_id: int
    label: int
    scale: float
    offset: tuple[float, float]
    gains: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Composite:
    """One video of the data set.

    Parameters
    ----------
    target : Clip
        What is pasted into; its objects stay and keep their ids.
    layers : list of Paste or None
        From the back to the front; None stands for the target's own objects.
    """

    target: Clip
    layers: list[Paste | None]


def plan_composite(settings: CompositesSettings, videos: Sequence[Video], index: int) -> Composite:
    """Draw a composite; it depends on its index and the videos, not on how many others there are.

    Parameters
    ----------
    settings : CompositesSettings
    videos : sequence of Video
        The source's training videos.
    index : int

    Raises
    ------
    DatasetError
        A video is not annotated, the group has no second one, or there would be no object.
    """
    rng = np.random.default_rng([settings.seed, index])
    place = index % len(videos)
    donors = [v for v in range(place % settings.groups, len(videos), settings.groups) if v != place]
    if not donors:
        raise DatasetError(
            f"no other video may be pasted into {videos[place].name}", "set fewer groups, or name more videos"
        )
    donors = rng.permutation(donors)[: rng.integers(*settings.objects, endpoint=True)].tolist()
    num_frames = min(settings.num_frames, *(len(videos[v]) for v in (place, *donors)))
    target = _draw_clip(rng, videos[place], num_frames, settings.flip)
    own, num_ids = _coarse(target)
    shapes: list[NDArray[np.bool_]] = [(own > 0) & (own != VOID)]
    pastes: list[Paste] = []
    for donor in donors[: MAX_OBJECTS - num_ids]:
        clip = _draw_clip(rng, videos[donor], num_frames, settings.flip)
        drawn = _draw_paste(rng, settings, target, shapes, clip, num_ids + len(pastes) + 1)
        if drawn is not None:
            pastes.append(drawn[0])
            shapes.append(drawn[1])
    if not (num_ids or pastes):
        raise DatasetError(
            f"neither {videos[place].name} nor what may be pasted into it has an object",
            "make composites of videos whose objects are annotated",
        )
    # What reaches further down stands nearer, as on the ground.
    order = np.argsort([_mean_bottom(shape) for shape in shapes], kind="stable")
    layers = [None, *pastes]
    return Composite(target, [layers[k] for k in order])


def _draw_clip(rng: np.random.Generator, video: Video, num_frames: int, flip: bool) -> Clip:
    start = int(rng.integers(len(video) - num_frames, endpoint=True))
    return Clip(video, start, num_frames, bool(flip and rng.random() < 0.5))


def _coarse(clip: Clip) -> tuple[NDArray[np.uint8], int]:
    """Label maps of all frames, every few pixels, and the largest id."""
    step = _step(clip)
    maps, largest = [], 0
    for t in range(clip.num_frames):
        label_map = clip.annotation(t)
        largest = max(largest, int(label_map.max(where=label_map != VOID, initial=0)))
        maps.append(label_map[step // 2 :: step, step // 2 :: step])
    return np.stack(maps), largest


def _step(clip: Clip) -> int:
    return max(1, clip.video.size[0] // _COARSE_ROWS)


def _draw_paste(
    rng: np.random.Generator,
    settings: CompositesSettings,
    target: Clip,
    shapes: Sequence[NDArray[np.bool_]],
    clip: Clip,
    label: int,
) -> tuple[Paste, NDArray[np.bool_]] | None:
    """Draw an object of a clip and a place that keeps to the bounds; None if there is no such place."""
    maps, num_ids = _coarse(clip)
    lasting = [k for k in range(1, num_ids + 1) if (maps == k).any((1, 2)).mean() > 0.5]
    if not lasting:
        return None
    object_id = int(rng.choice(lasting))
    shape = maps == object_id
    scale = _draw_scale(rng, settings, target, clip, shape)
    for _ in range(_TRIALS):
        offset = _draw_offset(rng, target, clip, shape, scale)
        moved, visible = _moved(shape, clip, target, scale, offset)
        crowded = max(_overlap(moved, other) for other in shapes)
        if visible >= settings.min_visible and crowded <= settings.max_overlap:
            gains = _gains(target, clip, settings.match_colour)
            return Paste(clip, object_id, label, scale, offset, gains), moved
    return None


def _draw_scale(
    rng: np.random.Generator,
    settings: CompositesSettings,
    target: Clip,
    clip: Clip,
    shape: NDArray[np.bool_],
) -> float:
    """Magnification such that frames of both videos would be equally high at 1."""
    low, high = np.log(settings.scale)
    scale = np.exp(rng.uniform(low, high))
    scale = np.clip(scale, *np.sqrt(np.array(_AREAS) / shape.mean()))
    scale = np.clip(scale, *settings.scale)
    left, right, top, bottom = _cut(shape)
    equal = target.video.size[0] / clip.video.size[0]
    needed = [
        target.video.size[1] / clip.video.size[1] if left and right else 0.0,
        equal if top and bottom else 0.0,
    ]
    return float(max(scale * equal, *needed))


def _cut(shape: NDArray[np.bool_]) -> tuple[bool, bool, bool, bool]:
    """Whether the frame cuts an object off, at any time: left, right, top, bottom."""
    seen: NDArray[np.bool_] = np.any(shape, 0)
    sides = seen[:, 0], seen[:, -1], seen[0], seen[-1]
    left, right, top, bottom = (bool(side.any()) for side in sides)
    return left, right, top, bottom


def _draw_offset(
    rng: np.random.Generator, target: Clip, clip: Clip, shape: NDArray[np.bool_], scale: float
) -> tuple[float, float]:
    """Bring the object to a random column in a random frame, and about as high up as in its own video.

    Where its own frame cuts it off the target's frame goes on cutting.
    """
    times, rows, columns = np.nonzero(shape)
    t = rng.choice(np.unique(times))
    height, width = shape.shape[1:]
    row, column = rows[times == t].mean() / height, columns[times == t].mean() / width
    left, right, top, bottom = _cut(shape)
    offset = []
    for middle, wanted, axis, starts, ends in (
        (column, rng.uniform(0.1, 0.9), 1, left, right),
        (row, row + rng.uniform(-0.15, 0.15), 0, top, bottom),
    ):
        own, length = scale * clip.video.size[axis], target.video.size[axis]
        start = wanted * length - middle * own
        if starts:
            start = min(start, 0)
        if ends:
            start = max(start, length - own)
        offset.append(float(start))
    return offset[0], offset[1]


def _moved(
    shape: NDArray[np.bool_], clip: Clip, target: Clip, scale: float, offset: tuple[float, float]
) -> tuple[NDArray[np.bool_], float]:
    """An object in the target's coarse frames, and the share of it that lies inside them."""
    step = _step(target)
    moved = shape
    for axis, shift in ((1, offset[1]), (2, offset[0])):
        middles = np.arange(step // 2, target.video.size[axis - 1], step) + 0.5
        index = np.floor((middles - shift) / scale / _step(clip)).astype(int)
        inside = (index >= 0) & (index < shape.shape[axis])
        moved = np.take(moved, np.where(inside, index, 0), axis)
        moved &= inside.reshape([-1 if k == axis else 1 for k in range(3)])
    whole = shape.sum((1, 2)) * (scale * _step(clip) / step) ** 2
    there = whole > 0
    return moved, float(np.mean(np.minimum(moved.sum((1, 2))[there] / whole[there], 1)))


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Share of the smaller of two objects that the other one covers, mean over the frames."""
    smaller = np.minimum(a.sum((1, 2)), b.sum((1, 2)))
    return float(np.mean((a & b).sum((1, 2)) / np.maximum(smaller, 1)))


def _mean_bottom(shape: NDArray[np.bool_]) -> float:
    """Last row of an object, mean over the frames that it is in; -1 if it is in none."""
    rows: NDArray[np.bool_] = np.any(shape, 2)
    there: NDArray[np.bool_] = np.any(rows, 1)
    last = rows.shape[1] - 1 - rows[there][:, ::-1].argmax(1)
    return float(last.mean()) if there.any() else -1.0


def _gains(target: Clip, clip: Clip, strength: float) -> NDArray[np.float32]:
    """Factors that bring the clip's mean colour some way to the target's, as if its light fell on it."""
    means = [each.frame(0).reshape(-1, 3).mean(0) + 1 for each in (target, clip)]
    return np.clip((means[0] / means[1]) ** strength, 0.7, 1.4).astype(np.float32)
