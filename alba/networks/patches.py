"""Encoding a picture that differs from another in a few pixels: only what those can change is computed.

A 3 x 3 convolution sees one pixel further than its output, so what a mask changes is a window that grows by
one pixel a layer and halves at a pool. Outside it every activation is that of the picture without the mask.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from alba.networks.layers import Encoder


@dataclass(frozen=True)
class Activations:
    """All activations of an encoder on N pictures, channels last, in a frame of zeros one pixel wide.

    Parameters
    ----------
    maps : list of (N, S_l + 2, S_l + 2, C_l) float
        What the first convolution gives; then the output of every convolution, after LeakyReLU, and pool.
    """

    maps: list[Tensor]

    def means(self) -> Tensor:
        """Mean of the last map over the picture: (N, C) float."""
        side = self.maps[-1].shape[1] - 2
        return self.maps[-1].sum(dim=(1, 2)) / side**2


@dataclass(frozen=True)
class Patch:
    """A window of equal size in P pictures: upper left corners (P, 2) int64, values (P, h, w, C) float."""

    corners: Tensor
    values: Tensor


def encode_all(encoder: Encoder, convolved: Tensor) -> Activations:
    """Activations of an encoder.

    Parameters
    ----------
    encoder : Encoder
    convolved : (N, C, S, S) float
        What the first convolution gives.
    """
    maps = [_frame(convolved)]
    here = encoder.activate(convolved)
    maps.append(_frame(here))
    for layer in encoder.after_activation:
        here = layer(here)
        if isinstance(layer, nn.Conv2d):
            here = encoder.activate(here)
        maps.append(_frame(here))
    return Activations(maps)


def can_patch(encoder: Encoder, size: int) -> bool:
    """Whether every pool halves the picture without a rest."""
    return size % 2**encoder.num_pools == 0


def encode_changes(
    encoder: Encoder, base: Activations, rows: Tensor, masks: Tensor, weight: Tensor
) -> Iterator[tuple[Tensor, list[Patch]]]:
    """What masks change in the activations of other pictures.

    Parameters
    ----------
    encoder : Encoder
    base : Activations
    rows : (P,) int64
        The picture in `base` that each mask is added to.
    masks : (P, n, S, S) bool
    weight : (C, n, 3, 3) float
        Of the masks in the first convolution.

    Yields
    ------
    which : (p,) int64
        Masks of about the same extent.
    patches : list of Patch
        The window that they change in each of `base.maps`.
    """
    corners, extents = _bounds(masks)
    size = masks.shape[-1]
    classes = (4 * extents.amax(1) - 1) // size
    for number in classes.unique().tolist():
        which = (classes == number).nonzero()[:, 0]
        height, width = extents[which].amax(0).tolist()
        corners_here = torch.minimum(corners[which], size - extents[which].amax(0))
        of_masks = _convolve_window(masks[which], corners_here, height, width, weight)
        yield which, _follow(encoder, base, rows[which], corners_here, of_masks)


def _follow(
    encoder: Encoder, base: Activations, rows: Tensor, corners: Tensor, change: Tensor
) -> list[Patch]:
    """Layer by layer, from what the first convolution gives in addition."""
    height, width = change.shape[1:3]
    values = change + _cut(base.maps[0], rows, corners + 1, height, width)
    patches = [Patch(corners, values)]
    patches.append(Patch(corners, encoder.activate(values)))
    for layer, below in zip(encoder.after_activation, base.maps[1:], strict=False):
        if isinstance(layer, nn.Conv2d):
            patches.append(_convolve_patch(encoder, layer, below, rows, patches[-1]))
        else:
            patches.append(_pool_patch(below, rows, patches[-1]))
    return patches


def _convolve_patch(encoder: Encoder, layer: nn.Conv2d, below: Tensor, rows: Tensor, patch: Patch) -> Patch:
    side = below.shape[1] - 2
    height, width = (min(length + 2, side) for length in patch.values.shape[1:3])
    limits = torch.tensor([side - height, side - width], device=rows.device)
    corners = torch.minimum((patch.corners - 1).clamp_min(0), limits)
    seen = _cut(below, rows, corners, height + 2, width + 2)
    _paste(seen, torch.arange(len(seen), device=rows.device), patch.corners - corners + 1, patch.values)
    given = functional.conv2d(seen.permute(0, 3, 1, 2), layer.weight, layer.bias)
    return Patch(corners, encoder.activate(given).permute(0, 2, 3, 1))


def _pool_patch(below: Tensor, rows: Tensor, patch: Patch) -> Patch:
    side = (below.shape[1] - 2) // 2
    height, width = (min(length // 2 + 1, side) for length in patch.values.shape[1:3])
    limits = torch.tensor([side - height, side - width], device=rows.device)
    corners = torch.minimum(patch.corners // 2, limits)
    seen = _cut(below, rows, 2 * corners + 1, 2 * height, 2 * width)
    _paste(seen, torch.arange(len(seen), device=rows.device), patch.corners - 2 * corners, patch.values)
    pooled = functional.max_pool2d(seen.permute(0, 3, 1, 2), 2)
    return Patch(corners, pooled.permute(0, 2, 3, 1))


def with_changes(base: Activations, rows: Tensor, changes: list[tuple[Tensor, list[Patch]]]) -> Activations:
    """Activations of the changed pictures themselves."""
    maps = [below.index_select(0, rows) for below in base.maps]
    for which, patches in changes:
        for changed, patch in zip(maps, patches, strict=True):
            _paste(changed, which, patch.corners + 1, patch.values)
    return Activations(maps)


def changed_means(base: Activations, rows: Tensor, changes: Iterator[tuple[Tensor, list[Patch]]]) -> Tensor:
    """`Activations.means` of the changed pictures: (P, C) float."""
    last, means = base.maps[-1], base.means()[rows]
    side = last.shape[1] - 2
    for which, patches in changes:
        patch = patches[-1]
        before = _cut(last, rows[which], patch.corners + 1, *patch.values.shape[1:3])
        means[which] += (patch.values - before).sum(dim=(1, 2)) / side**2
    return means


def _frame(pictures: Tensor) -> Tensor:
    """(N, C, S, S) as (N, S + 2, S + 2, C), zeros around."""
    return functional.pad(pictures.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()


def _bounds(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Corners and extents (P, 2) of what 3 x 3 filters see of masks (P, n, S, S)."""
    any_mask = masks.any(1)
    size = masks.shape[-1]
    corners, ends = [], []
    for axis in (2, 1):
        hit = any_mask.any(axis).to(torch.uint8)
        corners.append((hit.argmax(1) - 1).clamp_min(0))
        ends.append((size - hit.flip(1).argmax(1) + 1).clamp_max(size))
    first, last = torch.stack(corners, 1), torch.stack(ends, 1)
    return first, last - first


def _convolve_window(masks: Tensor, corners: Tensor, height: int, width: int, weight: Tensor) -> Tensor:
    framed = _frame(masks.to(weight.dtype))
    rows = torch.arange(len(masks), device=masks.device)
    seen = _cut(framed, rows, corners, height + 2, width + 2)
    return functional.conv2d(seen.permute(0, 3, 1, 2), weight).permute(0, 2, 3, 1)


def _places(rows: Tensor, corners: Tensor, height: int, width: int, shape: tuple[int, int]) -> Tensor:
    """Flat index of every pixel of windows in maps of a shape: (P * height * width,) int64."""
    device = rows.device
    y = corners[:, :1] + torch.arange(height, device=device)
    x = corners[:, 1:] + torch.arange(width, device=device)
    lines = rows[:, None] * shape[0] + y
    return (lines[..., None] * shape[1] + x[:, None]).flatten()


def _cut(maps: Tensor, rows: Tensor, corners: Tensor, height: int, width: int) -> Tensor:
    """Windows (P, height, width, C) of maps (N, H, W, C)."""
    places = _places(rows, corners, height, width, (maps.shape[1], maps.shape[2]))
    pixels = maps.view(-1, maps.shape[3]).index_select(0, places)
    return pixels.view(len(rows), height, width, -1)


def _paste(maps: Tensor, rows: Tensor, corners: Tensor, values: Tensor) -> None:
    """Write windows (P, h, w, C) into maps (N, H, W, C)."""
    height, width = values.shape[1:3]
    places = _places(rows, corners, height, width, (maps.shape[1], maps.shape[2]))
    maps.view(-1, maps.shape[3]).index_copy_(0, places, values.reshape(-1, maps.shape[3]))
