"""Train the networks of `regions` that map what moves, and write their weights.

    python benchmarks/fit_regions_saliency.py ROOT SPRITES OUTPUT

ROOT is DAVIS 2016 in the official layout, SPRITES the embedded data set (`alba sprites --output SPRITES`).
Writes OUTPUT/all.npz, two networks trained on all train videos of both, and OUTPUT/without-{0,1,2}.npz, two
each that were trained without every third video: the ranking is fitted on what these say of the videos that
they have not seen, and proposals of train videos are made with them. All four files go to
`alba/proposals/regions/weights`. Prints the IoU of the thresholded mean map on unseen videos.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from proposals import flow_around
from torch import Tensor, nn
from torch.nn import functional

from alba.config import DatasetSettings
from alba.datasets import Video, list_videos, open_video
from alba.proposals.regions.backend import REMEMBERED, first_candidates, gather_evidence, look
from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.memory import Memory
from alba.proposals.regions.motion import residual_motion
from alba.proposals.regions.saliency import CUES, WIDTHS, ColourModel
from alba.proposals.regions.superpixels import find_superpixels

FOLDS = 3
FRAMES = 44  # of a video, from its middle
SPRITES_SHARE = 0.25  # of the frames of a batch
MEMBERS = 2  # networks of an ensemble
BATCH, STEPS, LEARNING_RATE = 8, 700, 2e-3
CUE_DROPOUT = 0.08
MIRRORED = CUES.index("velocity_x")
LAB = slice(CUES.index("lightness"), CUES.index("b") + 1)


@dataclass(frozen=True)
class Lesson:
    """Cues (T, C, h, w) float16 and truth (T, h, w) float16 of one video."""

    cues: NDArray[np.float16]
    truth: NDArray[np.float16]


def collect(layout: str, root: Path, name: str) -> Lesson:
    """What one video has to teach."""
    cv2.setNumThreads(1)
    video = open_video(DatasetSettings(layout=layout, root=str(root)), name)
    memory, colours = Memory(), ColourModel()
    first = max(0, (len(video) - FRAMES) // 2)
    found = [
        pair
        for t in range(first, min(len(video), first + FRAMES))
        if (pair := lesson_of(video, t, memory, colours)) is not None
    ]
    return Lesson(*(np.stack(part) for part in zip(*found, strict=True)))


def lesson_of(
    video: Video, t: int, memory: Memory, colours: ColourModel
) -> tuple[NDArray[np.float16], NDArray[np.float16]] | None:
    work = reduce_frame(video.frame(t), *flow_around(list(video.frame_paths), t))
    motion = residual_motion(work)
    superpixels = find_superpixels(work.lab, motion.residual)
    evidence = gather_evidence(superpixels, work, motion, memory.recall(superpixels, work.backward))
    pool = first_candidates(superpixels, evidence)
    if not len(pool.scores):
        return None
    cues = look(pool, evidence, colours)
    memory.keep(superpixels, pool.best(REMEMBERED), pool.consensus())
    truth = video.annotation(t)
    objects = np.float32((truth > 0) & (truth < 255))
    truth_map = cv2.resize(objects, cues.shape[:0:-1], interpolation=cv2.INTER_AREA)
    return cues.astype(np.float16), truth_map.astype(np.float16)


class Network(nn.Module):
    """The U-Net of `alba.proposals.regions.saliency`, with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        before = (len(CUES), *WIDTHS[:-1])
        self.down = nn.ModuleList(_block(c, d) for c, d in zip(before, WIDTHS, strict=True))
        self.up = nn.ModuleList(_block(c + d, c) for c, d in pairwise(WIDTHS))
        self.out = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Logits (B, h, w) of cues (B, C, h, w)."""
        skipped = []
        for scale, block in enumerate(self.down):
            picture = block(functional.max_pool2d(picture, 2) if scale else picture)
            skipped.append(picture)
        for scale in reversed(range(len(self.up))):
            enlarged = functional.interpolate(picture, scale_factor=2, mode="nearest")
            picture = self.up[scale](torch.cat([skipped[scale], enlarged], 1))
        logits: Tensor = self.out(picture)[:, 0]
        return logits


def _block(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (channels, width):
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)


def batches(davis: Sequence[Lesson], sprites: Sequence[Lesson], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames of random videos of one size, mirrored, recoloured and with cues left out at random."""
    generator = np.random.default_rng(seed)
    while True:
        videos = sprites if generator.random() < SPRITES_SHARE else davis
        cues, truth = [], []
        shape = videos[generator.integers(len(videos))].truth.shape[1:]
        alike = [video for video in videos if video.truth.shape[1:] == shape]
        for _ in range(BATCH):
            video = alike[generator.integers(len(alike))]
            t = generator.integers(len(video.truth))
            picture, mask = video.cues[t].astype(np.float32), video.truth[t].astype(np.float32)
            if generator.random() < 0.5:
                picture, mask = picture[..., ::-1].copy(), mask[..., ::-1].copy()
                picture[MIRRORED] *= -1
            picture[LAB] += generator.normal(0, 0.3, (3, 1, 1))
            picture[generator.random(len(picture)) < CUE_DROPOUT] = 0
            cues.append(picture)
            truth.append(mask)
        yield torch.from_numpy(np.stack(cues)), torch.from_numpy(np.stack(truth))


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft IoU."""
    probability = logits.sigmoid()
    shared = (probability * truth).sum((1, 2))
    union = (probability + truth - probability * truth).sum((1, 2))
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    return entropy + 1 - ((shared + 20) / (union + 20)).mean()


def train(davis: Sequence[Lesson], sprites: Sequence[Lesson], seed: int) -> Network:
    torch.manual_seed(seed)
    network = Network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    for _, (cues, truth) in zip(range(STEPS), batches(davis, sprites, seed), strict=False):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(cues.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def train_ensemble(davis: Sequence[Lesson], sprites: Sequence[Lesson], fold: int) -> list[Network]:
    """Networks that differ by their seeds."""
    return [train(davis, sprites, seed=10 * member + fold) for member in range(MEMBERS)]


def export(ensemble: Sequence[Network], path: Path, held_out: Sequence[str]) -> None:
    """Write networks as `alba.proposals.regions.saliency` reads them, one after the other in each array."""
    members = [folded(network) for network in ensemble]
    stacked = {name: np.stack([weights[name] for weights in members]) for name in members[0]}
    np.savez_compressed(path, **stacked, held_out=np.array(held_out, np.str_))


def folded(network: Network) -> dict[str, NDArray[np.float16]]:
    """Weights by name, normalisation folded in."""
    weights: dict[str, Tensor] = {}
    for side in ("down", "up"):
        for scale, block in enumerate(getattr(network, side)):
            for layer in (0, 1):
                convolution, norm = block[3 * layer], block[3 * layer + 1]
                gain = norm.weight / (norm.running_var + norm.eps).sqrt()
                kernel = convolution.weight * gain[:, None, None, None]
                weights[f"{side}.{scale}.{layer}.weight"] = kernel.permute(2, 3, 0, 1)
                weights[f"{side}.{scale}.{layer}.bias"] = norm.bias - norm.running_mean * gain
    weights["out.weight"], weights["out.bias"] = network.out.weight[0, :, 0, 0], network.out.bias[0]
    return {name: weight.detach().numpy().astype(np.float16) for name, weight in weights.items()}


@torch.no_grad()
def overlap_of(ensemble: Sequence[Network], video: Lesson) -> float:
    """Mean IoU of the mean map above one half with the truth."""
    cues = torch.from_numpy(video.cues.astype(np.float32))
    predicted = torch.stack([network(cues).sigmoid() for network in ensemble]).mean(0).numpy() > 0.5
    truth = video.truth > 0.5
    shared, union = (predicted & truth).sum((1, 2)), (predicted | truth).sum((1, 2))
    return float(np.mean(shared / np.maximum(union, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("sprites", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    lessons, names = [], []
    with ProcessPoolExecutor() as processes:
        for layout, root in (("davis16", options.root), ("davis17", options.sprites)):
            names.append(list_videos(DatasetSettings(layout=layout, root=str(root)), "train"))
            lessons.append(list(processes.map(partial(collect, layout, root), names[-1])))
    export(train_ensemble(*lessons, FOLDS), options.output / "all.npz", [])
    for fold in range(FOLDS):
        seen = [[v for i, v in enumerate(videos) if i % FOLDS != fold] for videos in lessons]
        ensemble = train_ensemble(*seen, fold)
        held_out = [name for of in names for name in of[fold::FOLDS]]
        export(ensemble, options.output / f"without-{fold}.npz", held_out)
        unseen = [np.mean([overlap_of(ensemble, v) for v in videos[fold::FOLDS]]) for videos in lessons]
        print(f"without {fold}: DAVIS {unseen[0]:.3f}, sprites {unseen[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
