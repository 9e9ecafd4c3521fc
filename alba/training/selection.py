"""Supervised training of the selection network, and its use."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from alba.config import REVISIONS, SelectionSettings
from alba.errors import TrainingError
from alba.networks import SelectionNetwork
from alba.progress import progress
from alba.training.checkpoint import Selection, build_selection, describe_selection, save_checkpoint
from alba.training.corpus import Corpus, store_of
from alba.training.crops import Batch, cut, draw_samples, read_batches
from alba.training.hardware import Hardware, use_hardware
from alba.training.holdout import folds_of
from alba.training.loading import SelectionVideo, load_selection_video
from alba.training.run import Run, progress_folder
from alba.training.scalars import merge_logs
from alba.training.sole import sole_trainer
from alba.training.supervised import Tally, descend, mean

JUDGED_PER_FRAME = 4
"""Proposals of each frame of a video that is left out, on which the epochs are compared."""


def train_selection(corpus: Corpus, settings: SelectionSettings, output: Path) -> None:
    """Train on the oracle's labels (log loss, section 3.2) and publish the checkpoint.

    Raises
    ------
    TrainingError
        No training video has a proposal, or loss or gradient is not finite.
    """
    with use_hardware(settings) as hardware, sole_trainer(output, hardware):
        videos = load_selection_videos(corpus, settings)
        identity = {
            "revision": REVISIONS["selection"],
            "settings": settings.model_dump(mode="json", exclude={"device"}),
            "inputs": corpus.inputs_digest(),
        }
        fit = partial(_fit, videos, settings, progress_folder(output), identity, hardware)
        held_out, cross_fit = _cross_fit(videos, folds_of(corpus, settings.folds), fit, settings.epochs)
        num_epochs = cross_fit.best_epoch if cross_fit else settings.epochs
        (selection,), run = fit("train selection", [Fold(range(len(videos)))], num_epochs)
        run.load_best()
        if hardware.writes:
            description = {
                **describe_selection(selection, {"labels": corpus.digest()}),
                "epoch": run.best_epoch,
                "held_out": _agreement(videos, held_out, settings.threshold) if held_out else None,
            }
            outputs = {corpus.videos[v].name: torch.from_numpy(held_out[v]) for v in held_out}
            log = merge_logs(run.log, cross_fit.log if cross_fit else [], "validation")
            tensors = {"held_out": outputs} if outputs else {}
            save_checkpoint(output, selection.network, description, log, tensors)
            shutil.rmtree(progress_folder(output))
        hardware.wait()


def load_selection_videos(corpus: Corpus, settings: SelectionSettings) -> list[SelectionVideo]:
    """Pixels, proposals and labels of all training videos.

    Raises
    ------
    TrainingError
        None has a proposal, or their proposals are of different backends.
    """
    videos = [
        load_selection_video(
            video,
            store_of(corpus.proposals, video),
            store_of(corpus.flow, video),
            store_of(corpus.labels, video),
            settings.working_height,
        )
        for video in progress(corpus.videos, "load", unit="video")
    ]
    if not any(len(video.boxes) for video in videos):
        raise TrainingError("no training video has a proposal", "lower the proposal backend's thresholds")
    first, expected = corpus.videos[0].name, videos[0].features.shape[1]
    for video, pixels in zip(corpus.videos, videos, strict=True):
        if (found := pixels.features.shape[1]) != expected:
            raise TrainingError(
                f"the proposals of {video.name} have {found} features, those of {first} {expected}",
                "make the proposals of all data sets with the same backend",
            )
    return videos


@dataclass(frozen=True)
class Fold:
    """Videos that one network learns from, and others that it is judged on, by their numbers."""

    learnt: Sequence[int]
    left_out: Sequence[int] = ()


def _fit(
    videos: Sequence[SelectionVideo],
    settings: SelectionSettings,
    folder: Path,
    identity: Mapping[str, Any],
    hardware: Hardware,
    title: str,
    folds: Sequence[Fold],
    num_epochs: int,
) -> tuple[list[Selection], Run]:
    """A network per fold, all trained side by side: an epoch of one is judged together with the others'.

    They share nothing but the optimizer's settings; it leaves alone what has no gradient.
    """
    selections = [_begin([videos[v] for v in fold.learnt], settings, hardware) for fold in folds]
    generators = [np.random.default_rng(settings.seed) for _ in folds]
    networks = nn.ModuleList(selection.network for selection in selections)
    run = Run(
        folder / title.replace(" ", "-"),
        {**identity, "epochs": num_epochs},
        describe_selection(selections[0], {}),
        networks if len(folds) > 1 else selections[0].network,
        torch.optim.Adam(networks.parameters(), settings.learning_rate),
        generators,
        hardware,
    )
    for epoch in run.epochs(num_epochs, title):
        start = time.perf_counter()
        learnt, judged, norms = Tally(hardware), Tally(hardware), []
        for fold, selection, generator in zip(folds, selections, generators, strict=True):
            samples = draw_samples([videos[v] for v in fold.learnt], settings, generator)
            for batch, count in read_batches(samples, settings, hardware):
                loss, right = _losses(selection, batch, hardware)
                norms.append(descend(run, selection.network, loss, right, count, learnt))
        speed = learnt.count / (time.perf_counter() - start)
        for fold, selection in zip(folds, selections, strict=True):
            _judge([videos[v] for v in fold.left_out], selection, hardware, judged)
        row = {**learnt.row("train"), **judged.row("validation"), "grad_norm": mean(norms)}
        score = -row["loss/validation"] if judged.count and settings.keep == "best" else None
        run.end_epoch(epoch, {**row, "proposals_per_second": speed}, score)
    return selections, run


def _begin(videos: Sequence[SelectionVideo], settings: SelectionSettings, hardware: Hardware) -> Selection:
    """A new network, its input scale fitted to the videos that it will learn from."""
    torch.manual_seed(settings.seed)
    selection = build_selection(settings, videos[0].features.shape[1])
    known = [video.known(slice(None), settings.score) for video in videos]
    selection.network.standardize.fit(torch.from_numpy(np.concatenate(known)))
    selection.network.to(hardware.device)
    return selection


def _losses(selection: Selection, batch: Batch, hardware: Hardware) -> tuple[Tensor, Tensor]:
    """Sum of the losses of a batch, and number of right decisions."""
    crops, known, iou, selected = batch
    settings = selection.settings
    logits = hardware.run(selection.network)(crops, known)
    loss = functional.binary_cross_entropy_with_logits(
        logits,
        iou if settings.target == "iou" else selected.float(),
        pos_weight=torch.tensor(settings.positive_weight, device=logits.device),
        reduction="sum",
    )
    return loss, ((logits.sigmoid() > settings.threshold) == selected).sum()


@torch.no_grad()
def _judge(videos: Sequence[SelectionVideo], selection: Selection, hardware: Hardware, tally: Tally) -> None:
    """Loss and accuracy on videos that a network has not seen, on the same few proposals every time."""
    few = min(JUDGED_PER_FRAME, selection.settings.samples_per_frame)
    settings = selection.settings.model_copy(update={"samples_per_frame": few, "flip": False})
    samples = draw_samples(videos, settings, np.random.default_rng(settings.seed))
    for batch, count in read_batches(samples, settings, hardware):
        loss, right = _losses(selection, batch, hardware)
        tally.add(loss, right, count)


def _cross_fit(
    videos: Sequence[SelectionVideo],
    fold_of: Sequence[int],
    fit: Callable[[str, Sequence[Fold], int], tuple[list[Selection], Run]],
    num_epochs: int,
) -> tuple[dict[int, NDArray[np.float32]], Run | None]:
    """Outputs for every training video by a network that has seen none of its fold.

    The networks that follow learn from these: outputs on a network's own training videos are better than
    those that it will give on new ones, and a policy that trusts them is misled at test time.
    """
    num_folds = max(fold_of) + 1
    folds = [
        Fold(
            [v for v, fold in enumerate(fold_of) if fold != k],
            [v for v, fold in enumerate(fold_of) if fold == k],
        )
        for k in range(num_folds)
    ]
    folds = [fold for fold in folds if any(len(videos[v].boxes) for v in fold.learnt)]
    if num_folds == 1 or not folds:
        return {}, None
    selections, run = fit("cross-fit selection", folds, num_epochs)
    run.load_best()
    jobs = [(v, selection) for fold, selection in zip(folds, selections, strict=True) for v in fold.left_out]
    outputs = [select(selection, videos[v]) for v, selection in run.hardware.share(jobs)]
    return {v: output for (v, _), output in zip(jobs, run.hardware.gather(outputs), strict=True)}, run


def _agreement(
    videos: Sequence[SelectionVideo], held_out: Mapping[int, NDArray[np.float32]], threshold: float
) -> dict[str, float | None]:
    """How far the outputs on unseen videos agree with the oracle's labels.

    Returns
    -------
    dict
        accuracy: share of right decisions; recall: of proposals of moving objects that are selected;
        correlation: of output and IoU. None where that is not defined.
    """
    outputs = np.concatenate(list(held_out.values()))
    iou, selected = (
        np.concatenate([getattr(videos[v], name) for v in held_out]) for name in ("iou", "selected")
    )
    chosen = outputs > threshold
    varied = len(outputs) > 1 and np.ptp(outputs) > 0 and np.ptp(iou) > 0
    return {
        "accuracy": float((chosen == selected).mean()) if len(outputs) else None,
        "recall": float(chosen[selected].mean()) if selected.any() else None,
        "correlation": float(np.corrcoef(outputs, iou)[0, 1]) if varied else None,
    }


@torch.no_grad()
def select(selection: Selection, video: SelectionVideo) -> NDArray[np.float32]:
    """The network's output for every proposal of a video: (N,) float32 in 0..1."""
    network: SelectionNetwork = selection.network
    device = next(network.parameters()).device
    outputs = []
    for t in range(len(video.offsets) - 1):
        rows = np.arange(video.offsets[t], video.offsets[t + 1])
        if len(rows):
            crops = cut(video, t, rows, selection.settings).to(device)
            known = torch.from_numpy(video.known(rows, selection.settings.score)).to(device)
            outputs.append(network(crops, known).sigmoid().cpu().numpy())
    return np.concatenate(outputs) if outputs else np.zeros(0, np.float32)
