"""Supervised training of the selection network, and its use."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alba.config import REVISIONS, SelectionSettings
from alba.errors import TrainingError
from alba.networks import SelectionNetwork, crop_proposals
from alba.progress import progress
from alba.training.checkpoint import Selection, build_selection, save_checkpoint
from alba.training.corpus import Corpus, store_of
from alba.training.loading import SelectionVideo, load_selection_video


def train_selection(corpus: Corpus, settings: SelectionSettings, output: Path) -> None:
    """Train on the oracle's labels (log loss, section 3.2) and publish the checkpoint.

    Raises
    ------
    TrainingError
        No training video has a proposal.
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
    held_out = _cross_fit(videos, corpus.origins, settings)
    selection, log = _fit(videos, settings, "train selection")
    description = {
        "kind": "selection",
        "settings": settings.model_dump(mode="json"),
        "num_features": selection.num_features,
        "provenance": {"revision": REVISIONS["selection"], "labels": corpus.digest()},
        "held_out": _agreement(videos, held_out, settings.threshold) if held_out else None,
    }
    names = [video.name for video in corpus.videos]
    tensors = {"held_out": {names[v]: torch.from_numpy(outputs) for v, outputs in held_out.items()}}
    save_checkpoint(output, selection.network, description, log, tensors if held_out else {})


def _fit(
    videos: Sequence[SelectionVideo], settings: SelectionSettings, bar: str
) -> tuple[Selection, list[dict[str, float]]]:
    """A network trained on some videos, and a row per epoch."""
    torch.manual_seed(settings.seed)
    selection = build_selection(settings, videos[0].features.shape[1])
    network = selection.network
    known = [video.known(slice(None), settings.score) for video in videos]
    network.standardize.fit(torch.from_numpy(np.concatenate(known)))
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
    generator = np.random.default_rng(settings.seed)
    log = []
    for epoch in progress(range(settings.epochs), bar, unit="epoch"):
        losses, right, count = 0.0, 0, 0
        for crops, features, iou, selected in _batches(videos, settings, generator):
            logits = network(crops, features)
            loss = _loss(logits, iou, selected, settings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item() * len(iou)
            right += int(((logits.sigmoid() > settings.threshold) == selected).sum())
            count += len(iou)
        log.append({"epoch": epoch + 1, "loss": losses / count, "accuracy": right / count})
    network.eval()
    return selection, log


def _cross_fit(
    videos: Sequence[SelectionVideo], origins: Sequence[int], settings: SelectionSettings
) -> dict[int, NDArray[np.float32]]:
    """Outputs for every training video by a network that has seen neither it nor one of the same origin.

    The networks that follow learn from these: outputs on a network's own training videos are better than
    those that it will give on new ones, and a policy that trusts them is misled at test time.
    """
    num_folds = min(settings.folds, len(set(origins)))
    folds = [origin % num_folds for origin in origins]
    outputs: dict[int, NDArray[np.float32]] = {}
    for fold in range(num_folds if num_folds > 1 else 0):
        others = [video for video, own in zip(videos, folds, strict=True) if own != fold]
        if any(len(video.boxes) for video in others):
            selection, _ = _fit(others, settings, f"cross-fit selection {fold + 1} of {num_folds}")
            outputs |= {v: select(selection, videos[v]) for v, own in enumerate(folds) if own == fold}
    return outputs


def _agreement(
    videos: Sequence[SelectionVideo], held_out: Mapping[int, NDArray[np.float32]], threshold: float
) -> dict[str, float]:
    """How far the outputs on unseen videos agree with the oracle's labels.

    Returns
    -------
    dict
        accuracy: share of right decisions; recall: of proposals of moving objects that are selected;
        correlation: of output and IoU.
    """
    outputs = np.concatenate(list(held_out.values()))
    iou, selected = (
        np.concatenate([getattr(videos[v], name) for v in held_out]) for name in ("iou", "selected")
    )
    chosen = outputs > threshold
    return {
        "accuracy": float((chosen == selected).mean()),
        "recall": float(chosen[selected].mean()) if selected.any() else float("nan"),
        "correlation": float(np.corrcoef(outputs, iou)[0, 1]),
    }


def _loss(logits: Tensor, iou: Tensor, selected: Tensor, settings: SelectionSettings) -> Tensor:
    target = iou if settings.target == "iou" else selected.float()
    return functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=torch.tensor(settings.positive_weight)
    )


def _batches(
    videos: Sequence[SelectionVideo], settings: SelectionSettings, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Crops, features, IoU and labels; some proposals of every frame, frames in random order."""
    frames = [
        (video, t) for video in videos for t in range(len(video.offsets) - 1) if np.diff(video.offsets)[t]
    ]
    generator.shuffle(frames)
    per_batch = max(1, settings.batch_size // settings.samples_per_frame)
    for start in range(0, len(frames), per_batch):
        parts = []
        for video, t in frames[start : start + per_batch]:
            rows = np.arange(video.offsets[t], video.offsets[t + 1])
            rows = generator.permutation(rows)[: settings.samples_per_frame]
            crops = cut(video, t, rows, settings)
            if settings.flip and generator.random() < 0.5:
                crops = crops.flip(-1)
                crops[:, 3] *= -1  # u points the other way in a mirror
            assert video.iou is not None
            assert video.selected is not None
            arrays = video.known(rows, settings.score), video.iou[rows], video.selected[rows]
            parts.append((crops, *(torch.from_numpy(array) for array in arrays)))
        crops, features, iou, selected = (torch.cat(part) for part in zip(*parts, strict=True))
        yield crops, features, iou, selected


def cut(video: SelectionVideo, t: int, rows: NDArray[np.integer], settings: SelectionSettings) -> Tensor:
    """Crops of some proposals of frame `t`: (n, 6, S, S) float32."""
    return crop_proposals(
        torch.from_numpy(video.pictures[t : t + 1].astype(np.float32)),
        torch.from_numpy(video.masks(rows).astype(np.float32)),
        torch.from_numpy(video.boxes[rows]),
        torch.zeros(len(rows), dtype=torch.long),
        settings.encoder.input_size,
        settings.crop_margin,
    )


@torch.no_grad()
def select(selection: Selection, video: SelectionVideo) -> NDArray[np.float32]:
    """The network's output for every proposal of a video: (N,) float32 in 0..1."""
    network: SelectionNetwork = selection.network
    outputs = []
    for t in range(len(video.offsets) - 1):
        rows = np.arange(video.offsets[t], video.offsets[t + 1])
        if len(rows):
            crops = cut(video, t, rows, selection.settings)
            known = torch.from_numpy(video.known(rows, selection.settings.score))
            outputs.append(network(crops, known).sigmoid().numpy())
    return np.concatenate(outputs) if outputs else np.zeros(0, np.float32)
