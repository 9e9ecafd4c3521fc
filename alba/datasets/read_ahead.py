"""Frames of a video in order, decoded while the previous ones are worked on."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from alba.datasets.video import Video


def read_ahead(video: Video, num_ahead: int = 2) -> Iterator[NDArray[np.uint8]]:
    """Every frame once, first to last; at most `num_ahead` wait decoded.

    Parameters
    ----------
    video : Video
    num_ahead : int

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
    with ThreadPoolExecutor(1) as reader:
        for t in range(len(video)):
            waiting.append(reader.submit(video.frame, t))
            if len(waiting) > num_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
