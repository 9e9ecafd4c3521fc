"""From the tensors of a detection network to proposals."""

import numpy as np
import torch
from numpy.typing import NDArray

from alba.masks import mask_boxes
from alba.proposals.protocol import Proposals


def visible_proposals(masks: NDArray[np.bool_], scores: torch.Tensor, features: torch.Tensor) -> Proposals:
    """Proposals of one frame; detections whose mask is empty at full size are dropped.

    Parameters
    ----------
    masks : (N, H, W) bool
    scores : (N,) tensor
        Falling.
    features : (N, D) tensor
    """
    visible = masks.any((1, 2))
    masks = masks[visible]
    return Proposals(
        masks,
        mask_boxes(masks),
        scores.float().cpu().numpy()[visible],
        features.float().cpu().numpy()[visible],
    )
