"""One process at a time trains for an output: two would write each other's progress over."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from alba.errors import TrainingError
from alba.store import check_place
from alba.training.hardware import Hardware
from alba.training.run import progress_folder


@contextmanager
def sole_trainer(output: Path, hardware: Hardware) -> Iterator[None]:
    """Keep other trainings away from what is published at `output`; a process that dies lets go.

    Parameters
    ----------
    output : Path
    hardware : Hardware
        Of the processes that `torchrun` has started the one that writes speaks for all.

    Raises
    ------
    TrainingError
        Another process, which is named, trains for this output.
    StoreError
        What is there is no checkpoint, so that nothing could be published.
    """
    if not hardware.writes:
        yield
        return
    check_place(output, "network.json")
    folder = progress_folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        holder = ""
        with suppress(FileNotFoundError):  # it may have ended just now
            holder = path.read_text()
        raise TrainingError(
            f"{holder or 'another process'} is training {output} already",
            "wait until it has published, or end it; what it has done so far is kept",
        ) from error
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # there is progress in it, or it is gone
            folder.rmdir()
