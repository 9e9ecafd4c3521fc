"""The selection network: is a proposal a moving object? (section 3.1, figure 3 left)"""

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from alba.config import SelectionSettings
from alba.networks.layers import Encoder, Standardize, mlp

NUM_PICTURE_CHANNELS = 5
"""Red, green, blue, u, v."""


class SelectionNetwork(nn.Module):
    """Encoder over image, flow and mask cropped to the proposal, joined by its feature f.

    Parameters
    ----------
    settings : SelectionSettings
    num_features : int
        D, length of what is known of a proposal beside its looks: f and, by setting, the score.
    """

    def __init__(self, settings: SelectionSettings, num_features: int) -> None:
        super().__init__()
        self.rgb = settings.encoder.rgb
        channels = NUM_PICTURE_CHANNELS + 1 if self.rgb else 3
        self.encoder = Encoder(channels, settings.encoder.widths)
        self.standardize = Standardize(num_features)
        self.head = mlp(self.encoder.num_features + num_features, settings.hidden)

    def forward(self, crops: Tensor, features: Tensor) -> Tensor:
        """Logits of M proposals.

        Parameters
        ----------
        crops : (M, 6, S, S) float
            Of `crop_proposals`.
        features : (M, D) float

        Returns
        -------
        (M,) float
        """
        encoded = self.encoder(crops if self.rgb else crops[:, 3:])
        logits: Tensor = self.head(torch.cat([encoded, self.standardize(features)], dim=1))
        return logits[:, 0]


def crop_proposals(
    pictures: Tensor, masks: Tensor, boxes: Tensor, frames: Tensor, size: int, margin: float
) -> Tensor:
    """Cut proposals out of their pictures, interpolating bilinearly.

    Parameters
    ----------
    pictures : (F, 5, h, w) float
        Red, green, blue and flow.
    masks : (M, h, w) float
        0 or 1.
    boxes : (M, 4) float
        x0, y0, x1, y1 in pixels of the pictures.
    frames : (M,) int64
        Picture of each proposal.
    size : int
        S.
    margin : float
        Share of its sides by which each box is enlarged on every side.

    Returns
    -------
    (M, 6, S, S) float
        Red, green, blue, flow, mask; zero outside the picture.
    """
    extent = (boxes[:, 2:] - boxes[:, :2]) * margin
    enlarged = torch.cat([boxes[:, :2] - extent, boxes[:, 2:] + extent], dim=1)
    rois = torch.cat([frames[:, None].to(boxes.dtype), enlarged], dim=1)
    own = torch.cat([torch.arange(len(boxes), device=boxes.device)[:, None], enlarged], dim=1)
    shape = (size, size)
    surroundings = roi_align(pictures, rois, shape, sampling_ratio=1, aligned=True)
    cut_masks = roi_align(masks[:, None], own.to(masks.dtype), shape, sampling_ratio=1, aligned=True)
    return torch.cat([surroundings, cut_masks], dim=1)
