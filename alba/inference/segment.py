"""Segmentation of one video in each of the ways that the ablation compares."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.config import REVISIONS, GroupingSettings, SegmentSettings
from alba.datasets import Video, open_as
from alba.inference.decisions import Decisions, Sources, naive_slots
from alba.inference.publish import check_places, publish_segmentation
from alba.masks import keep_main_track, paint, track_weights
from alba.progress import progress
from alba.store import LabelStore, ProposalStore


def segment_video(
    video: Video,
    row: str,
    settings: SegmentSettings,
    grouping: GroupingSettings | None,
    sources: Sources,
    output: Path,
    masks: Path,
) -> None:
    """Segment a video; publish indexed PNGs and the store that announces them.

    Parameters
    ----------
    video : Video
    row : str
        One of `alba.config.ROWS`.
    settings : SegmentSettings
    grouping : GroupingSettings, optional
        Those of the rows `NAIVE` (else the defaults). An assignment network brings its own; it is refused
        where these are given and others.
    sources : Sources
    output : Path
        Segmentation store.
    masks : Path
        Folder of the PNGs, named like the frames.

    Raises
    ------
    ConfigError
        What the row needs was not given.
    CheckpointError
        A network is missing, damaged, or not one of this row, of these proposals or of these settings.
    StoreError
        A store is missing, damaged or not of this video, or an output's place is taken.
    """
    check_places(output, masks)
    store = open_as(ProposalStore, sources.proposals, video)
    decisions = _decide(video, store, row, grouping, sources)
    label_maps = _paint(video, store, decisions, row, sources)
    if settings.tracks == "main":
        weights = track_weights(store.read("boxes"), decisions.selection, decisions.proposal_slots())
        label_maps = keep_main_track(label_maps, weights)
    provenance = {
        "stage": "segment",
        "row": row,
        "settings": settings.model_dump(mode="json"),
        "revision": REVISIONS["segment"],
        "inputs": {"video": video.name, "proposals": store.digest},
    }
    slots = decisions.proposal_slots()
    publish_segmentation(video, label_maps, decisions.selection, slots, provenance, output, masks)


def _decide(
    video: Video, store: ProposalStore, row: str, grouping: GroupingSettings | None, sources: Sources
) -> Decisions:
    if row == "oracle":
        labels = open_as(LabelStore, sources.require("labels", row), video)
        joined = labels.read("oracle_object")
        order = [np.arange(s.start, s.stop) for s in map(store.rows, range(len(store)))]
        return Decisions(order, [joined[rows] for rows in order], np.ones(len(joined), np.float32))
    if row == "proposals":
        scores = store.read("scores")
        order = [np.arange(s.start, s.stop) for s in map(store.rows, range(len(store)))]
        num_slots = (grouping or GroupingSettings()).num_slots
        return Decisions(order, naive_slots(order, num_slots), np.ones(len(scores), np.float32))
    from alba.inference.networks import decide_with_networks  # needs torch, the rows above do not

    return decide_with_networks(video, row, grouping, sources)


def _paint(
    video: Video, store: ProposalStore, decisions: Decisions, row: str, sources: Sources
) -> NDArray[np.uint8]:
    """Label maps at full size: (T, H, W) uint8."""
    if row == "oracle":
        labels = open_as(LabelStore, sources.require("labels", row), video)
        maps: NDArray[np.uint8] = labels.read("oracle_segmentation")
        return maps
    painted = []
    for t in progress(range(len(video)), f"segment {video.name}"):
        masks = store.frame_masks(t)[decisions.order[t] - store.offsets[t]]
        painted.append(paint(masks, decisions.slots[t]))
    return np.stack(painted)
