"""Where networks run: the device, its precision, and batches that fit into its memory.

Only the modules of network backends import this one; it needs torch.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from alba.config.backends import NetworkOptions
from alba.errors import BackendError, first_line

Item = TypeVar("Item")
Result = TypeVar("Result")
Model = TypeVar("Model", bound=torch.nn.Module)


def select_device(name: str) -> torch.device:
    """Device that a setting names: "auto" (CUDA where there is any), "cpu", "cuda" or "cuda:N".

    Raises
    ------
    BackendError
        There is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter where torch is built without CUDA
        raise BackendError(
            f"device {name!r} cannot be used ({first_line(error)})", "set device to auto, cpu or cuda:N"
        ) from None


class Runner:
    """Runs a network on batches of what it is given.

    On a GPU a batch that does not fit into the memory is halved, for all that follows too; on the CPU,
    where a batch is no faster, every item is a batch of its own.

    Parameters
    ----------
    options : NetworkOptions
    name : str
        What runs, for messages.

    Raises
    ------
    BackendError
        There is no such device.
    """

    def __init__(self, options: NetworkOptions, name: str) -> None:
        self.device = select_device(options.device)
        self.batch_size = 1 if self.device.type == "cpu" else options.batch_size
        self._mixed = options.mixed_precision
        self._name = name

    def place(self, model: Model) -> Model:
        """Move a model to the device, for inference.

        Raises
        ------
        BackendError
            The memory is too small for it.
        """
        try:
            return model.eval().to(self.device)
        except torch.OutOfMemoryError as error:
            raise self._too_small("its weights", error) from None

    def run(
        self, items: Sequence[Item], call: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> Iterator[Result]:
        """Results of all items, in order.

        Parameters
        ----------
        items : sequence
        call : callable
            Takes a batch of items and gives a result for each.

        Raises
        ------
        BackendError
            The memory is too small for a single item.
        """
        done = 0
        while done < len(items):
            batch = items[done : done + self.batch_size]
            results = self._attempt(batch, call)
            if results is None:
                torch.cuda.empty_cache()  # here, where nothing of the failed attempt is held any longer
                self.batch_size = len(batch) // 2
                logging.getLogger(__name__).warning(
                    "%s: out of memory, going on with batches of %d", self._name, self.batch_size
                )
                continue
            yield from results
            done += len(batch)

    def _attempt(
        self, batch: Sequence[Item], call: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> Sequence[Result] | None:
        """Results of a batch; None where the memory was too small for it."""
        half = torch.autocast(self.device.type, enabled=self._mixed and self.device.type == "cuda")
        try:
            with torch.inference_mode(), half:
                return call(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise self._too_small("one frame", error) from None
            return None

    def _too_small(self, what: str, error: BaseException) -> BackendError:
        return BackendError(
            f"{self._name}: the memory of {self.device} is too small for {what} ({first_line(error)})",
            "stop what else runs there, choose a smaller model, or set device to cpu",
        )
