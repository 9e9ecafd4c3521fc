"""Frames of a video in order, decoded by threads while the previous ones are worked on."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from alba.datasets.video import Video

_MAX_READERS = 4


def read_ahead(video: Video, num_ahead: int = 2) -> Iterator[NDArray[np.uint8]]:
    """Every frame once, first to last; at most `num_ahead` wait decoded.

    Parameters
    ----------
    video : Video
    num_ahead : int
        At least one; the batch of what is done with the frames, so that the next one is at hand.

    Yields
    ------
    (H, W, 3) uint8
        RGB.

    Raises
    ------
    DatasetError
        A frame is missing, damaged or of another size; raised where the frame is due.
    """
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(min(num_ahead, _MAX_READERS)) as readers:
        try:
            for t in range(len(video)):
                waiting.append(readers.submit(video.frame, t))
                if len(waiting) > num_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
