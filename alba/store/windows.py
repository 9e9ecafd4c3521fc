"""Windows of frames from many stores as a torch Dataset; nothing else of `alba.store` loads torch."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from alba.store.reader import ProposalStore, Store, open

Item = dict[str, Any]


class WindowDataset(Dataset[Item]):
    """Every window of `length` frames of some stores of one kind.

    It can be pickled, so that `torch.utils.data.DataLoader` can hand it to worker processes; each of them
    opens the stores that it reads from.

    Parameters
    ----------
    paths : sequence of str or Path
        Stores of one kind, local or URLs.
    length : int
        Frames of a window.
    step : int
        Frames between the starts of neighbouring windows. The frames behind the last whole window of a
        store are left out, and so are stores shorter than a window.
    names : iterable of str, optional
        Which arrays; all that `Store.window` gives if left out.
    max_proposals : int, optional
        For proposals stores. M: the items hold the first M proposals of every frame, by falling score,
        padded with zeros, so that windows can be collated. If left out they are ragged, as
        `ProposalStore.window` gives them, and a DataLoader needs ``batch_size=None``.
    storage_options : mapping, optional
        For URLs.

    Raises
    ------
    ValueError
        A length, step or number below 1.
    StoreError
        A store cannot be opened.

    Notes
    -----
    An item is a dict: ``store`` (index into `paths`), ``start`` (first frame), and a tensor per array,
    (length, ...). With `max_proposals` the arrays of proposals are (length, M, ...), beside ``num_proposals``
    (length,) int64. Stores of videos of other sizes give pixels of other shapes, which cannot be collated.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        length: int = 1,
        step: int = 1,
        *,
        names: Iterable[str] | None = None,
        max_proposals: int | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("length", length), ("step", step), ("max_proposals", max_proposals)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.paths = list(paths)
        self.length = length
        self.step = step
        self.names = None if names is None else list(names)
        self.max_proposals = max_proposals
        self.storage_options = dict(storage_options or {})
        self._stores: dict[int, Store] = {}
        counts = [max(0, len(self._store(i)) - length + step) // step for i in range(len(self.paths))]
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        """Number of windows."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        which = bisect_right(self._ends, index)
        start = (index - (self._ends[which - 1] if which else 0)) * self.step
        store = self._store(which)
        window = store.window(start, start + self.length, self.names)
        if isinstance(store, ProposalStore) and self.max_proposals is not None:
            window = _padded(window, self.max_proposals)
        return {
            "store": which,
            "start": start,
            **{name: torch.from_numpy(values) for name, values in window.items()},
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stores": {}}

    def _store(self, index: int) -> Store:
        if index not in self._stores:
            self._stores[index] = open(self.paths[index], self.storage_options)
        return self._stores[index]


def _padded(window: dict[str, NDArray[Any]], size: int) -> dict[str, NDArray[Any]]:
    """Flat arrays of proposals (n, ...) as (frames, size, ...), the first `size` of every frame."""
    edges = window["frame_offsets"]
    counts = np.minimum(np.diff(edges), size)
    padded: dict[str, NDArray[Any]] = {"num_proposals": counts}
    for name, values in window.items():
        if name == "frame_offsets":
            continue
        padded[name] = np.zeros((len(counts), size, *values.shape[1:]), values.dtype)
        for i, count in enumerate(counts):
            padded[name][i, :count] = values[edges[i] : edges[i] + count]
    return padded
