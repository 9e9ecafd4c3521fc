"""What every flow backend takes and gives."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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
