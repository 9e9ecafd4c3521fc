"""The refinement network: small U-Nets side by side, each from cues to one mask."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class RefinementNetwork(nn.Module):
    """U-Nets that share nothing but their input, which each one sees at a scale of its own.

    Parameters
    ----------
    in_channels : int
    widths : sequence of int
        Channels of each level of every U-Net, from its full resolution down.
    scales : sequence of int
        What the sides of the frames are divided by for each U-Net.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], scales: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(UNet(in_channels, widths, scale) for scale in scales)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of every pixel by each U-Net: (M, C, h, w) float to (M, S, h, w) float, for any h and w."""
        return torch.cat([member(pictures) for member in self.members], dim=1)


class UNet(nn.Module):
    """Two 3 x 3 convolutions per level, a max-pool on the way down, skips on the way up.

    Parameters
    ----------
    in_channels : int
    widths : sequence of int
        Channels of each level, from the full resolution down.
    scale : int
        What the sides of the pictures are divided by before it looks at them.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.ModuleList(
            _level(before, width) for before, width in zip((in_channels, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(_level(width + below, width) for width, below in pairwise(widths))
        self.head = nn.Conv2d(widths[0], 1, 1)
        self._multiple = 2 ** (len(widths) - 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of every pixel: (M, C, h, w) float to (M, 1, h, w) float."""
        if self.scale == 1:
            return self._draw(pictures)
        size = pictures.shape[2:]
        smaller = functional.interpolate(
            pictures, size=[-(-side // self.scale) for side in size], mode="area"
        )
        return functional.interpolate(self._draw(smaller), size=size, mode="bilinear", align_corners=False)

    def _draw(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[2:]
        features = functional.pad(
            pictures, (0, self._missing(width), 0, self._missing(height)), mode="replicate"
        )
        levels: list[Tensor] = []
        for depth, level in enumerate(self.down):
            features = level(features if depth == 0 else functional.max_pool2d(features, 2))
            levels.append(features)
        for skipped, level in zip(reversed(levels[:-1]), reversed(self.up), strict=True):
            enlarged = functional.interpolate(
                features, size=skipped.shape[2:], mode="bilinear", align_corners=False
            )
            features = level(torch.cat([skipped, enlarged], dim=1))
        logits: Tensor = self.head(features)
        return logits[..., :height, :width]

    def _missing(self, length: int) -> int:
        """Pixels up to the next size that can be halved at every level; 2 at the lowest at least."""
        whole = max(2, -(-length // self._multiple)) * self._multiple
        return whole - length


def _level(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
