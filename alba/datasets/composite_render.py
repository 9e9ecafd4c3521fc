"""Frames of a composite and what is seen in them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.datasets.composite_plan import Composite, Paste
from alba.masks import VOID

_SOFTNESS = 0.8
"""Standard deviation of the blur of an edge, in pixels."""

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

_MARGIN = 6
"""Pixels around an object that are cut out with it, for its soft edge."""


def render_composite(composite: Composite, t: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint frame `t` from the back to the front.

    Returns
    -------
    frame : (H, W, 3) uint8
        RGB.
    label_map : (H, W) uint8
        What is in front at each pixel: the target's ids and void, and the pasted objects' labels.
    """
    original, annotation = composite.target.frame(t), composite.target.annotation(t)
    frame, label_map = original.astype(np.float32), annotation.copy()
    for depth, layer in enumerate(composite.layers):
        if layer is not None:
            _paste(layer, t, frame, label_map)
        elif depth:
            own = (annotation > 0) & (annotation != VOID)
            frame += _blurred(own, _SOFTNESS)[..., None] * (original - frame)
            label_map[own] = annotation[own]
    return np.clip(frame + 0.5, 0, 255).astype(np.uint8), label_map


def _paste(layer: Paste, t: int, frame: NDArray[np.float32], label_map: NDArray[np.uint8]) -> None:
    mask = layer.clip.annotation(t) == layer.object_id
    if not mask.any():
        return
    crop = tuple(
        slice(max(int(used[0]) - _MARGIN, 0), int(used[-1]) + _MARGIN + 1)
        for used in (np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0)))
    )
    rows, columns = crop
    window, to_window = _place(layer, rows, columns, mask.shape, label_map.shape)
    size = label_map[window].shape
    if not all(size):
        return
    # The outermost pixels have colours of what was behind them.
    core = cv2.erode(mask[crop].astype(np.uint8), _CROSS)
    alpha = _warped(_blurred(core, _SOFTNESS), layer.scale, to_window, size, cv2.BORDER_CONSTANT)
    colour = layer.clip.frame(t)[crop] * layer.gains
    colour = _warped(colour, layer.scale, to_window, size, cv2.BORDER_REPLICATE)
    frame[window] += alpha[..., None] * (np.clip(colour, 0, 255) - frame[window])
    label_map[window][alpha >= 0.5] = layer.label


def _place(
    layer: Paste, rows: slice, columns: slice, size: tuple[int, ...], target_size: tuple[int, ...]
) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """Part of the composite that a crop comes to lie in, and the affine map from the one to the other."""
    window, shifts = [], []
    for crop, shift, length, end in (
        (rows, layer.offset[1], target_size[0], size[0]),
        (columns, layer.offset[0], target_size[1], size[1]),
    ):
        first = int(np.floor(layer.scale * crop.start + shift))
        last = int(np.ceil(layer.scale * min(crop.stop, end) + shift))
        first = min(max(first, 0), length)
        window.append(slice(first, min(max(last, first), length)))
        # Middles of pixels: x + 1/2 goes to scale (x + 1/2) + shift.
        shifts.append(layer.scale * (crop.start + 0.5) - 0.5 + shift - first)
    to_window = np.array([[layer.scale, 0, shifts[1]], [0, layer.scale, shifts[0]]])
    return (window[0], window[1]), to_window


def _blurred(mask: NDArray[np.bool_] | NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = cv2.GaussianBlur(
        mask.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
    )
    return blurred


def _warped(
    picture: NDArray[np.float32],
    scale: float,
    to_window: NDArray[np.float64],
    size: tuple[int, ...],
    border: int,
) -> NDArray[np.float32]:
    if scale < 1:  # else fine detail would flicker
        picture = cv2.GaussianBlur(picture, (0, 0), 0.5 * np.sqrt(scale**-2 - 1) + 1e-3)
    warped: NDArray[np.float32] = cv2.warpAffine(
        picture, to_window, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=border
    )
    return warped
