"""Train the two networks of `regions` that map what moves, and write their weights.

    python benchmarks/fit_regions_saliency.py ROOT SPRITES OUTPUT

ROOT is DAVIS 2016 in the official layout, SPRITES the embedded data set (`alba sprites --output SPRITES`).
Writes OUTPUT/glance-all.npz and survey-all.npz, trained on all train videos of both, and the same for
without-{0,1,2}, each trained without every third video: the ranking is fitted on what these say of the videos
that they have not seen, and proposals of train videos are made with them. The second network learns from what
the first says of videos that it has not seen. All go to `alba/proposals/regions/weights`. Prints the IoU of
the thresholded maps on unseen videos.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
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
from alba.datasets import list_videos, open_video
from alba.proposals.regions.backend import glances, with_neighbours
from alba.proposals.regions.colour import NUM_BINS, colour_counts
from alba.proposals.regions.saliency import (
    FOLDS,
    GLANCE_CUES,
    REACH,
    View,
    survey_cues,
)
from alba.proposals.regions.unet import WIDTHS

FRAMES = 44  # of a video, from its middle
SPRITES_SHARE = 0.25  # of the frames of a batch
BATCH, STEPS, LEARNING_RATE = 8, 450, 2e-3
CUE_DROPOUT = 0.08
MIRRORED = GLANCE_CUES.index("velocity_x")
LAB = slice(GLANCE_CUES.index("lightness"), GLANCE_CUES.index("b") + 1)


@dataclass(frozen=True)
class Record:
    """What the first look gives of a run of frames, but for the network's answer, and their truth.

    Parameters
    ----------
    views : list of View
    truth : (T, h, w) float16
    """

    views: list[View]
    truth: NDArray[np.float16]


@dataclass(frozen=True)
class Lesson:
    """Cues (T, C, h, w) float16 and truth (T, h, w) float16 of one video."""

    cues: NDArray[np.float16]
    truth: NDArray[np.float16]


def record(layout: str, root: Path, name: str) -> Record:
    """What one video has to teach."""
    cv2.setNumThreads(1)
    video = open_video(DatasetSettings(layout=layout, root=str(root)), name)
    first = max(0, (len(video) - FRAMES) // 2)
    frames = range(first, min(len(video), first + FRAMES))
    paths = list(video.frame_paths)
    inputs = ((video.frame(t), *flow_around(paths, t)) for t in frames)
    found = glances(inputs, lambda cues: np.zeros_like(cues[0]), np.zeros((2, NUM_BINS)))
    views = [halved(each.view) for each in found]
    truth = [truth_of(video.annotation(t), views[0].glance.shape) for t in frames]
    return Record(views, np.stack(truth))


def halved(view: View) -> View:
    cues, flow, lab = (part.astype(np.float16) for part in (view.cues, view.flow, view.lab))
    return replace(view, cues=cues, flow=flow, lab=lab)


def truth_of(annotation: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.float16]:
    objects = np.float32((annotation > 0) & (annotation < 255))
    return cv2.resize(objects, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float16)


def first_lesson(of: Record) -> Lesson:
    return Lesson(np.stack([view.cues for view in of.views]).astype(np.float16), of.truth)


def second_lesson(of: Record, maps: NDArray[np.float32]) -> Lesson:
    """What the second network sees if the first says `maps`."""
    views = [
        replace(
            view,
            glance=glance,
            inside=colour_counts(view.bins, glance),
            outside=colour_counts(view.bins, 1 - glance),
        )
        for view, glance in zip(of.views, maps, strict=True)
    ]
    so_far, cues = np.zeros((2, NUM_BINS)), []
    for run, t in with_neighbours(counted(views, so_far), REACH):
        cues.append(survey_cues(run, t, so_far).astype(np.float16))
    return Lesson(np.stack(cues), of.truth)


def counted(views: Sequence[View], so_far: NDArray[np.float64]) -> Iterator[View]:
    for view in views:
        so_far += view.inside, view.outside
        yield view


class Network(nn.Module):
    """The U-Net of `alba.proposals.regions.unet`, with batch normalisation."""

    def __init__(self, num_cues: int) -> None:
        super().__init__()
        before = (num_cues, *WIDTHS[:-1])
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
    network = Network(davis[0].cues.shape[1]).to(memory_format=torch.channels_last)
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


def export(network: Network, path: Path, held_out: Sequence[str]) -> None:
    """Write the weights as `alba.proposals.regions.unet` reads them, normalisation folded in."""
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
    halves = {name: weight.detach().numpy().astype(np.float16) for name, weight in weights.items()}
    np.savez_compressed(path, **halves, held_out=np.array(held_out, np.str_))


@torch.no_grad()
def maps_of(network: Network, video: Lesson) -> NDArray[np.float32]:
    """What the network says of each frame: (T, h, w) float32 in [0, 1]."""
    parts = torch.from_numpy(video.cues).split(16)
    return torch.cat([network(part.float()).sigmoid() for part in parts]).numpy()


def overlap(maps: NDArray[np.float32], video: Lesson) -> float:
    """Mean IoU of the map above one half with the truth."""
    predicted, truth = maps > 0.5, video.truth > 0.5
    shared, union = (predicted & truth).sum((1, 2)), (predicted | truth).sum((1, 2))
    return float(np.mean(shared / np.maximum(union, 1)))


def cross_fit(
    which: str, lessons: Sequence[Sequence[Lesson]], names: Sequence[Sequence[str]], output: Path
) -> list[list[NDArray[np.float32]]]:
    """Train on all videos and without each third; what is said of every video by what has not seen it."""
    export(train(*lessons, seed=FOLDS), output / f"{which}-all.npz", [])
    maps = [[np.empty(0, np.float32)] * len(videos) for videos in lessons]
    for fold in range(FOLDS):
        seen = [[v for i, v in enumerate(videos) if i % FOLDS != fold] for videos in lessons]
        network = train(*seen, seed=fold)
        export(
            network,
            output / f"{which}-without-{fold}.npz",
            [name for of in names for name in of[fold::FOLDS]],
        )
        for found, videos in zip(maps, lessons, strict=True):
            found[fold::FOLDS] = [maps_of(network, video) for video in videos[fold::FOLDS]]
    for data_set, found, videos in zip(("DAVIS", "sprites"), maps, lessons, strict=True):
        overlaps = [overlap(*pair) for pair in zip(found, videos, strict=True)]
        thirds = ", ".join(f"{np.mean(overlaps[fold::FOLDS]):.3f}" for fold in range(FOLDS))
        print(f"{which}: {data_set} {thirds} on the unseen thirds", flush=True)
    return maps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("sprites", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    records, names = [], []
    with ProcessPoolExecutor() as processes:
        for layout, root in (("davis16", options.root), ("davis17", options.sprites)):
            names.append(list_videos(DatasetSettings(layout=layout, root=str(root)), "train"))
            records.append(list(processes.map(partial(record, layout, root), names[-1])))
    lessons = [[first_lesson(video) for video in videos] for videos in records]
    maps = cross_fit("glance", lessons, names, options.output)
    lessons = [
        [second_lesson(*pair) for pair in zip(*data_set, strict=True)]
        for data_set in zip(records, maps, strict=True)
    ]
    cross_fit("survey", lessons, names, options.output)


if __name__ == "__main__":
    main()
