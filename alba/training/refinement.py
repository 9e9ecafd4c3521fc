"""Training of the refinement network on the tracks that the reinforced network makes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from alba.config import RefinementSettings
from alba.datasets import Video
from alba.device import select_device
from alba.errors import TrainingError
from alba.grouping import roll_out
from alba.masks import VOID, keep_main_track, paint, track_weights
from alba.progress import progress
from alba.proposals.regions.frame import shrink
from alba.refinement import (
    ObjectCues,
    Scene,
    jitter_colours,
    join_cues,
    mirror_cues,
    shared_cues,
)
from alba.store import LabelStore, ProposalStore
from alba.training.assignment import selection_outputs
from alba.training.checkpoint import (
    Refinement,
    build_refinement,
    describe_refinement,
    load_assignment,
    load_held_out,
    load_selection,
    save_checkpoint,
)
from alba.training.corpus import Corpus, store_of
from alba.training.loading import load_grouping_video, open_as
from alba.training.scenes import read_views

MIN_IOU = 0.1
"""A track that overlaps its object less, over the whole video, is a track of no object."""

_FULL = 254
"""Of targets: a pixel that lies wholly in the object; 255 is void."""

_SMOOTHING = 20.0
"""Pixels added to intersection and union, so that small objects do not rule the loss."""


@dataclass(frozen=True)
class TrackLesson:
    """One track of a training video.

    Parameters
    ----------
    own : (n, len(OWN), h, w) float16
        Its channels in the frames learned from.
    target : (n, h, w) uint8
        0 outside its object to 254 inside, 255 void.
    matched : bool
        Whether it is the track of an object.
    """

    own: NDArray[np.float16]
    target: NDArray[np.uint8]
    matched: bool


@dataclass(frozen=True)
class VideoLesson:
    """One training video.

    Parameters
    ----------
    shared : (n, len(SHARED), h, w) float16
        Channels that its tracks have in common.
    tracks : list of TrackLesson
    """

    shared: NDArray[np.float16]
    tracks: list[TrackLesson]


def train_refinement(
    corpus: Corpus,
    selection_folder: Path,
    assignment_folder: Path,
    settings: RefinementSettings,
    tracks: str,
    output: Path,
    jobs: int = 1,
) -> None:
    """Train the refinement network and publish the checkpoint.

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
        No training video has a track.
    """
    num_frames = max(1, settings.most_frames // len(corpus.videos))
    with TemporaryDirectory(prefix="alba-refinement-") as folder:
        prepare = _Preparation(
            corpus, selection_folder, assignment_folder, settings.pixels, tracks, num_frames, Path(folder)
        )
        lessons = [lesson for lesson in prepare.all(jobs) if lesson.tracks]
        if not lessons:
            raise TrainingError("no training video has a track", "lower selection.threshold")
        refinement, log = fit(lessons, settings)
    provenance = {"labels": corpus.digest(), "tracks": tracks}
    save_checkpoint(output, refinement.network, describe_refinement(refinement, provenance), log)


@dataclass(frozen=True)
class _Preparation:
    """Turns training videos into lessons, whose arrays lie in a folder: they may not fit into memory."""

    corpus: Corpus
    selection: Path
    assignment: Path
    pixels: int
    tracks: str
    num_frames: int
    folder: Path

    def all(self, jobs: int) -> list[VideoLesson]:
        """Lessons of all videos, in their order."""
        indices = range(len(self.corpus.videos))
        if jobs == 1 or len(indices) == 1:
            return [_open(self.one(v)) for v in progress(indices, "prepare", unit="video")]
        found = {}
        with ProcessPoolExecutor(min(jobs, len(indices)), get_context("spawn"), _one_thread) as pool:
            futures = {pool.submit(self.one, v): v for v in indices}
            for future in progress(as_completed(futures), "prepare", len(futures), "video"):
                found[futures[future]] = future.result()
        return [_open(found[v]) for v in indices]

    def one(self, index: int) -> "_Prepared":
        """Prepare one video; its arrays are written below the folder."""
        video = self.corpus.videos[index]
        scene = self._scene(video)
        frames = np.unique(
            np.linspace(0, len(video) - 1, min(len(video), self.num_frames)).round().astype(int)
        )
        truth = open_as(LabelStore, store_of(self.corpus.labels, video), video)["ground_truth"][:][frames]
        target = self.folder / f"{index}-shared.npy"
        np.save(target, shared_cues(scene)[frames])
        prepared = _Prepared(target, [])
        cues = ObjectCues(scene)
        ids = [1] if self.tracks == "main" else scene.track_ids
        for k, (objects, matched) in zip(ids, self._targets(scene, truth, frames, ids), strict=True):
            paths = self.folder / f"{index}-{k}-own.npy", self.folder / f"{index}-{k}-target.npy"
            np.save(paths[0], cues.of(k)[frames])
            np.save(paths[1], objects)
            prepared.tracks.append((*paths, matched))
        return prepared

    def _scene(self, video: Video) -> Scene:
        """The video with its proposals grouped by the networks."""
        selection, assignment = load_selection(self.selection), load_assignment(self.assignment)
        proposals, flow = store_of(self.corpus.proposals, video), store_of(self.corpus.flow, video)
        held_out = load_held_out(self.selection)
        outputs = selection_outputs(self.corpus, video, selection, self.selection, held_out)
        grouped, order = load_grouping_video(
            video,
            proposals,
            flow,
            outputs,
            selection.settings.threshold,
            assignment.grouping,
            picture_size=assignment.picture_size,
        )
        episodes = roll_out([grouped], assignment.observer, assignment.network, assignment.grouping.num_slots)
        chosen = episodes.frame_choices(0)
        slots = np.zeros(len(outputs), np.uint8)
        for rows, taken in zip(order, chosen, strict=True):
            slots[rows] = taken
        store = open_as(ProposalStore, proposals, video)
        weights = track_weights(store["boxes"][:], outputs, slots)

        def painter(t: int, masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
            label_map = paint(masks[order[t] - store.offsets[t]], chosen[t])
            return keep_main_track(label_map[None], weights)[0] if self.tracks == "main" else label_map

        shown = (slots > 0).astype(np.uint8) if self.tracks == "main" else slots
        views = read_views(video, proposals, flow, outputs, shown, painter, self.pixels)
        return Scene.of([view for _, _, view in views])

    def _targets(
        self, scene: Scene, truth: NDArray[np.uint8], frames: NDArray[np.intp], ids: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.uint8], bool]]:
        """Target of each track, and whether it is that of an object."""
        void = np.stack([shrink((here == VOID).astype(np.float32), scene.size) for here in truth]) > 0.5
        if self.tracks == "main":
            yield _target(_shares((truth > 0) & (truth != VOID), scene.size), void), True
            return
        objects = [_shares(truth == k, scene.size) for k in np.unique(truth).tolist() if k not in (0, VOID)]
        pairs = match_tracks(scene, objects, frames, ids)
        for row, _ in enumerate(ids):
            if row in pairs:
                yield _target(objects[pairs[row]], void), True
            else:
                yield _target(np.zeros(void.shape, np.float32), void), False


def _one_thread() -> None:
    """Processes share the cores already."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@dataclass(frozen=True)
class _Prepared:
    """Files of a lesson: the shared channels; of each track its channels, target, and whether it matched."""

    shared: Path
    tracks: list[tuple[Path, Path, bool]]


def _open(prepared: _Prepared) -> VideoLesson:
    tracks = [
        TrackLesson(np.load(own, mmap_mode="r"), np.load(target, mmap_mode="r"), matched)
        for own, target, matched in prepared.tracks
    ]
    return VideoLesson(np.load(prepared.shared, mmap_mode="r"), tracks)


def _shares(masks: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each pixel of a smaller size that lies in a mask: (n, h, w) float32."""
    return np.stack([shrink(mask.astype(np.float32), size) for mask in masks])


def _target(shares: NDArray[np.float32], void: NDArray[np.bool_]) -> NDArray[np.uint8]:
    target = np.rint(shares * _FULL).astype(np.uint8)
    target[void] = VOID
    return target


def match_tracks(
    scene: Scene, objects: Sequence[NDArray[np.float32]], frames: NDArray[np.intp], ids: Sequence[int]
) -> dict[int, int]:
    """Which object each track is of: the matching of largest IoU over the video, as in the evaluation.

    Parameters
    ----------
    scene : Scene
    objects : sequence of (n, h, w) float32 in [0, 1]
        Annotated objects in the frames learned from.
    frames : (n,) intp
    ids : sequence of int
        Tracks of the scene.

    Returns
    -------
    dict of int to int
        Position among the tracks to position among the objects; without pairs below `MIN_IOU`.
    """
    iou = np.zeros((len(ids), len(objects)))
    for row, k in enumerate(ids):
        empty = np.zeros(scene.size, np.float32)
        track = np.stack([scene.tracks[t][k][0] if k in scene.tracks[t] else empty for t in frames])
        track = track.astype(np.float32)
        for column, shares in enumerate(objects):
            common = float((track * shares).sum())
            iou[row, column] = common / max(float(track.sum() + shares.sum()) - common, 1e-6)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return {
        int(row): int(column) for row, column in zip(rows, columns, strict=True) if iou[row, column] > MIN_IOU
    }


def fit(
    lessons: Sequence[VideoLesson], settings: RefinementSettings
) -> tuple[Refinement, list[dict[str, float]]]:
    """A network trained on some videos, and a row per epoch.

    Every video has the same share of the samples, however long it is.
    """
    torch.manual_seed(settings.seed)
    device = select_device(settings.device)
    refinement = build_refinement(settings)
    network = refinement.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    num_frames = sum(len(lesson.shared) for lesson in lessons)
    num_updates = max(1, num_frames // settings.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * num_updates + 1
    )
    generator = np.random.default_rng(settings.seed)
    log = []
    for epoch in range(settings.epochs):
        losses = []
        for _ in progress(range(num_updates), f"refinement epoch {epoch + 1}", unit="batch"):
            pictures, target = _batch(lessons, settings, generator)
            loss = mask_loss(_logits(network, pictures.to(device), settings), target.to(device))
            if not torch.isfinite(loss):
                raise TrainingError("the loss is not finite", "lower refinement.learning_rate")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        log.append({"epoch": epoch + 1, "loss/train": float(np.mean(losses))})
    network.cpu().eval()
    return refinement, log


def _batch(
    lessons: Sequence[VideoLesson], settings: RefinementSettings, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Pictures of some tracks, augmented, and their targets; all of the size of the first video drawn."""
    first = lessons[int(generator.integers(len(lessons)))]
    alike = [lesson for lesson in lessons if lesson.shared.shape[2:] == first.shared.shape[2:]]
    pictures, targets = [], []
    for _ in range(settings.batch_size):
        lesson = alike[int(generator.integers(len(alike)))]
        track = _draw_track(lesson, settings.unmatched, generator)
        t = int(generator.integers(len(lesson.shared)))
        picture = join_cues(lesson.shared[t : t + 1], track.own[t : t + 1])
        target = torch.from_numpy(track.target[t : t + 1].copy())
        if generator.random() < 0.5:
            picture, target = mirror_cues(picture), target.flip(-1)
        pictures.append(picture)
        targets.append(target)
    batch = torch.cat(pictures)
    dropped = generator.random(batch.shape[:2]) < settings.channel_dropout
    batch[torch.from_numpy(dropped)] = 0
    shifts = generator.normal(0, settings.colour_jitter, (len(batch), 3)).astype(np.float32)
    jitter_colours(batch, torch.from_numpy(shifts))
    return batch, torch.cat(targets)


def _draw_track(lesson: VideoLesson, unmatched: float, generator: np.random.Generator) -> TrackLesson:
    of_objects = [track for track in lesson.tracks if track.matched]
    others = [track for track in lesson.tracks if not track.matched]
    of_other = others and (not of_objects or generator.random() < unmatched)
    drawn = others if of_other else of_objects
    return drawn[int(generator.integers(len(drawn)))]


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy and one minus the soft IoU, means over the masks.

    Parameters
    ----------
    logits : (n, h, w) float32
    target : (n, h, w) uint8
        0 outside to 254 inside, 255 void: such pixels do not count.
    """
    known = (target != VOID).float()
    inside = target.float() / _FULL * known
    entropy = functional.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    probability = logits.sigmoid() * known
    common = (probability * inside).sum((1, 2))
    union = (probability + inside - probability * inside).sum((1, 2))
    iou = (common + _SMOOTHING) / (union + _SMOOTHING)
    return (entropy * known).sum() / known.sum().clamp_min(1) + 1 - iou.mean()


def _logits(network: nn.Module, pictures: Tensor, settings: RefinementSettings) -> Tensor:
    laid_out = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast(pictures.device.type, torch.bfloat16, enabled=settings.mixed_precision):
        logits: Tensor = network(laid_out)
    return logits.float()


@torch.inference_mode()
def refine(
    refinement: Refinement, shared: NDArray[np.float16], own: NDArray[np.float16]
) -> NDArray[np.float32]:
    """Probability that a pixel is the track's, the mean of the video and its mirror image.

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
            _logits(refinement.network, cues, refinement.settings).sigmoid()
            for cues in (pictures, mirror_cues(pictures))
        )
        probabilities.append(((straight + mirrored.flip(-1)) / 2).numpy())
    return np.concatenate(probabilities)
