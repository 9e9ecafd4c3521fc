"""One training run: its epochs, the best of them, its log, and how it goes on after it was stopped.

After every epoch all that the run needs to go on is written beside the output, to `<output>.training/`.
That folder is no output of the workflow, which deletes those of a job that failed; it is removed when the
checkpoint is published.
"""

import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alba.errors import TrainingError, first_line
from alba.progress import progress
from alba.training.checkpoint import save_checkpoint, tensors_of, write_checkpoint
from alba.training.hardware import Hardware
from alba.training.scalars import Row, ScalarWriter

Generator = torch.Generator | np.random.Generator


def progress_folder(output: Path) -> Path:
    """Where the runs of a stage that publishes `output` keep what they need to go on."""
    return output.with_name(output.name + ".training")


@dataclass
class Run:
    """The epochs of one training.

    Parameters
    ----------
    folder : Path
        Where the run keeps what it needs to go on.
    identity : mapping
        Plain values that the result follows from; progress of another identity is not used.
    description : mapping
        What `write_checkpoint` keeps beside the weights.
    network : nn.Module
    optimizer : torch.optim.Optimizer
    generators : sequence of torch.Generator or numpy.random.Generator
        All randomness of the training.
    hardware : Hardware
    """

    folder: Path
    identity: Mapping[str, Any]
    description: Mapping[str, Any]
    network: nn.Module
    optimizer: torch.optim.Optimizer
    generators: Sequence[Generator]
    hardware: Hardware
    log: list[Row] = field(default_factory=list, init=False)
    """A row per epoch."""
    epoch: int = field(default=-1, init=False)
    """The last one that is complete; epoch 0 is before the first update."""
    best_epoch: int = field(default=0, init=False)
    best_score: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._best = tensors_of(self.network)
        self._resume()
        self.hardware.wait()  # no process writes before all have read
        self._scalars = ScalarWriter(self.folder / "tensorboard", self.log) if self.hardware.writes else None

    def epochs(self, num: int, title: str, first: int = 1) -> Iterator[int]:
        """Numbers of the epochs that are still to do, `first` (0 or 1) to `num`."""
        if self.epoch < 0 < first:
            self.end_epoch(0, {})  # whatever comes, there is a last good checkpoint
        yield from progress(range(self.epoch + 1, num + 1), title, unit="epoch")
        if self._scalars:
            self._scalars.close()

    def end_epoch(self, epoch: int, row: Row, score: float | None = None) -> None:
        """Log an epoch, keep its parameters if they are the best so far, and write all to disk.

        Parameters
        ----------
        epoch : int
        row : mapping of str to float
            What is logged.
        score : float, optional
            On the validation videos, the larger the better; without it the last epoch is the best.
        """
        self.epoch = epoch
        if score is None or self.best_score is None or score > self.best_score:
            self.best_epoch, self.best_score = epoch, score
            self._best = tensors_of(self.network)
        if row:
            self.log.append({"epoch": epoch, **row})
        if self.hardware.writes:
            self._save()
            if row and self._scalars:
                self._scalars.write(self.log[-1])

    def require_finite(self, value: float, what: str, remedy: str) -> None:
        """Stop before a step that would spoil the network.

        Raises
        ------
        TrainingError
            The value is infinite or not a number; names the last good checkpoint.
        """
        if not math.isfinite(value):
            raise TrainingError(
                f"{what} is {value} in epoch {self.epoch + 1}; the last good checkpoint is "
                f"{self.folder / _name(self.epoch)}",
                remedy,
            )

    def load_best(self) -> None:
        """Give the network the parameters of the best epoch, for use."""
        self.network.load_state_dict(self._best)
        self.network.eval()

    def publish(self, output: Path) -> None:
        """Publish the best epoch as a checkpoint, and remove what was kept to go on with."""
        self.load_best()
        if self.hardware.writes:
            description = {**self.description, "epoch": self.best_epoch}
            save_checkpoint(output, self.network, description, self.log)
            shutil.rmtree(self.folder)
        self.hardware.wait()

    def _save(self) -> None:
        target = self.folder / _name(self.epoch)
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_checkpoint(partial, self.network, self.description, self.log)
        tensors = {f"best/{name}": tensor for name, tensor in self._best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer/{index}/{name}": tensor.cpu().contiguous() for name, tensor in state.items()
            }
        save_file(tensors | _torch_states(self.generators), partial / "training.safetensors")
        (partial / "training.json").write_text(
            json.dumps(
                {
                    "identity": dict(self.identity),
                    "epoch": self.epoch,
                    "best_epoch": self.best_epoch,
                    "best_score": self.best_score,
                    "log": self.log,
                    "generators": _numpy_states(self.generators),
                    "param_groups": self.optimizer.state_dict()["param_groups"],
                },
                indent=1,
            )
        )
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
        self._remove_all_but(target)

    def _remove_all_but(self, kept: Path | None) -> None:
        for path in self.folder.glob("epoch-*"):
            if path != kept:
                shutil.rmtree(path)

    def _resume(self) -> None:
        """Take up the progress that an earlier process left, if it is of this very run."""
        found = [path for path in self.folder.glob("epoch-*") if path.name[6:].isdecimal()]
        if not found:
            return
        newest = max(found, key=lambda path: int(path.name[6:]))
        logger = logging.getLogger(__name__)
        try:
            state = json.loads((newest / "training.json").read_text())
            parameters, training = (load_file(newest / f"{n}.safetensors") for n in ("network", "training"))
        except (OSError, ValueError, SafetensorError) as error:
            logger.warning("%s is damaged (%s): starting anew", newest, first_line(error))
            return
        if state["identity"] != json.loads(json.dumps(dict(self.identity))):
            logger.warning("%s is of other settings or inputs: starting anew", newest)
            return
        self._take(state, parameters, training)
        logger.warning("going on after epoch %d with %s", self.epoch, newest)

    def _take(
        self, state: Mapping[str, Any], parameters: dict[str, Tensor], tensors: Mapping[str, Tensor]
    ) -> None:
        self.network.load_state_dict(parameters)
        self._best = _below("best", tensors)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below("optimizer", tensors).items():
            index, _, moment = name.partition("/")
            moments.setdefault(int(index), {})[moment] = _laid_out_as(weights[int(index)], tensor)
        self.optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
        for number, generator in enumerate(self.generators):
            if isinstance(generator, torch.Generator):
                generator.set_state(tensors[f"generator/{number}"])
            else:
                generator.bit_generator.state = state["generators"][str(number)]
        self.epoch, self.log = state["epoch"], state["log"]
        self.best_epoch, self.best_score = state["best_epoch"], state["best_score"]


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _laid_out_as(weight: Tensor, moment: Tensor) -> Tensor:
    """A moment in memory as its weight is: other strides may mean another rounding."""
    return torch.empty_like(weight).copy_(moment) if moment.shape == weight.shape else moment


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _torch_states(generators: Sequence[Generator]) -> dict[str, Tensor]:
    return {
        f"generator/{index}": generator.get_state()
        for index, generator in enumerate(generators)
        if isinstance(generator, torch.Generator)
    }


def _numpy_states(generators: Sequence[Generator]) -> dict[str, Any]:
    return {
        str(index): generator.bit_generator.state
        for index, generator in enumerate(generators)
        if isinstance(generator, np.random.Generator)
    }
