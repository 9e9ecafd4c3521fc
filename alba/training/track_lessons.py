"""What the refinement network learns from: the tracks of training videos, with what they should be."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from alba.config import REVISIONS
from alba.datasets import Video, open_as
from alba.errors import TrainingError
from alba.masks import VOID, keep_main_track, paint, track_weights
from alba.progress import progress
from alba.refinement import ObjectCues, Scene, shared_cues
from alba.refinement.scene import shrink
from alba.store import LabelStore, ProposalStore
from alba.training.assignment import selection_outputs
from alba.training.checkpoint import (
    checkpoint_digest,
    load_assignment,
    load_held_out,
    load_selection,
)
from alba.training.corpus import Corpus, store_of
from alba.training.greedy import decide
from alba.training.scenes import read_views
from alba.workers import worker_processes

MIN_IOU = 0.1
"""A track that overlaps its object less, over the whole video, is a track of no object."""

FULL = 254
"""Of targets: a pixel that lies wholly in the object; 255 is void."""


class StoredFrames:
    """An array of frames in a file that is open only while some of them are read: there may be thousands.

    Parameters
    ----------
    path : Path
        An ``.npy`` in C order; its header is read once.
    """

    def __init__(self, path: Path) -> None:
        whole: np.memmap[Any, np.dtype[Any]] = np.load(path, mmap_mode="r")
        self._path, self._dtype, self._offset = path, whole.dtype, whole.offset
        self.shape = whole.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        """Some consecutive frames, in memory."""
        first, end, _ = frames.indices(len(self))
        shape = (end - first, *self.shape[1:])
        start = self._offset + first * math.prod(shape[1:]) * self._dtype.itemsize
        return np.fromfile(self._path, self._dtype, math.prod(shape), offset=start).reshape(shape)


Frames = NDArray[Any] | StoredFrames


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

    own: Frames
    target: Frames
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

    shared: Frames
    tracks: list[TrackLesson]


@dataclass(frozen=True)
class Preparation:
    """Turns training videos into lessons, whose arrays lie in files: they may not fit into memory.

    What is there already is left as it is, so that a training that was stopped does not prepare it again.

    Parameters
    ----------
    corpus : Corpus
    selection, assignment : Path
        Checkpoint folders of the networks that make the tracks.
    pixels : int
        Frames are brought to about so many.
    tracks : str
        "main" or "all", as in `SegmentSettings`.
    num_frames : int
        Most frames of a video.
    root : Path
        Holds the files, in a folder that is named after all that they follow from.
    """

    corpus: Corpus
    selection: Path
    assignment: Path
    pixels: int
    tracks: str
    num_frames: int
    root: Path

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Plain values that the lessons follow from."""
        return {
            "revision": REVISIONS["refinement"],
            "pixels": self.pixels,
            "tracks": self.tracks,
            "num_frames": self.num_frames,
            "inputs": self.corpus.inputs_digest(),
            "selection": checkpoint_digest(self.selection),
            "assignment": checkpoint_digest(self.assignment),
        }

    @cached_property
    def _folder(self) -> Path:
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        return self.root / f"lessons-{digest[:10]}"

    def remove_others(self) -> None:
        """Remove what was prepared under other settings or from other inputs."""
        for folder in self.root.glob("lessons-*"):
            if folder != self._folder:
                shutil.rmtree(folder)

    def prepare(self, indices: Sequence[int], jobs: int) -> None:
        """Prepare some of the videos in so many processes.

        Raises
        ------
        TrainingError
            One of the processes was killed.
        """
        missing = [v for v in indices if not self._path(v).is_dir()]
        if len(missing) < len(indices):
            num = len(indices) - len(missing)
            logging.getLogger(__name__).warning("%d videos are prepared already", num)
        if jobs == 1 or len(missing) <= 1:
            for v in progress(missing, "prepare", unit="video"):
                self._prepare(v)
            return
        with worker_processes(min(jobs, len(missing))) as pool:
            futures = [pool.submit(_in_one_thread, self, v) for v in missing]
            try:
                for future in progress(as_completed(futures), "prepare", len(futures), "video"):
                    future.result()
            except BrokenProcessPool:
                raise TrainingError("a process was killed", "give it more memory, or fewer jobs") from None

    def open(self, index: int) -> VideoLesson:
        """The lesson of a video that is prepared; its frames are read when they are looked at."""
        path = self._path(index)
        matches = json.loads((path / "tracks.json").read_text())
        tracks = [
            TrackLesson(StoredFrames(path / f"{k}-own.npy"), StoredFrames(path / f"{k}-target.npy"), matched)
            for k, matched in matches.items()
        ]
        return VideoLesson(StoredFrames(path / "shared.npy"), tracks)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:05d}"

    def _prepare(self, index: int) -> None:
        path = self._path(index)
        partial = path.with_name(path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        video = self.corpus.videos[index]
        scene = self._scene(video)
        frames = np.unique(
            np.linspace(0, len(video) - 1, min(len(video), self.num_frames)).round().astype(int)
        )
        truth = open_as(LabelStore, store_of(self.corpus.labels, video), video).read("ground_truth")[frames]
        np.save(partial / "shared.npy", shared_cues(scene)[frames])
        cues = ObjectCues(scene)
        ids = [1] if self.tracks == "main" else scene.track_ids
        matches = {}
        for k, (target, matched) in zip(ids, self._targets(scene, truth, frames, ids), strict=True):
            np.save(partial / f"{k}-own.npy", cues.of(k)[frames])
            np.save(partial / f"{k}-target.npy", target)
            matches[k] = matched
        (partial / "tracks.json").write_text(json.dumps(matches))
        partial.replace(path)

    def _scene(self, video: Video) -> Scene:
        """The video with its proposals grouped by the networks."""
        selection, assignment = load_selection(self.selection), load_assignment(self.assignment)
        proposals, flow = store_of(self.corpus.proposals, video), store_of(self.corpus.flow, video)
        held_out = load_held_out(self.selection)
        outputs = selection_outputs(self.corpus, video, selection, self.selection, held_out)
        order, chosen = decide(video, proposals, flow, outputs, selection.settings.threshold, assignment)
        slots = np.zeros(len(outputs), np.uint8)
        for rows, taken in zip(order, chosen, strict=True):
            slots[rows] = taken
        store = open_as(ProposalStore, proposals, video)
        weights = track_weights(store.read("boxes"), outputs, slots)

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


def _in_one_thread(preparation: Preparation, index: int) -> None:
    """Processes share the cores already."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    preparation._prepare(index)


def _shares(masks: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each pixel of a smaller size that lies in a mask: (n, h, w) float32."""
    return np.stack([shrink(mask.astype(np.float32), size) for mask in masks])


def _target(shares: NDArray[np.float32], void: NDArray[np.bool_]) -> NDArray[np.uint8]:
    target = np.rint(shares * FULL).astype(np.uint8)
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
