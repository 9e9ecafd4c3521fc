"""What the refinement network reads: frames of tracks, augmented.

What is read is drawn first, in order; the reading is left to a thread that is a few batches ahead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alba.config import RefinementSettings
from alba.datasets.read_ahead import map_ahead
from alba.refinement import CHANNELS, jitter_colours, join_cues, mirror_cues
from alba.training.hardware import Hardware
from alba.training.track_lessons import TrackLesson, VideoLesson

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Sample:
    """One frame of a track.

    Parameters
    ----------
    lesson : VideoLesson
    track : TrackLesson
    t : int
        Number of the frame among those of the lesson.
    mirrored : bool
    dropped : (len(CHANNELS),) bool
        Channels that it lacks.
    shift : (3,) float32
        Of its colours.
    """

    lesson: VideoLesson
    track: TrackLesson
    t: int
    mirrored: bool
    dropped: NDArray[np.bool_]
    shift: NDArray[np.float32]


def draw_batches(
    lessons: Sequence[VideoLesson], settings: RefinementSettings, generator: np.random.Generator, num: int
) -> Iterator[list[Sample]]:
    """So many batches of samples, each of the size of the first video drawn."""
    for _ in range(num):
        first = lessons[int(generator.integers(len(lessons)))]
        alike = [lesson for lesson in lessons if lesson.shared.shape[2:] == first.shared.shape[2:]]
        yield [_draw(alike, settings, generator) for _ in range(settings.batch_size)]


def _draw(
    lessons: Sequence[VideoLesson], settings: RefinementSettings, generator: np.random.Generator
) -> Sample:
    lesson = lessons[int(generator.integers(len(lessons)))]
    return Sample(
        lesson,
        _draw_track(lesson, settings.unmatched, generator),
        int(generator.integers(len(lesson.shared))),
        bool(generator.random() < 0.5),
        generator.random(len(CHANNELS)) < settings.channel_dropout,
        generator.normal(0, settings.colour_jitter, 3).astype(np.float32),
    )


def _draw_track(lesson: VideoLesson, unmatched: float, generator: np.random.Generator) -> TrackLesson:
    of_objects = [track for track in lesson.tracks if track.matched]
    others = [track for track in lesson.tracks if not track.matched]
    of_other = others and (not of_objects or generator.random() < unmatched)
    drawn = others if of_other else of_objects
    return drawn[int(generator.integers(len(drawn)))]


def read_batches(batches: Iterable[list[Sample]], hardware: Hardware) -> Iterator[tuple[Tensor, Tensor, int]]:
    """What falls to this process of each batch, on its device.

    Yields
    ------
    pictures : (n, len(CHANNELS), h, w) float32
    target : (n, h, w) uint8
    count : int
        Samples of the whole batch.
    """

    def read(batch: list[Sample]) -> tuple[Tensor, Tensor, int]:
        pictures, target = zip(*map(_read, hardware.share(batch)), strict=True)
        laid_out = torch.cat(pictures).contiguous(memory_format=torch.channels_last)
        return laid_out, torch.cat(target), len(batch)

    for pictures, target, count in map_ahead(read, batches, _BATCHES_AHEAD):
        device = hardware.device
        yield pictures.to(device, non_blocking=True), target.to(device, non_blocking=True), count


def _read(sample: Sample) -> tuple[Tensor, Tensor]:
    """Picture (1, len(CHANNELS), h, w) and target (1, h, w)."""
    frame = slice(sample.t, sample.t + 1)
    picture = join_cues(sample.lesson.shared[frame], sample.track.own[frame])
    target = torch.from_numpy(sample.track.target[frame])
    if sample.mirrored:
        picture, target = mirror_cues(picture), target.flip(-1)
    picture[0, torch.from_numpy(sample.dropped)] = 0
    jitter_colours(picture, torch.from_numpy(sample.shift)[None])
    return picture, target
