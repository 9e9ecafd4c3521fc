"""Tables and pictures that compare: the rows of the ablation (Table 1); one's own result with peers'."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from alba.errors import EvaluationError

TITLES = {
    "proposals": "proposals, naive",
    "selection": "+ selection",
    "pairwise": "+ pairwise assignment",
    "relational": "+ relational assignment",
    "reinforced": "+ RL",
    "oracle": "oracle",
}

OWN = "alba"
"""What one's own result is called among the methods."""

_STRONG, _PALE = "#3566a8", "#b0b7c3"


def compare_rows(metrics: Mapping[str, Path], output: Path, figure: Path) -> None:
    """Put the metrics of all rows of the ablation below each other.

    Parameters
    ----------
    metrics : mapping of str to Path
        `metrics.csv` of each of `alba.config.ROWS`.
    output : Path
        CSV: column `row`, then the columns of the metrics.
    figure : Path
        PNG: the first figure of each row as bars.

    Raises
    ------
    EvaluationError
        A metrics file is missing.
    """
    table = _read(metrics, "row")
    _write(table, output)
    titles = [TITLES.get(row, row) for row in table["row"]]
    _draw(table, titles, [_PALE if row == "oracle" else _STRONG for row in table["row"]], figure)


def compare_methods(metrics: Mapping[str, Path], output: Path, figure: Path) -> None:
    """Put the metrics of all methods below each other, the best first.

    Parameters
    ----------
    metrics : mapping of str to Path
        `metrics.csv` of each method, one's own under the name `OWN`; all of one protocol.
    output : Path
        CSV: column `method`, then the columns of the metrics.
    figure : Path
        PNG: the first figure of each method as bars, one's own in colour.

    Raises
    ------
    EvaluationError
        A metrics file is missing.
    """
    table = _read(metrics, "method")
    table = table.sort_values(table.columns[1], ascending=False, kind="stable", ignore_index=True)
    _write(table, output)
    colours = [_STRONG if method == OWN else _PALE for method in table["method"]]
    _draw(table, table["method"].tolist(), colours, figure)


def _read(metrics: Mapping[str, Path], column: str) -> pd.DataFrame:
    lines = []
    for name, path in metrics.items():
        if not path.is_file():
            raise EvaluationError(f"{path} is missing", f"evaluate this {column} first")
        lines.append(pd.read_csv(path).assign(**{column: name}))
    table = pd.concat(lines, ignore_index=True)
    return table[[column, *(other for other in table.columns if other != column)]]


def _write(table: pd.DataFrame, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(output, index=False)


def _draw(table: pd.DataFrame, titles: Sequence[str], colours: Sequence[str], figure: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    canvas, axes = plt.subplots(figsize=(7, 1.2 + 0.4 * len(table)), layout="constrained")
    headline = table.columns[1]
    bars = axes.barh(titles, 100 * table[headline], color=colours)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel(f"{headline.replace('-', ' ')}, %")
    axes.set_xlim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    figure.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(figure, dpi=150)
    plt.close(canvas)
