"""Writing that goes on in a thread while the next frames are computed."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, Protocol

Arguments = ParamSpec("Arguments")


class Submit(Protocol):
    """Takes a call and its arguments."""

    def __call__(
        self, call: Callable[Arguments, None], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> None:
        """Have the call made; raises what an earlier one raised."""
        ...


@contextmanager
def write_behind(num_waiting: int = 1) -> Iterator[Submit]:
    """Calls made one after the other, in order, in a thread of their own.

    Parameters
    ----------
    num_waiting : int
        Calls that may wait behind the one that is being made; who submits more is held up, so that memory
        stays bounded.

    Yields
    ------
    callable
        ``submit(call, *arguments)``. What a call raises is raised by a later submission or at the end of
        the block. When the block is left, no call is being made any more.
    """
    waiting: deque[Future[None]] = deque()

    def submit(call: Callable[Arguments, None], *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        while len(waiting) > num_waiting or (waiting and waiting[0].done()):
            waiting.popleft().result()
        waiting.append(writer.submit(call, *args, **kwargs))

    with ThreadPoolExecutor(1) as writer:
        try:
            yield submit
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
