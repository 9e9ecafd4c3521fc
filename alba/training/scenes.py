"""From stores to what a track's final mask is drawn from."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.datasets import Video, open_as
from alba.proposals.regions.frame import WorkFrame, reduce_frame
from alba.proposals.regions.motion import Motion, residual_motion
from alba.refinement import View, look, working_size
from alba.store import FlowStore, ProposalStore

Painter = Callable[[int, NDArray[np.bool_]], NDArray[np.uint8]]
"""Label map (H, W) of a frame `t` with the proposals (N_t, H, W)."""


def read_views(
    video: Video,
    proposals: Path,
    flow: Path,
    selection: NDArray[np.float32],
    slots: NDArray[np.uint8],
    painter: Painter,
    pixels: int,
) -> Iterator[tuple[WorkFrame, Motion, View]]:
    """Look at one frame after another.

    Parameters
    ----------
    video : Video
    proposals, flow : Path
        Stores of the video.
    selection : (N,) float32
        Selection network's output of every proposal of the video. A proposal is trusted by the geometric mean
        of it and of the generator's score.
    slots : (N,) uint8
        Track that each was joined to, 0 for none.
    painter : callable
        Gives the segmentation of a frame.
    pixels : int
        Of the working size.

    Yields
    ------
    WorkFrame, Motion, View
        The frame at the size of the regions, its motion, and what refinement sees of both.
    """
    store, flow_store = open_as(ProposalStore, proposals, video), open_as(FlowStore, flow, video)
    weights = np.sqrt(store.read("scores") * selection)
    for t in range(len(video)):
        work = reduce_frame(video.frame(t), flow_store.forward(t), flow_store.backward(t))
        motion = residual_motion(work)
        masks, rows = store.frame_masks(t), store.rows(t)
        size = working_size(video.size, pixels)
        view = look(work, motion, masks, weights[rows], slots[rows], painter(t, masks), size)
        yield work, motion, view
