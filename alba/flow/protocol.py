"""What every flow backend takes and gives."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FramePair: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Two frames as `FlowBackend.flow` takes them."""


class FlowBackend(Protocol):
    """Optical flow between two frames."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Plain values for the store: backend, options, package, weights (file and sha256, or None)."""
        ...

    def flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where each pixel of the first frame lies in the second.

        Parameters
        ----------
        first, second : (H, W, 3) uint8
            RGB, both of one size, down to 1 x 1.

        Returns
        -------
        (2, H, W) float32
            (dx, dy) in pixels: ``first[y, x]`` is seen at ``second[y + dy, x + dx]``.
        """
        ...


@runtime_checkable
class BatchFlowBackend(FlowBackend, Protocol):
    """A backend for which several pairs at once are faster than one after the other."""

    @property
    def batch_size(self) -> int:
        """Pairs that it wants at once; may fall while it runs, where memory is short."""
        ...

    def flow_batch(self, pairs: Sequence[FramePair]) -> Iterator[NDArray[np.float32]]:
        """Flow of each pair, in order; all frames of one size."""
        ...
