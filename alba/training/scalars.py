"""The log of a training: a row of scalars per epoch, as CSV and for TensorBoard."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Row: TypeAlias = Mapping[str, float]
"""Scalars of one epoch, by name (``reward/train``, ``grad_norm``), and its number as ``epoch``."""


class ScalarWriter:
    """Event files that TensorBoard shows while a training goes on.

    Parameters
    ----------
    folder : Path
        Made anew, so that what a stopped run wrote does not stand there twice.
    log : sequence of Row
        What there is so far.
    """

    def __init__(self, folder: Path, log: Sequence[Row]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # here, as only training needs it

        shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(str(folder))
        for row in log:
            self.write(row)

    def write(self, row: Row) -> None:
        """Add the scalars of one epoch."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()

    def close(self) -> None:
        """Finish the files."""
        self._writer.close()


def write_scalars(folder: Path, log: Sequence[Row]) -> None:
    """Write the event files of a whole log."""
    ScalarWriter(folder, log).close()


def merge_logs(log: Sequence[Row], other: Sequence[Row], of: str) -> list[Row]:
    """Rows of a run beside the scalars ``*/<of>`` of another one, epoch by epoch."""
    rows: dict[float, dict[str, float]] = {row["epoch"]: dict(row) for row in log}
    for row in other:
        wanted = {name: value for name, value in row.items() if name == "epoch" or name.endswith(f"/{of}")}
        rows.setdefault(row["epoch"], {}).update(wanted)
    return [rows[epoch] for epoch in sorted(rows)]
