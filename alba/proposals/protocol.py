"""What every proposal backend takes and gives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Proposals:
    """Proposals of one frame, the most confident first; there may be none.

    Parameters
    ----------
    masks : (N, H, W) bool
    boxes : (N, 4) float32
        Tight boxes (x0, y0, x1, y1) in pixels, upper ends exclusive.
    scores : (N,) float32
        Confidence in [0, 1], falling.
    features : (N, D) float32
        The appearance feature f; D belongs to the backend.
    """

    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)


FrameInput: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float32] | None, NDArray[np.float32] | None]
"""A frame with its forward and backward flow, as `ProposalBackend.propose` takes them."""


class ProposalBackend(Protocol):
    """Finds what may be an object in one frame."""

    @property
    def num_features(self) -> int:
        """D, the length of a proposal's feature vector."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """D names; backends whose features are learned number them."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Plain values for the store: backend, options, package, weights (file and sha256, or None)."""
        ...

    def begin_video(self, name: str) -> None:
        """Frames of another video follow, in order: forget what was seen.

        Parameters
        ----------
        name : str
            Of the video or, where it was made from others, of that which fills its frames (`Video.backdrop`):
            a backend that has learned from videos uses what has not learned from this one.
        """
        ...

    def propose(
        self,
        frame: NDArray[np.uint8],
        flow_forward: NDArray[np.float32] | None,
        flow_backward: NDArray[np.float32] | None,
    ) -> Proposals:
        """Propose masks for one frame.

        Parameters
        ----------
        frame : (H, W, 3) uint8
            RGB.
        flow_forward, flow_backward : (2, H, W) float32, optional
            Flow (dx, dy) in pixels to the next and to the previous frame; None where the backend
            does not look at flow, the flow store lacks that direction, or the video has a single frame.

        Returns
        -------
        Proposals
        """
        ...


@runtime_checkable
class BatchProposalBackend(ProposalBackend, Protocol):
    """A backend for which several frames at once are faster than one after the other."""

    @property
    def batch_size(self) -> int:
        """Frames that it wants at once; may fall while it runs, where memory is short."""
        ...

    def propose_batch(self, inputs: Sequence[FrameInput]) -> Iterator[Proposals]:
        """Propose masks for frames of one size, in their order.

        An iterator, so that masks at full size exist for one frame at a time.
        """
        ...
