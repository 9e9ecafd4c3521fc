"""What a training runs on: a device, its precision, and the processes that `torchrun` has started.

Every process goes through the same videos in the same seeded order and takes its share of each batch; the
gradients are summed over all of them. So the result is that of one process with the whole batch.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from alba.config import TrainingSettings
from alba.device import select_device

Item = TypeVar("Item")

_PATIENCE = timedelta(hours=2)
"""How long a process waits for another one, which may still be reading its videos."""


@dataclass(frozen=True)
class Hardware:
    """One process's part of what a training runs on.

    Parameters
    ----------
    device : torch.device
    mixed_precision : bool
    rank : int
        Number of this process.
    size : int
        Number of processes.
    """

    device: torch.device
    mixed_precision: bool = False
    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files."""
        return self.rank == 0

    def run(self, network: nn.Module) -> Callable[..., Tensor]:
        """The network in the precision that was set; what it is given and what it gives is float32."""

        def call(*inputs: Any) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
                output: Tensor = network(*inputs)
            return output.float()

        return call

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """What falls to this process of a batch."""
        return items[self.rank :: self.size]

    def share_rows(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """What falls to this process of a batch whose members stand along the first axis."""
        return tuple(tensor[self.rank :: self.size] for tensor in tensors)

    def total(self, *numbers: float) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return sums.tolist()

    def gather(self, share: Sequence[Item]) -> list[Item]:
        """The whole batch in its order, from the shares of all processes."""
        if self.size == 1:
            return list(share)
        shares: list[Any] = [None] * self.size
        distributed.all_gather_object(shares, list(share))
        whole: list[Any] = [None] * sum(map(len, shares))
        for rank, part in enumerate(shares):
            whole[rank :: self.size] = part
        return whole

    def add_gradients(self, network: nn.Module) -> None:
        """Sum the gradients over all processes; one whose share was empty has none."""
        if self.size == 1:
            return
        parameters = list(network.parameters())
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        joint = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(joint)
        parts = joint.split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def use_hardware(settings: TrainingSettings) -> Iterator[Hardware]:
    """The device that the settings name, and the processes that `torchrun` has started.

    Each process takes a GPU of its own where ``device`` is "auto" or "cuda".

    Raises
    ------
    BackendError
        There is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    name = settings.device
    if size > 1 and name in {"auto", "cuda"} and torch.cuda.is_available():
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    device = select_device(name)
    if size == 1:
        yield Hardware(device, settings.mixed_precision)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    joined_before = distributed.is_initialized()
    if not joined_before:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Hardware(device, settings.mixed_precision, distributed.get_rank(), size)
    finally:
        if not joined_before:
            distributed.destroy_process_group()
