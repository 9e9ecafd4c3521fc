"""Training of the refinement network on the tracks that the reinforced network makes, and its use."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alba.config import RefinementSettings
from alba.errors import TrainingError
from alba.masks import VOID
from alba.progress import progress
from alba.refinement import join_cues, mirror_cues
from alba.training.batch_norm import join_batch_norms
from alba.training.checkpoint import (
    Refinement,
    build_refinement,
    describe_refinement,
    load_assignment,
    load_selection,
)
from alba.training.compatibility import check_networks
from alba.training.corpus import Corpus
from alba.training.hardware import Hardware, use_hardware
from alba.training.holdout import leave_out
from alba.training.run import Run, progress_folder
from alba.training.sole import sole_trainer
from alba.training.supervised import Tally, descend, mean
from alba.training.track_batches import draw_batches, read_batches
from alba.training.track_lessons import FULL, Preparation, VideoLesson

JUDGED_PER_VIDEO = 32
"""Frames of each video that is left out, on which the epochs are compared."""

_SMOOTHING = 20.0
"""Pixels added to intersection and union, so that small objects do not rule the loss."""


def train_refinement(
    corpus: Corpus,
    selection_folder: Path,
    assignment_folder: Path,
    settings: RefinementSettings,
    tracks: str,
    output: Path,
    jobs: int = 1,
) -> None:
    """Train the refinement network and publish a checkpoint.

    It is the best epoch's where videos are left out to judge them on, else the last one's.

    Parameters
    ----------
    corpus : Corpus
    selection_folder, assignment_folder : Path
        The networks whose tracks are refined. The tracks are made from the outputs of cross-fitted selection
        networks, which are as good as those on new videos.
    settings : RefinementSettings
    tracks : str
        "main" or "all", as in `SegmentSettings`.
    output : Path
    jobs : int
        Processes that prepare the videos.

    Raises
    ------
    TrainingError
        No training video has a track, loss or gradient is not finite, there are more processes than frames
        in a batch, or one of them was killed.
    CheckpointError
        The networks do not fit each other.
    """
    check_networks(
        selection_folder,
        load_selection(selection_folder),
        assignment_folder,
        load_assignment(assignment_folder),
    )
    left_out = leave_out(corpus, settings.validation_share, settings.seed)
    torch.manual_seed(settings.seed)
    refinement = replace(build_refinement(settings), validation=tuple(left_out))
    num_frames = max(1, settings.most_frames // len(corpus.videos))
    folder = progress_folder(output)
    preparation = Preparation(
        corpus, selection_folder, assignment_folder, settings.pixels, tracks, num_frames, folder
    )
    with use_hardware(settings) as hardware, sole_trainer(output, hardware):
        if settings.batch_size < hardware.size:
            raise TrainingError(
                f"{hardware.size} processes for {settings.batch_size} frames per update",
                "raise refinement.batch_size, or start fewer processes",
            )
        lessons = _prepare(preparation, jobs, hardware)
        network = refinement.network
        join_batch_norms(network, hardware)
        network.to(hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = Run(
            folder,
            {
                **preparation.identity,
                "settings": settings.model_dump(mode="json", exclude={"device", "apply"}),
            },
            describe_refinement(refinement, {"labels": corpus.digest(), "tracks": tracks}),
            network,
            torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=1e-2),
            [np.random.default_rng(settings.seed)],
            hardware,
        )
        learn(
            [lesson for name, lesson in lessons.items() if name not in left_out],
            [lesson for name, lesson in lessons.items() if name in left_out],
            refinement,
            run,
        )
        run.publish(output)


def _prepare(preparation: Preparation, jobs: int, hardware: Hardware) -> dict[str, VideoLesson]:
    """Lessons of the videos that have a track, by their names; each process prepares its share of them."""
    videos = preparation.corpus.videos
    if hardware.writes:
        preparation.remove_others()
    preparation.prepare(hardware.share(range(len(videos))), jobs)
    hardware.wait()
    opened = {video.name: preparation.open(v) for v, video in enumerate(videos)}
    return {name: lesson for name, lesson in opened.items() if lesson.tracks}


def learn(
    lessons: Sequence[VideoLesson], left_out: Sequence[VideoLesson], refinement: Refinement, run: Run
) -> None:
    """Train a network, and judge every epoch by its masks of the videos that are left out.

    The U-Nets take turns, each with batches of its own, so that they err in different places. Every video has
    the same share of the samples, however long it is.

    Raises
    ------
    TrainingError
        There is nothing to learn from, or loss or gradient is not finite.
    """
    if not lessons:
        raise TrainingError("no training video has a track", "lower selection.threshold")
    if not left_out and refinement.settings.validation_share:
        logging.getLogger(__name__).warning("no video to validate on: the last epoch will be published")
    settings, network, hardware = refinement.settings, refinement.network, run.hardware
    (generator,) = run.generators
    assert isinstance(generator, np.random.Generator)
    num_frames = sum(len(lesson.shared) for lesson in lessons)
    num_updates = max(1, num_frames // settings.batch_size) * len(network.members)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        run.optimizer,
        settings.learning_rate,
        total_steps=settings.epochs * num_updates + 1,
        last_epoch=max(run.epoch, 0) * num_updates - 1,
    )
    for epoch in run.epochs(settings.epochs, "train refinement"):
        start = time.perf_counter()
        learnt, judged, norms = Tally(hardware, "iou"), Tally(hardware, "iou"), []
        network.train()
        batches = read_batches(draw_batches(lessons, settings, generator, num_updates), hardware)
        turns = zip(cycle(network.members), progress(batches, f"epoch {epoch}", num_updates, "batch"))
        for member, (pictures, target, count) in turns:
            loss, iou = mask_loss(hardware.run(member)(pictures), target, count, hardware)
            norms.append(descend(run, member, loss, iou, count, learnt))
            schedule.step()
        speed = learnt.count / (time.perf_counter() - start)
        _judge(refinement, left_out, hardware, judged)
        row = {**learnt.row("train"), **judged.row("validation"), "grad_norm": mean(norms)}
        run.end_epoch(epoch, {**row, "frames_per_second": speed}, row.get("iou/validation"))


@torch.no_grad()
def _judge(refinement: Refinement, lessons: Sequence[VideoLesson], hardware: Hardware, tally: Tally) -> None:
    """Loss and overlap on videos that the network has not seen, in the same few frames every time."""
    settings, network = refinement.settings, refinement.network
    fixed = settings.model_copy(update={"channel_dropout": 0.0, "colour_jitter": 0.0})
    num = -(-JUDGED_PER_VIDEO * len(lessons) // settings.batch_size)
    samples = draw_batches(lessons, fixed, np.random.default_rng(settings.seed), num)
    network.eval()
    for pictures, target, count in read_batches(samples, hardware):
        loss, iou = mask_loss(hardware.run(network)(pictures), target, count, hardware)
        tally.add(loss, iou, count)


def mask_loss(logits: Tensor, target: Tensor, count: int, hardware: Hardware) -> tuple[Tensor, Tensor]:
    """Cross-entropy, its mean over all pixels of a batch, and one minus the soft IoU of each mask.

    Loss and IoU are means over the U-Nets, each of which is to draw the whole mask by itself.

    Parameters
    ----------
    logits : (n, S, h, w) float32
        Of S U-Nets, for this process's share of a batch.
    target : (n, h, w) uint8
        0 outside to 254 inside, 255 void: such pixels do not count.
    count : int
        Masks of the whole batch.
    hardware : Hardware

    Returns
    -------
    loss, iou : () float32
        What the share adds to `count` times the loss of the batch, and to the sum of the soft IoU.
    """
    known = (target != VOID).float()[:, None]
    inside = target.float()[:, None] / FULL * known
    entropy = functional.binary_cross_entropy_with_logits(logits, inside.expand_as(logits), reduction="none")
    probability = logits.sigmoid() * known
    common = (probability * inside).sum((2, 3))
    union = (probability + inside - probability * inside).sum((2, 3))
    iou = ((common + _SMOOTHING) / (union + _SMOOTHING)).mean(1)
    (num_known,) = hardware.total(float(known.sum()))
    loss = count * (entropy * known).mean(1).sum() / max(num_known, 1) + (1 - iou).sum()
    return loss, iou.detach().sum()


@torch.inference_mode()
def refine(
    refinement: Refinement, shared: NDArray[np.float16], own: NDArray[np.float16]
) -> NDArray[np.float32]:
    """Probability that a pixel is the track's, the mean over the U-Nets, the video and its mirror image.

    In float32 whatever the network was trained in: most processors are slower in bfloat16.

    Parameters
    ----------
    refinement : Refinement
    shared : (T, len(SHARED), h, w) float16
    own : (T, len(OWN), h, w) float16

    Returns
    -------
    (T, h, w) float32
    """
    probabilities = []
    for start in range(0, len(own), refinement.settings.batch_size):
        part = slice(start, start + refinement.settings.batch_size)
        pictures = join_cues(shared[part], own[part])
        straight, mirrored = (
            refinement.network(cues.contiguous(memory_format=torch.channels_last)).sigmoid().mean(1)
            for cues in (pictures, mirror_cues(pictures))
        )
        probabilities.append(((straight + mirrored.flip(-1)) / 2).numpy())
    return np.concatenate(probabilities)
