"""Parts of both networks: the convolutional encoder and the MLP of figure 3."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """3 x 3 convolutions in blocks with a max-pool after each, then the mean over the picture.

    Parameters
    ----------
    in_channels : int
    widths : sequence of sequence of int
        Channels of the convolutions, one sequence per block (the paper: 9 convolutions, 4 blocks).
    """

    def __init__(self, in_channels: int, widths: Sequence[Sequence[int]]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for block in widths:
            for width in block:
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.LeakyReLU(0.01)]
                in_channels = width
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.num_features = in_channels

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode (M, C, S, S) float into (M, num_features) float."""
        # Channels last: with as few channels as here the CPU takes half the time.
        encoded: Tensor = self.layers(pictures.contiguous(memory_format=torch.channels_last))
        return encoded.mean(dim=(2, 3))

    @property
    def first(self) -> nn.Conv2d:
        """The first convolution."""
        return cast(nn.Conv2d, self.layers[0])

    @property
    def after_activation(self) -> list[nn.Module]:
        """Convolutions and pools behind the first convolution, in order; `activate` follows the former."""
        return [layer for layer in self.layers[1:] if not isinstance(layer, nn.LeakyReLU)]

    def activate(self, convolved: Tensor) -> Tensor:
        """What follows every convolution."""
        activated: Tensor = self.layers[1](convolved)
        return activated

    def after_first(self, convolved: Tensor) -> Tensor:
        """Encode what the first convolution has given, (M, widths[0][0], S, S) float, likewise."""
        encoded: Tensor = self.layers[1:](convolved)
        return encoded.mean(dim=(2, 3))


def mlp(in_features: int, hidden: Sequence[int]) -> nn.Sequential:
    """Fully connected layers with LeakyReLU between them and one output (the paper: 5 layers)."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(in_features, width), nn.LeakyReLU(0.01)]
        in_features = width
    return nn.Sequential(*layers, nn.Linear(in_features, 1))


class Standardize(nn.Module):
    """Shift and scale features by the mean and deviation of the training data.

    Parameters
    ----------
    num_features : int
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("deviation", torch.ones(num_features))

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation over all but the last axis of (..., num_features)."""
        rows = features.reshape(-1, features.shape[-1])
        if len(rows):
            self.mean.copy_(rows.mean(0))
            self.deviation.copy_(rows.std(0, correction=0).clamp_min(1e-3))

    def forward(self, features: Tensor, columns: Tensor | None = None) -> Tensor:
        """Standardise (..., num_features) float, outliers clipped at 5 deviations.

        With `columns`, (num_features,) bool, only those are given.
        """
        mean, deviation = self.mean, self.deviation
        if columns is not None:
            mean, deviation = mean[columns], deviation[columns]
        return ((features - mean) / deviation).clamp(-5, 5)
