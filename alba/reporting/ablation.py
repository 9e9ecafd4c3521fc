"""The ablation: one line per row of Table 1, as a table and as a picture."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from alba.errors import EvaluationError

TITLES = {
    "proposals": "proposals, naive",
    "selection": "+ selection",
    "relational": "+ assignment",
    "reinforced": "+ RL",
    "oracle": "oracle",
}


def compare_rows(metrics: Mapping[str, Path], output: Path, figure: Path) -> None:
    """Put the metrics of all rows below each other.

    Parameters
    ----------
    metrics : mapping of str to Path
        `metrics.csv` of each of `alba.config.ROWS`.
    output : Path
        CSV: column `row`, then the official columns.
    figure : Path
        PNG: J&F of each row as bars.

    Raises
    ------
    EvaluationError
        A metrics file is missing.
    """
    lines = []
    for row, path in metrics.items():
        if not path.is_file():
            raise EvaluationError(f"{path} is missing", "evaluate this row first")
        lines.append(pd.read_csv(path).assign(row=row))
    table = pd.concat(lines, ignore_index=True)
    table = table[["row", *(column for column in table.columns if column != "row")]]
    output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(output, index=False)
    _draw(table, figure)


def _draw(table: pd.DataFrame, figure: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    canvas, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    titles = [TITLES.get(row, row) for row in table["row"]]
    colours = ["#b0b7c3" if row == "oracle" else "#3566a8" for row in table["row"]]
    bars = axes.barh(titles, 100 * table["J&F-Mean"], color=colours)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("J&F mean, %")
    axes.set_xlim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    figure.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(figure, dpi=150)
    plt.close(canvas)
