"""Frames of a video in order, decoded by threads while the previous ones are worked on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from alba.datasets.video import Video

_MAX_READERS = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    yield from map_ahead(video.frame, range(len(video)), num_ahead, min(num_ahead, _MAX_READERS))


def map_ahead(
    call: Callable[[Item], Result], items: Iterable[Item], num_ahead: int, num_threads: int = 1
) -> Iterator[Result]:
    """Results of a call for all items, in order; threads make up to `num_ahead` before they are asked for.

    Items are taken by the caller's thread, so that what they draw from a generator has its order.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(num_threads) as workers:
        try:
            for item in items:
                waiting.append(workers.submit(call, item))
                if len(waiting) > num_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
