"""A small U-Net (Ronneberger et al., MICCAI 2015) in NumPy."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTHS = (12, 24, 48, 64)
"""Channels at each of its scales."""

STRIDE = 2 ** (len(WIDTHS) - 1)
"""Height and width of a picture are multiples of it."""

Weights = dict[str, NDArray[Any]]
"""Weights by name, normalisation folded in, and "held_out", the videos kept from the training."""


@cache
def read_weights(path: Path) -> Weights:
    """Weights as `benchmarks/fit_regions_saliency.py` writes them."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return {name: array if name == "held_out" else array.astype(np.float32) for name, array in arrays.items()}


def probability(picture: NDArray[np.float32], weights: Weights) -> NDArray[np.float32]:
    """What the network says of a picture (C, h, w): (h, w) float32 in [0, 1]."""
    skipped = []
    for scale in range(len(WIDTHS)):
        if scale:
            channels, height, width = picture.shape
            picture = picture.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))
        picture = _block(picture, f"down.{scale}", weights)
        skipped.append(picture)
    for scale in reversed(range(len(WIDTHS) - 1)):
        enlarged = picture.repeat(2, axis=1).repeat(2, axis=2)
        picture = _block(np.concatenate([skipped[scale], enlarged]), f"up.{scale}", weights)
    logits = np.tensordot(weights["out.weight"], picture, 1) + weights["out.bias"]
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _block(picture: NDArray[np.float32], name: str, weights: Weights) -> NDArray[np.float32]:
    for layer in (0, 1):
        picture = _convolve(picture, weights[f"{name}.{layer}.weight"], weights[f"{name}.{layer}.bias"])
        np.maximum(picture, 0, out=picture)
    return picture


def _convolve(
    picture: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """3 x 3 convolution of (C, h, w) by (3, 3, D, C), zeros around: (D, h, w).

    Rows lie end to end with two zeros in between, so that each of the nine taps is one product of
    matrices over a shifted view.
    """
    channels, height, width = picture.shape
    stride = width + 2
    padded = np.zeros((channels, (height + 3) * stride), np.float32)
    padded.reshape(channels, height + 3, stride)[:, 1 : height + 1, 1 : width + 1] = picture
    summed = np.repeat(bias[:, None], height * stride, axis=1)
    for row in range(3):
        for column in range(3):
            start = row * stride + column
            summed += kernel[row, column] @ padded[:, start : start + height * stride]
    return np.ascontiguousarray(summed.reshape(-1, height, stride)[:, :, :width])
