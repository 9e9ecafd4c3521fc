"""Train one of the two networks of `regions` that map what moves, and write its weights.

    python benchmarks/fit_regions_saliency.py glance ROOT SPRITES OUTPUT
    python benchmarks/fit_regions_saliency.py survey ROOT SPRITES OUTPUT

ROOT is DAVIS 2016 in the official layout, SPRITES the embedded data set (`alba sprites --output SPRITES`).
Writes OUTPUT/glance-all.npz (or survey), trained on all train videos of both, and the same for without-0, 1
and 2, each trained without every third video: the ranking is fitted on what these say of the videos that they
have not seen, and proposals of train videos are made with them. The second network, survey, learns from what
the first, found in OUTPUT, says of videos that it has not seen. Both go to `alba/proposals/regions/weights`.
Prints the IoU of the thresholded maps on unseen videos. `benchmarks/fit_regions_ranking.py` says in which
order all is fitted.
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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from alba.config import DatasetSettings
from alba.datasets import list_videos, open_video
from alba.proposals.regions.backend import glances, with_neighbours
from alba.proposals.regions.colour import NUM_BINS
from alba.proposals.regions.saliency import FOLDS, GLANCE_CUES, REACH, Networks, survey_cues
from alba.proposals.regions.unet import WIDTHS, probability, read_weights

FRAMES = 44  # of a video, from its middle
SPRITES_SHARE = 0.25  # of the frames of a batch
BATCH, STEPS, LEARNING_RATE = 8, 700, 2e-3
WINDOW = 88, 160  # height and width of what a step sees of its pictures
AVERAGING = 0.98  # share of the running mean that a step leaves as it is
CUE_DROPOUT = 0.08
MIRRORED = GLANCE_CUES.index("velocity_x")
LAB = slice(GLANCE_CUES.index("lightness"), GLANCE_CUES.index("b") + 1)


@dataclass(frozen=True)
class Lesson:
    """Cues (T, C, h, w) float16 and truth (T, h, w) float16 of one video."""

    cues: NDArray[np.float16]
    truth: NDArray[np.float16]


def lesson(layout: str, root: Path, glances_of: Path | None, number: int, name: str) -> Lesson:
    """What a video has to teach the first network, or the second if the weights of the first are there."""
    cv2.setNumThreads(1)
    video = open_video(DatasetSettings(layout=layout, root=str(root)), name)
    first = max(0, (len(video) - FRAMES) // 2)
    frames = range(first, min(len(video), first + FRAMES))
    inputs = ((video.frame(t), *flow_around(list(video.frame_paths), t)) for t in frames)
    so_far = np.zeros((2, NUM_BINS))
    if glances_of is None:
        found = glances(inputs, lambda cues: np.zeros_like(cues[0]), so_far)
        cues = [each.view.cues[: len(GLANCE_CUES)].astype(np.float16) for each in found]
    else:
        weights = read_weights(glances_of / f"glance-without-{number % FOLDS}.npz")
        runs = with_neighbours(glances(inputs, partial(probability, weights=weights), so_far), REACH)
        seen = (survey_cues([each.view for each in run], t, (so_far[0], so_far[1])) for run, t in runs)
        cues = [each.astype(np.float16) for each in seen]
    truth = [truth_of(video.annotation(t), cues[0].shape[1:]) for t in frames]
    return Lesson(np.stack(cues), np.stack(truth))


def truth_of(annotation: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.float16]:
    objects = np.float32((annotation > 0) & (annotation < 255))
    return cv2.resize(objects, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float16)


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


def train(davis: Sequence[Lesson], sprites: Sequence[Lesson], seed: int) -> nn.Module:
    """A network with the running mean of its weights, which varies less from one training to the next."""
    torch.manual_seed(seed)
    places = np.random.default_rng(seed + 99)
    network = Network(davis[0].cues.shape[1]).to(memory_format=torch.channels_last)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    for _, batch in zip(range(STEPS), batches(davis, sprites, seed), strict=False):
        cues, truth = crop(*batch, places)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(cues.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
    return averaged.module.eval()


def crop(cues: Tensor, truth: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Cut the same window out of all pictures of a batch."""
    (height, width), (all_rows, all_columns) = WINDOW, truth.shape[1:]
    top, left = generator.integers(0, all_rows - height + 1), generator.integers(0, all_columns - width + 1)
    window = ..., slice(top, top + height), slice(left, left + width)
    return cues[window], truth[window]


def export(network: nn.Module, path: Path, held_out: Sequence[str]) -> None:
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
def overlap(network: nn.Module, video: Lesson) -> float:
    """Mean IoU of the map above one half with the truth."""
    parts = [network(part.float()).numpy() > 0 for part in torch.from_numpy(video.cues).split(16)]
    predicted, truth = np.concatenate(parts), video.truth > 0.5
    shared, union = (predicted & truth).sum((1, 2)), (predicted | truth).sum((1, 2))
    return float(np.mean(shared / np.maximum(union, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("which", choices=Networks._fields)
    parser.add_argument("root", type=Path)
    parser.add_argument("sprites", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    glances_of = options.output if options.which == "survey" else None
    lessons, names = [], []
    with ProcessPoolExecutor() as processes:
        for layout, root in (("davis16", options.root), ("davis17", options.sprites)):
            names.append(list_videos(DatasetSettings(layout=layout, root=str(root)), "train"))
            of = partial(lesson, layout, root, glances_of)
            lessons.append(list(processes.map(of, range(len(names[-1])), names[-1])))
    export(train(*lessons, seed=FOLDS), options.output / f"{options.which}-all.npz", [])
    for fold in range(FOLDS):
        seen = [[v for i, v in enumerate(videos) if i % FOLDS != fold] for videos in lessons]
        network = train(*seen, seed=fold)
        held_out = [name for of in names for name in of[fold::FOLDS]]
        export(network, options.output / f"{options.which}-without-{fold}.npz", held_out)
        unseen = [np.mean([overlap(network, v) for v in videos[fold::FOLDS]]) for videos in lessons]
        print(f"{options.which} without {fold}: DAVIS {unseen[0]:.3f}, sprites {unseen[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
