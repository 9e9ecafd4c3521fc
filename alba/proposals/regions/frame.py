"""The reduced frame that all regions work is done on."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WORK_PIXELS = 240 * 427
"""Larger frames are reduced to about this many pixels; the masks come back at full size."""


@dataclass(frozen=True)
class WorkFrame:
    """A frame and its flow at the size that the regions are found at.

    Parameters
    ----------
    lab : (h, w, 3) float32
        CIE Lab; L in 0..100.
    forward, backward : (2, h, w) float32
        Flow (dx, dy) in pixels of the reduced frame; zeros where there is none.
    """

    lab: NDArray[np.float32]
    forward: NDArray[np.float32]
    backward: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        return self.lab.shape[0], self.lab.shape[1]

    @property
    def diagonal(self) -> float:
        """Pixels."""
        return math.hypot(*self.size)


def reduce_frame(
    frame: NDArray[np.uint8],
    flow_forward: NDArray[np.float32] | None,
    flow_backward: NDArray[np.float32] | None,
) -> WorkFrame:
    """Bring a frame and its flow to the working size.

    Parameters
    ----------
    frame : (H, W, 3) uint8
        RGB.
    flow_forward, flow_backward : (2, H, W) float32, optional
        Pixels of the full frame. A missing one is the negated other; both missing are zero.
    """
    height, width = frame.shape[:2]
    factor = min(1.0, math.sqrt(WORK_PIXELS / (height * width)))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    reduced = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(reduced.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    if flow_forward is None and flow_backward is None:
        zero = np.zeros((2, *size), np.float32)
        return WorkFrame(lab, zero, zero)
    forward = None if flow_forward is None else _reduce_flow(flow_forward, size)
    backward = None if flow_backward is None else _reduce_flow(flow_backward, size)
    if forward is None:
        assert backward is not None
        forward = -backward
    return WorkFrame(lab, forward, -forward if backward is None else backward)


def _reduce_flow(flow: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    height, width = flow.shape[1:]
    finite = np.nan_to_num(flow, posinf=0.0, neginf=0.0)
    dx, dy = (cv2.resize(c, size[::-1], interpolation=cv2.INTER_AREA) for c in finite)
    return np.stack([dx * (size[1] / width), dy * (size[0] / height)]).astype(np.float32)
