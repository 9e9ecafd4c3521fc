"""What the selection network reads: some proposals of every frame, cut out of pictures and masks.

What is read is drawn first, in order; the cutting is left to a thread that is a few batches ahead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alba.config import SelectionSettings
from alba.datasets.read_ahead import map_ahead
from alba.networks import crop_proposals
from alba.training.hardware import Hardware
from alba.training.loading import SelectionVideo

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Sample:
    """Proposals of frame `t` that are looked at together, by their rows; `mirrored` left to right."""

    video: SelectionVideo
    t: int
    rows: NDArray[np.integer]
    mirrored: bool


Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Crops (n, 6, S, S), what else is known (n, D), IoU (n,) and labels (n,) of n proposals."""


def draw_samples(
    videos: Sequence[SelectionVideo], settings: SelectionSettings, generator: np.random.Generator
) -> Iterator[list[Sample]]:
    """Batches of samples; some proposals of every frame, frames in random order."""
    frames = [
        (video, t) for video in videos for t in range(len(video.offsets) - 1) if np.diff(video.offsets)[t]
    ]
    generator.shuffle(frames)
    per_batch = max(1, settings.batch_size // settings.samples_per_frame)
    for start in range(0, len(frames), per_batch):
        batch = []
        for video, t in frames[start : start + per_batch]:
            rows = np.arange(video.offsets[t], video.offsets[t + 1])
            rows = generator.permutation(rows)[: settings.samples_per_frame]
            batch.append(Sample(video, t, rows, settings.flip and generator.random() < 0.5))
        yield batch


def read_batches(
    samples: Iterable[list[Sample]], settings: SelectionSettings, hardware: Hardware
) -> Iterator[tuple[Batch, int]]:
    """What falls to this process of each batch, on its device; the number of proposals of the whole batch."""

    def read(batch: list[Sample]) -> tuple[Batch, int]:
        if len(batch) >= hardware.size:
            share = cut_samples(hardware.share(batch), settings)
        else:  # too few frames for all processes: each takes some of their proposals, perhaps none
            crops, known, iou, selected = hardware.share_rows(*cut_samples(batch, settings))
            share = crops, known, iou, selected
        return share, sum(len(sample.rows) for sample in batch)

    for (crops, known, iou, selected), count in map_ahead(read, samples, _BATCHES_AHEAD):
        tensors = (crops, known, iou, selected)
        moved = [tensor.to(hardware.device, non_blocking=True) for tensor in tensors]
        yield (moved[0], moved[1], moved[2], moved[3]), count


def cut_samples(samples: Sequence[Sample], settings: SelectionSettings) -> Batch:
    """What the network is given for some samples and what it should answer."""
    parts: list[tuple[Tensor, ...]] = []
    for sample in samples:
        video, rows = sample.video, sample.rows
        crops = cut(video, sample.t, rows, settings)
        if sample.mirrored:
            crops = crops.flip(-1)
            crops[:, 3] *= -1  # u points the other way in a mirror
        assert video.iou is not None
        assert video.selected is not None
        arrays = video.known(rows, settings.score), video.iou[rows], video.selected[rows]
        parts.append((crops, *(torch.from_numpy(array) for array in arrays)))
    crops, known, iou, selected = (torch.cat(part) for part in zip(*parts, strict=True))
    return crops, known, iou, selected


def cut(video: SelectionVideo, t: int, rows: NDArray[np.integer], settings: SelectionSettings) -> Tensor:
    """Crops of some proposals of frame `t`: (n, 6, S, S) float32."""
    return crop_proposals(
        torch.from_numpy(video.pictures[t : t + 1]).float(),  # NumPy widens halves ten times slower
        torch.from_numpy(video.masks(rows)).float(),
        torch.from_numpy(video.boxes[rows]),
        torch.zeros(len(rows), dtype=torch.long),
        settings.encoder.input_size,
        settings.crop_margin,
    )
