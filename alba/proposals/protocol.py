"""What every proposal backend takes and gives."""

from dataclasses import dataclass
from typing import Protocol

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

    def begin_video(self) -> None:
        """Frames of another video follow, in order: forget what was seen."""
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
            does not look at flow or the video has a single frame.

        Returns
        -------
        Proposals
        """
        ...
