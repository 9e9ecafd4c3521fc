"""What a segmentation is made from, and the decisions that make it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alba.config import NETWORKS_OF_ROW, network_of
from alba.errors import ConfigError


@dataclass(frozen=True)
class Sources:
    """What a video is segmented from; a row of the ablation needs some of it.

    Parameters
    ----------
    proposals : Path
        Proposals store.
    flow, labels : Path, optional
        Stores of the video.
    selection, assignment : Path, optional
        Checkpoint folders.
    """

    proposals: Path
    flow: Path | None = None
    labels: Path | None = None
    selection: Path | None = None
    assignment: Path | None = None

    def require(self, name: str, row: str) -> Path:
        """A source that a row needs.

        Raises
        ------
        ConfigError
            It was not given.
        """
        path: Path | None = getattr(self, name)
        if path is None:
            raise ConfigError(f"row {row} needs --{name}", "name its store or checkpoint")
        return path

    def with_model(self, model: Path, row: str) -> Self:
        """The same stores with the networks that a row takes from a model folder.

        Raises
        ------
        ConfigError
            The model lacks one of them.
        """
        stages = NETWORKS_OF_ROW.get(row, {})
        return replace(self, **{name: network_of(model, stage) for name, stage in stages.items()})


@dataclass(frozen=True)
class Decisions:
    """Which proposals were joined to which slots.

    Parameters
    ----------
    order : list of (N_t,) intp
        Rows of the proposal axis in the order in which they paint.
    slots : list of (N_t,) integer
        1..K, 0 for none.
    selection : (N,) float32
        Selection network's output of every proposal; 1 where there was no network.
    """

    order: list[NDArray[np.intp]]
    slots: list[NDArray[np.integer]]
    selection: NDArray[np.float32]

    def proposal_slots(self) -> NDArray[np.uint8]:
        """Slot of every proposal of the video, 0 for none: (N,)."""
        slots = np.zeros(len(self.selection), np.uint8)
        for rows, chosen in zip(self.order, self.slots, strict=True):
            slots[rows] = chosen
        return slots


def naive_slots(order: list[NDArray[np.intp]], num_slots: int) -> list[NDArray[np.integer]]:
    """Every proposal an identity of its own; the k-th of each frame are one track, K at most."""
    ranks = [np.arange(1, len(rows) + 1) for rows in order]
    return [np.where(rank <= num_slots, rank, 0) for rank in ranks]
