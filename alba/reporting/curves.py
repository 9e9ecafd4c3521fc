"""Learning curves of the trainings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from alba.errors import CheckpointError
from alba.reporting.comparison import save_chart
from alba.tables import read_table
from alba.training.checkpoint import read_description

_TRAIN, _VALIDATION, _PUBLISHED = "#b0b7c3", "#3566a8", "#d08a3c"


def draw_curves(checkpoints: Mapping[str, Path], figure: Path) -> None:
    """Draw the logs of some checkpoints, a row of panels for each, a panel for each kind of scalar.

    Parameters
    ----------
    checkpoints : mapping of str to Path
        Checkpoint folders by the name of their stage.
    figure : Path
        PNG.

    Raises
    ------
    CheckpointError
        A checkpoint is missing, or keeps no log.
    EvaluationError
        The figure cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    logs = {
        stage: read_table(folder / "log.csv", "train the network again", ["epoch"], CheckpointError)
        for stage, folder in checkpoints.items()
    }
    panels = {stage: _panels(log) for stage, log in logs.items()}
    shape = len(logs), max(len(kinds) for kinds in panels.values())
    size = 2.6 * shape[1], 2.1 * shape[0] + 0.4
    canvas, grid = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    for row, (stage, log) in zip(grid, logs.items(), strict=True):
        published = read_description(checkpoints[stage]).get("epoch")
        for axes, (kind, names) in zip(row, panels[stage].items(), strict=False):
            _draw_panel(axes, log, names, published)
            axes.set_title(f"{stage}: {kind.replace('_', ' ')}", fontsize=9)
        for axes in row[len(panels[stage]) :]:
            axes.set_axis_off()
    lines = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
    canvas.legend(lines.values(), lines, loc="outside lower center", ncols=len(lines), frameon=False)
    save_chart(canvas, figure)


def _panels(log: pd.DataFrame) -> dict[str, list[str]]:
    """Names of the scalars that share a panel: ``reward/train`` and ``reward/validation`` are one kind."""
    panels: dict[str, list[str]] = {}
    for name in log.columns:
        if name != "epoch" and not name.endswith("_per_second"):
            panels.setdefault(name.partition("/")[0], []).append(name)
    return panels


def _draw_panel(axes: Any, log: pd.DataFrame, names: list[str], published: int | None) -> None:
    for name in names:
        points = log[["epoch", name]].dropna()
        judged = name.endswith("/validation")
        label = "videos left out" if judged else "training"
        axes.plot(points["epoch"], points[name], ".-", color=_VALIDATION if judged else _TRAIN, label=label)
    if published is not None:
        axes.axvline(published, color=_PUBLISHED, linestyle=":", label="published")
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
