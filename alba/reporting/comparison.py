"""Tables and bar charts of metrics; one's own result beside those of other methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alba.errors import EvaluationError
from alba.reporting.picture import save_picture
from alba.tables import read_figures
from alba.whole_file import whole_file

OWN = "alba"
"""What one's own result is called among the methods."""

STRONG, PALE = "#3566a8", "#b0b7c3"


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
        A metrics file is missing, damaged or of another protocol than the first.
    """
    table = read_metrics(list(metrics.items()), "method")
    table = table.sort_values(table.columns[1], ascending=False, kind="stable", ignore_index=True)
    write_table(table, output)
    colours = [STRONG if method == OWN else PALE for method in table["method"]]
    headline = table.columns[1]
    canvas, _ = bar_chart(table["method"].tolist(), 100 * table[headline].to_numpy(), colours, headline)
    save_chart(canvas, figure)


def read_metrics(metrics: Sequence[tuple[str, Path]], column: str) -> pd.DataFrame:
    """Read `metrics.csv` of each name into one table whose first column holds the names.

    Raises
    ------
    EvaluationError
        A file is missing, no such table, or of another protocol than the first.
    """
    lines = [read_figures(path, f"evaluate this {column} first") for _, path in metrics]
    for (_, path), line in zip(metrics, lines, strict=True):
        if set(line.columns) != set(lines[0].columns):
            raise EvaluationError(
                f"{path} has other figures than {metrics[0][1]}", "evaluate both by the same protocol"
            )
    table = pd.concat(lines, ignore_index=True)
    table.insert(0, column, [name for name, _ in metrics])
    return table


def write_table(table: pd.DataFrame, output: Path) -> None:
    """Write a table as CSV."""
    with whole_file(output) as partial:
        table.to_csv(partial, index=False)


def bar_chart(
    titles: Sequence[str],
    values: NDArray[np.float64],
    colours: Sequence[str],
    headline: str,
    widths: NDArray[np.float64] | None = None,
    points: Sequence[NDArray[np.float64]] | None = None,
) -> tuple[Any, Any]:
    """Draw one bar per title, the first on top.

    Parameters
    ----------
    titles : sequence of str
    values : (n,) float64
        Percent.
    colours : sequence of str
    headline : str
        What is measured.
    widths : (n,) float64, optional
        Half the width of each value's interval; NaN where there is none.
    points : sequence of (m,) float64, optional
        Percent; what each value is the mean of, shown where they are several.

    Returns
    -------
    canvas, axes
        Of matplotlib.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    half = np.full(len(values), np.nan) if widths is None else widths
    canvas, axes = plt.subplots(figsize=(7, 1.2 + 0.4 * len(values)), layout="constrained")
    error = None if np.isnan(half).all() else half
    axes.barh(titles, values, color=colours, xerr=error, error_kw={"capsize": 4, "lw": 1.2})
    for row, (value, width) in enumerate(zip(values, half, strict=True)):
        single = points[row] if points is not None and len(points[row]) > 1 else values[:0]
        axes.plot(single, [row] * len(single), "o", color="white", mec="black", ms=4, mew=0.8)
        label = f"{value:.1f}" if np.isnan(width) else f"{value:.1f} ± {width:.1f}"
        end = value + max(np.nan_to_num(width), single.max(initial=value) - value)
        axes.annotate(label, (end, row), (6, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.set_xlabel(f"{headline.replace('-', ' ')}, %")
    axes.set_xlim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    return canvas, axes


def save_chart(canvas: Any, figure: Path) -> None:
    """Write a chart and close it."""
    from matplotlib import pyplot as plt

    try:
        save_picture(figure, lambda path: canvas.savefig(path, dpi=150))
    finally:
        plt.close(canvas)
