"""From stores to what the networks learn from and decide on, at working resolution."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.config import GroupingSettings
from alba.datasets import Video, open_as
from alba.grouping import GroupingVideo, group_video
from alba.masks import packed_width, unpack_masks
from alba.store import FlowStore, LabelStore, ProposalStore

FLOW_SCALE = 0.03
"""Flow enters the networks as a multiple of this share of the frame's width."""


def stride_of(height: int, working_height: int) -> int:
    """Every how many pixels are looked at, so that at least `working_height` rows stay."""
    return max(1, height // working_height)


def subsample(array: NDArray[Any], stride: int) -> NDArray[Any]:
    """Every `stride`-th pixel of (..., H, W), from the middle of the first step."""
    return array[..., stride // 2 :: stride, stride // 2 :: stride]


def read_masks(store: ProposalStore, rows: slice, stride: int) -> NDArray[np.bool_]:
    """Masks of a range of proposals at working resolution: (n, h, w) bool."""
    packed = store.stored("masks", rows)[:, stride // 2 :: stride]
    return unpack_masks(packed, store.size[1])[..., stride // 2 :: stride]


def read_pictures(video: Video, flow: FlowStore, size: tuple[int, int]) -> NDArray[np.float16]:
    """Frames and flow as network inputs.

    Returns
    -------
    (T, 5, h, w) float16
        Red, green, blue in -0.5..0.5; u, v as multiples of 3 % of the frame's width, clipped at 4.
    """
    height, width = size
    pictures = np.empty((len(video), 5, height, width), np.float16)
    for t in range(len(video)):
        frame = cv2.resize(video.frame(t), (width, height), interpolation=cv2.INTER_AREA)
        pictures[t, :3] = frame.transpose(2, 0, 1) / 255.0 - 0.5
        for component, field in enumerate(flow.forward(t)):
            resized = cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA)
            pictures[t, 3 + component] = np.clip(resized / (FLOW_SCALE * video.size[1]), -4, 4)
    return pictures


@dataclass(frozen=True)
class SelectionVideo:
    """What the selection network sees of one video with N proposals.

    Parameters
    ----------
    pictures : (T, 5, h, w) float16
    offsets : (T + 1,) int64
        Proposals of frame t are offsets[t] up to offsets[t + 1].
    packed_masks : (N, h, ceil(w / 8)) uint8
    boxes : (N, 4) float32
        x0, y0, x1, y1 in pixels of the pictures.
    features : (N, D) float32
        The appearance feature f.
    scores : (N,) float32
        The generator's confidence.
    iou : (N,) float32, optional
        Largest IoU with a true object.
    selected : (N,) bool, optional
        The oracle's label.
    """

    pictures: NDArray[np.float16]
    offsets: NDArray[np.int64]
    packed_masks: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    features: NDArray[np.float32]
    scores: NDArray[np.float32]
    iou: NDArray[np.float32] | None = None
    selected: NDArray[np.bool_] | None = None

    def known(self, rows: slice | NDArray[np.integer], with_score: bool) -> NDArray[np.float32]:
        """What is known of some proposals beside their looks: (n, D) or, with the score, (n, D + 1)."""
        features = self.features[rows]
        return np.concatenate([features, self.scores[rows, None]], axis=1) if with_score else features

    def masks(self, rows: slice | NDArray[np.integer]) -> NDArray[np.bool_]:
        """Masks of some proposals: (n, h, w) bool."""
        return unpack_masks(self.packed_masks[rows], self.pictures.shape[3])


def load_selection_video(
    video: Video, proposals: Path, flow: Path, labels: Path | None, working_height: int
) -> SelectionVideo:
    """Read one video for the selection network; `labels` for training only."""
    store = open_as(ProposalStore, proposals, video)
    stride = stride_of(video.size[0], working_height)
    sampled = subsample(np.empty(video.size, bool), stride).shape
    packed = np.zeros((int(store.offsets[-1]), sampled[0], packed_width(sampled[1])), np.uint8)
    for t in range(len(store)):
        packed[store.rows(t)] = np.packbits(read_masks(store, store.rows(t), stride), axis=-1)
    iou = selected = None
    if labels is not None:
        label_store = open_as(LabelStore, labels, video)
        iou = label_store.read("iou").max(axis=1, initial=0)
        selected = label_store.read("selected")
    return SelectionVideo(
        read_pictures(video, open_as(FlowStore, flow, video), (sampled[0], sampled[1])),
        store.offsets,
        packed,
        (store.read("boxes") / stride).astype(np.float32),
        store.read("features"),
        store.read("scores"),
        iou,
        selected,
    )


def load_grouping_video(
    video: Video,
    proposals: Path,
    flow: Path,
    selection: NDArray[np.float32],
    threshold: float,
    settings: GroupingSettings,
    *,
    labels: Path | None = None,
    picture_size: int | None = None,
) -> tuple[GroupingVideo, list[NDArray[np.intp]]]:
    """Read one video for the assignment network.

    Parameters
    ----------
    video : Video
    proposals, flow : Path
    selection : (N,) float32
        Selection network's output for every proposal.
    threshold : float
        Proposals above it take part.
    settings : GroupingSettings
    labels : Path, optional
        For training: brings the ground truth.
    picture_size : int, optional
        S, for networks that look at pictures.

    Returns
    -------
    GroupingVideo
    order : list of (N_t,) intp
        Where on the proposal axis of the store each decision's proposal stands.
    """
    store = open_as(ProposalStore, proposals, video)
    flow_store = open_as(FlowStore, flow, video)
    stride = stride_of(video.size[0], settings.working_height)
    scores, features = store.read("scores"), store.read("features")
    order = decision_order(store, selection, threshold, settings.order)
    known = np.concatenate([features, scores[:, None], selection[:, None]], axis=1).astype(np.float32)
    backward = np.stack([subsample(flow_store.backward(t), stride) for t in range(len(video))])
    backward = (backward / stride).astype(np.float32)
    truth = None
    if labels is not None:
        truth = subsample(open_as(LabelStore, labels, video).read("ground_truth"), stride)
    grouped = group_video(
        video.name,
        (_ordered_masks(store, t, order[t], stride) for t in range(len(store))),
        [known[rows] for rows in order],
        backward,
        truth,
        None if picture_size is None else read_pictures(video, flow_store, (picture_size, picture_size)),
    )
    return grouped, order


def decision_order(
    store: ProposalStore, selection: NDArray[np.float32], threshold: float, by: Literal["selection", "score"]
) -> list[NDArray[np.intp]]:
    """Rows of the proposals that take part in each frame, in the order of the decisions.

    Parameters
    ----------
    store : ProposalStore
    selection : (N,) float32
    threshold : float
        Proposals above it take part.
    by : {"selection", "score"}
        They come in descending order of the selection network's output, or of the generator's score.

    Returns
    -------
    list of (N_t,) intp
    """
    rank = selection if by == "selection" else store.read("scores")
    order = []
    for t in range(len(store)):
        rows = np.arange(store.offsets[t], store.offsets[t + 1])
        rows = rows[selection[rows] > threshold]
        order.append(rows[np.argsort(-rank[rows], kind="stable")])
    return order


def _ordered_masks(store: ProposalStore, t: int, rows: NDArray[np.intp], stride: int) -> NDArray[np.bool_]:
    masks = read_masks(store, store.rows(t), stride)
    return masks[rows - store.offsets[t]]
