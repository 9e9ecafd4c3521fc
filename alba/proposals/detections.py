"""Networks of detections, and the way from their tensors to proposals."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from alba.device import Runner
from alba.masks import mask_boxes
from alba.proposals.protocol import FrameInput, Proposals


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


class Detections(Protocol):
    """Detections of one frame on the device, masks not yet pasted."""

    def paste(self) -> Proposals:
        """The proposals, masks at full size."""
        ...


class Segmenter(ABC):
    """What all networks of detections have in common: frames in batches, no flow, no memory.

    Parameters
    ----------
    runner : Runner
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @abstractmethod
    def _detect(self, frames: Sequence[NDArray[np.uint8]]) -> Sequence[Detections]:
        """Detections of frames (H, W, 3)."""

    @property
    def batch_size(self) -> int:
        """Frames that fit into the device's memory at once."""
        return self._runner.batch_size

    def begin_video(self, name: str) -> None:  # noqa: B027  # networks need not change it
        """Nothing is kept from frame to frame."""

    def propose(
        self,
        frame: NDArray[np.uint8],
        flow_forward: NDArray[np.float32] | None,
        flow_backward: NDArray[np.float32] | None,
    ) -> Proposals:
        """Propose masks for one frame, as `ProposalBackend.propose` says; flow is not looked at."""
        return next(self.propose_batch([(frame, flow_forward, flow_backward)]))

    def propose_batch(self, inputs: Sequence[FrameInput]) -> Iterator[Proposals]:
        """Propose masks for frames, as `BatchProposalBackend.propose_batch` says."""
        for found in self._runner.run([frame for frame, _, _ in inputs], self._detect):
            yield from self._runner.run([found], lambda one: [one[0].paste()])
