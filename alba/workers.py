"""Processes that work for this one, and end when it does, however it ends."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection


@contextmanager
def worker_processes(num: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes.

    They are fresh ones: a fork would inherit the threads of whatever library the caller has loaded. Where the
    block is left by an exception they end at once, whatever they are doing; where this process is killed they
    do too, for then the other end of a pipe that each of them watches is closed.

    Parameters
    ----------
    num : int

    Yields
    ------
    ProcessPoolExecutor
        Raises `BrokenProcessPool` if one of its processes is killed.
    """
    context = get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    with watched, ProcessPoolExecutor(num, context, _watch, (watched,)) as pool:
        try:
            yield pool
        except BaseException:
            held.close()
            pool.shutdown(cancel_futures=True)
            raise
    held.close()


def _watch(pipe: Connection) -> None:
    """End with the process that holds the other end of a pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; one of them speaks

    def wait() -> None:
        pipe.poll(None)  # nothing is ever sent: the other end was closed
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
