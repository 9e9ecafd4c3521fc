"""Dense inverse search flow of OpenCV: no weights, on the CPU."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.config.backends import DisOptions

MIN_SIDE = 32
"""Pixels; OpenCV's DIS gives NaN or crashes the process on wide frames that are lower than this."""

SMALL = 240
"""Pixels; frames with a side below are matched at twice the preset's resolution. At the preset's own, an
object of theirs is a few patches: on `sprites` the error inside objects is half as large again."""

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


class DisBackend:
    """DIS flow on grey frames; the same frames always give the same bits.

    Frames with a side below `MIN_SIDE` are extended at the bottom and the right by repeating their
    last row and column, and the flow is cropped back. A frame of one colour has zero flow.

    Parameters
    ----------
    options : DisOptions
    """

    def __init__(self, options: DisOptions) -> None:
        self._dis = cv2.DISOpticalFlow_create(_PRESETS[options.preset])  # type: ignore[attr-defined]
        self._finest_scale = self._dis.getFinestScale()
        self.provenance: Mapping[str, Any] = {
            "backend": "dis",
            "options": options.model_dump(mode="json"),
            "package": f"opencv {cv2.__version__}",
            "weights": None,
        }

    def flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Flow from the first frame to the second, as `FlowBackend.flow` says."""
        height, width = first.shape[:2]
        self._dis.setFinestScale(self._finest_scale - (min(height, width) < SMALL))
        with _one_thread():
            field = self._dis.calc(_prepare(first), _prepare(second), None)
        return np.ascontiguousarray(field[:height, :width].transpose(2, 0, 1))


def _prepare(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    bottom, right = (max(0, MIN_SIDE - side) for side in grey.shape)
    return cv2.copyMakeBorder(grey, 0, bottom, 0, right, cv2.BORDER_REPLICATE)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Videos are computed side by side, one to a core; OpenCV would take every core for each."""
    num_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(num_threads)
