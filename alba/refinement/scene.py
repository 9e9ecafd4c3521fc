"""A video and its proposals at the size that masks are refined at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.frame import WorkFrame
from alba.proposals.regions.motion import Motion, relative
from alba.refinement.consensus import consensus


@dataclass(frozen=True)
class View:
    """One frame, h x w pixels.

    Parameters
    ----------
    lab : (3, h, w) float16
        CIE Lab; L in 0..100.
    flow : (4, h, w) float16
        (dx, dy) forward, then backward, in pixels of this size.
    motion : (4, h, w) float16
        Planar and epipolar residual, in [0, 1), then the direction (dx, dy) of the planar one, as long as it.
    consensus : (4, h, w) float16
        Of all proposals.
    tracks : dict of int to (4, h, w) float16
        For each track in the frame its mask, then the first three maps of the consensus of its proposals.
    """

    lab: NDArray[np.float16]
    flow: NDArray[np.float16]
    motion: NDArray[np.float16]
    consensus: NDArray[np.float16]
    tracks: dict[int, NDArray[np.float16]]


@dataclass(frozen=True)
class Scene:
    """A video of T frames: the arrays of its views, stacked."""

    lab: NDArray[np.float16]
    flow: NDArray[np.float16]
    motion: NDArray[np.float16]
    consensus: NDArray[np.float16]
    tracks: list[dict[int, NDArray[np.float16]]]

    @classmethod
    def of(cls, views: Sequence[View]) -> "Scene":
        """The video that consists of these frames."""
        return cls(
            np.stack([view.lab for view in views]),
            np.stack([view.flow for view in views]),
            np.stack([view.motion for view in views]),
            np.stack([view.consensus for view in views]),
            [view.tracks for view in views],
        )

    def __len__(self) -> int:
        return len(self.lab)

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        return self.lab.shape[2], self.lab.shape[3]

    @property
    def track_ids(self) -> list[int]:
        """Tracks of the video, ascending."""
        return sorted({k for tracks in self.tracks for k in tracks})


def working_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """(h, w) of about so many pixels and the frame's proportions; frames are never enlarged."""
    factor = min(1.0, math.sqrt(pixels / (size[0] * size[1])))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def look(
    work: WorkFrame,
    motion: Motion,
    masks: NDArray[np.bool_],
    weights: NDArray[np.float32],
    slots: NDArray[np.integer],
    label_map: NDArray[np.uint8],
    size: tuple[int, int],
) -> View:
    """Bring a frame and its proposals to a size.

    Parameters
    ----------
    work : WorkFrame
    motion : Motion
        Of that frame.
    masks : (N, H, W) bool
        At full size.
    weights : (N,) float32
        In [0, 1], how much each proposal is trusted.
    slots : (N,) integer
        Track that each was joined to, 0 for none.
    label_map : (H, W) uint8
        The tracks, at full size.
    size : (int, int)
        (h, w), not above that of `work`.
    """
    small = np.zeros((len(masks), *size), np.float32)
    for target, mask in zip(small, masks, strict=True):
        target[:] = shrink(mask.astype(np.float32), size)
    tracks = {}
    for k in np.union1d(np.unique(slots), np.unique(label_map)).tolist():
        if k:
            own = shrink((label_map == k).astype(np.float32), size)
            agreed = consensus(small[slots == k], weights[slots == k])
            tracks[int(k)] = np.stack([own, *agreed[:3]]).astype(np.float16)
    length = np.linalg.norm(motion.residual, axis=-1)
    planar, epipolar = relative(motion.planar), relative(motion.epipolar)
    direction = motion.residual * (relative(length) / np.maximum(length, 1e-6))[..., None]
    scale = size[1] / work.size[1], size[0] / work.size[0]
    flow = [
        shrink(component, size) * factor
        for field in (work.forward, work.backward)
        for component, factor in zip(field, scale, strict=True)
    ]
    moving = [shrink(picture, size) for picture in (planar, epipolar, *np.moveaxis(direction, -1, 0))]
    colours = [shrink(channel, size) for channel in np.moveaxis(work.lab, -1, 0)]
    return View(
        np.stack(colours).astype(np.float16),
        np.stack(flow).astype(np.float16),
        np.stack(moving).astype(np.float16),
        consensus(small, weights).astype(np.float16),
        tracks,
    )


def shrink(picture: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample an (H, W) picture to `size` by the mean over each pixel's area."""
    return cv2.resize(np.ascontiguousarray(picture), size[::-1], interpolation=cv2.INTER_AREA)
