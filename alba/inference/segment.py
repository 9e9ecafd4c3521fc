"""Segmentation of one video in each of the ways that the ablation compares."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import alba.store
from alba.config import REVISIONS, GroupingSettings, SegmentSettings
from alba.datasets import Video
from alba.inference.decisions import Decisions, Sources, naive_slots
from alba.masks import MAX_OBJECTS, paint, write_label_map
from alba.progress import progress
from alba.store import SEGMENTATION, LabelStore, ProposalStore, StoreWriter, publish_folder


def segment_video(
    video: Video,
    row: str,
    settings: SegmentSettings,
    grouping: GroupingSettings,
    sources: Sources,
    output: Path,
    masks: Path,
) -> None:
    """Segment a video; publish indexed PNGs, then the store that announces them.

    Parameters
    ----------
    video : Video
    row : str
        One of `alba.config.ROWS`.
    settings : SegmentSettings
    grouping : GroupingSettings
        For the rows without an assignment network, which brings its own.
    sources : Sources
    output : Path
        Segmentation store.
    masks : Path
        Folder of the PNGs, named like the frames.
    """
    store = alba.store.open(sources.proposals)
    assert isinstance(store, ProposalStore)
    decisions = _decide(video, store, row, grouping, sources)
    label_maps = _paint(video, store, decisions, row, sources)
    if settings.tracks == "main":
        label_maps = keep_main_track(label_maps, track_weights(store, decisions))
    _write(video, store, decisions, label_maps, row, settings, output, masks)


def _decide(
    video: Video, store: ProposalStore, row: str, grouping: GroupingSettings, sources: Sources
) -> Decisions:
    if row == "oracle":
        labels = alba.store.open(sources.require("labels", row))
        joined = labels["oracle_object"][:]
        order = [np.arange(s.start, s.stop) for s in map(store.rows, range(len(store)))]
        return Decisions(order, [joined[rows] for rows in order], np.ones(len(joined), np.float32))
    if row == "proposals":
        scores = store["scores"][:]
        order = [np.arange(s.start, s.stop) for s in map(store.rows, range(len(store)))]
        return Decisions(order, naive_slots(order, grouping.num_slots), np.ones(len(scores), np.float32))
    from alba.inference.networks import decide_with_networks  # needs torch, the rows above do not

    return decide_with_networks(video, row, grouping, sources)


def _paint(
    video: Video, store: ProposalStore, decisions: Decisions, row: str, sources: Sources
) -> NDArray[np.uint8]:
    """Label maps at full size: (T, H, W) uint8."""
    if row == "oracle":
        labels = alba.store.open(sources.require("labels", row))
        assert isinstance(labels, LabelStore)
        maps: NDArray[np.uint8] = labels["oracle_segmentation"][:]
        return maps
    painted = []
    for t in progress(range(len(video)), f"segment {video.name}"):
        masks = store.frame_masks(t)[decisions.order[t] - store.offsets[t]]
        painted.append(paint(masks, decisions.slots[t]))
    return np.stack(painted)


def track_weights(store: ProposalStore, decisions: Decisions) -> NDArray[np.float64]:
    """How much there is of each track in the whole video: (21,), entry 0 for no track.

    The sum over its proposals of selection output times area of the box.
    """
    boxes = store["boxes"][:]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    weights = np.zeros(MAX_OBJECTS + 1)
    for rows, slots in zip(decisions.order, decisions.slots, strict=True):
        np.add.at(weights, slots, decisions.selection[rows] * areas[rows])
    return weights


def keep_main_track(label_maps: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The foreground where there is one object (DAVIS 2016), decided without ground truth.

    In every frame it is the weightiest of the tracks that are there: an object that lost its identity
    on the way, behind an obstacle say, stays the foreground under its next one.

    Parameters
    ----------
    label_maps : (T, H, W) uint8
    weights : (21,) float
        Of `track_weights`.

    Returns
    -------
    (T, H, W) uint8
        0 or 1.
    """
    foreground = np.zeros_like(label_maps)
    for here, label_map in zip(foreground, label_maps, strict=True):
        sizes = np.bincount(label_map.ravel(), minlength=len(weights))
        present = np.flatnonzero(sizes[1:]) + 1
        if len(present):
            here[label_map == present[weights[present].argmax()]] = 1
    return foreground


def _write(
    video: Video,
    store: ProposalStore,
    decisions: Decisions,
    label_maps: NDArray[np.uint8],
    row: str,
    settings: SegmentSettings,
    output: Path,
    masks: Path,
) -> None:
    slots = np.zeros(len(decisions.selection), np.uint8)
    for rows, chosen in zip(decisions.order, decisions.slots, strict=True):
        slots[rows] = chosen
    with publish_folder(masks) as folder:
        for path, label_map in zip(video.frame_paths, label_maps, strict=True):
            write_label_map(folder / f"{path.stem}.png", label_map)
    provenance = {
        "stage": "segment",
        "row": row,
        "settings": settings.model_dump(mode="json"),
        "revision": REVISIONS["segment"],
        "inputs": {"video": video.name, "proposals": store.digest},
    }
    with StoreWriter(output, SEGMENTATION, video.size, provenance) as writer:
        writer.append("label_maps", label_maps)
        writer.append("selection", decisions.selection)
        writer.append("slot", slots)
