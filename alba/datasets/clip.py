"""A stretch of an annotated video, as it is or mirrored."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alba.datasets.video import Video


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of a video; frame `t` of the clip is frame `start + t` of the video.

    Parameters
    ----------
    video : Video
    start, num_frames : int
    mirrored : bool
        Whether left and right are exchanged.
    """

    video: Video
    start: int
    num_frames: int
    mirrored: bool

    def frame(self, t: int) -> NDArray[np.uint8]:
        """Frame `t`: (H, W, 3) RGB."""
        return self._facing(self.video.frame(self.start + t))

    def annotation(self, t: int) -> NDArray[np.uint8]:
        """Ground truth of frame `t`: (H, W)."""
        return self._facing(self.video.annotation(self.start + t))

    def _facing(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(picture[:, ::-1]) if self.mirrored else picture
