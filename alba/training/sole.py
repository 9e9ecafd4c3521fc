"""One process at a time trains for an output: two would write each other's progress over."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from alba.errors import TrainingError, first_line
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
        Another process, which is named, trains for this output, or there is no more room for the training
        on disk or in the GPU's memory.
    StoreError
        What is there is no checkpoint, so that nothing could be published.
    """
    with _told_in_a_line(output):
        if hardware.writes:
            check_place(output, "network.json")
            with _lock(output):
                yield
        else:
            yield


@contextmanager
def _told_in_a_line(output: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        named = getattr(error, "filename", None) or progress_folder(output)
        reason = getattr(error, "strerror", None) or first_line(error)
        raise TrainingError(
            f"{named} cannot be read or written ({reason})", "check permissions and free space"
        ) from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the GPU's memory does not hold the training of {output}",
            "set batch_size or videos_per_update of the stage lower, or device: cpu",
        ) from error


@contextmanager
def _lock(output: Path) -> Iterator[None]:
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
