"""The ablation (Table 1): what each part of the method adds, over one or more runs of its trainings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alba.reporting.comparison import PALE, STRONG, bar_chart, read_metrics, save_chart, write_table

TITLES = {
    "proposals": "proposals, naive",
    "selection": "+ selection",
    "pairwise": "+ pairwise assignment",
    "relational": "+ relational assignment",
    "reinforced": "+ RL",
    "refined": "+ refinement",
    "oracle": "oracle",
}

GAIN = ("reinforced", "relational")
"""Rows whose difference, run by run, is a line of the table: policy gradient minus supervision."""


def compare_rows(metrics: Sequence[tuple[str, Path]], output: Path, figure: Path, runs: Path) -> None:
    """Put the metrics of all rows of the ablation below each other.

    Parameters
    ----------
    metrics : sequence of (str, Path)
        A row and `metrics.csv` of one of its runs; the runs of a row in the same order for all rows.
        What no training comes before has one.
    output : Path
        CSV: column `row`, then the columns of the metrics, means over the runs. Where a row has
        several, a column `<figure>-95%` stands after the first figure, half the width of the 95 % interval of
        its mean (Student's t over the runs), and the last line, `gain`, is the difference of `GAIN`, paired.
    figure : Path
        PNG: the first figure of each row as bars, with its interval and its runs.
    runs : Path
        CSV: columns `row`, `run` (1, 2, ...) and those of the metrics.

    Raises
    ------
    EvaluationError
        A metrics file is missing, damaged or of another protocol than the first.
    """
    single = read_metrics(metrics, "row")
    single.insert(1, "run", single.groupby("row", sort=False).cumcount() + 1)
    table = _summarise(single)
    write_table(single, runs)
    write_table(table, output)
    _draw(single, table, figure)


def half_interval(values: NDArray[np.float64]) -> float:
    """Half the width of the 95 % interval of the mean of some runs, by Student's t; NaN for one run.

    Parameters
    ----------
    values : (n,) float64
    """
    if len(values) < 2:
        return float("nan")
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def _summarise(single: pd.DataFrame) -> pd.DataFrame:
    names = list(single.columns[2:])
    headline = names[0]
    groups = {str(row): group[names] for row, group in single.groupby("row", sort=False)}
    several = {row for row, group in groups.items() if len(group) > 1}
    if several.issuperset(GAIN) and len({len(groups[row]) for row in GAIN}) == 1:
        after, before = (groups[row].reset_index(drop=True) for row in GAIN)
        groups["gain"] = after - before
    lines = []
    for row, group in groups.items():
        line = {"row": row, **group.mean().to_dict()}
        line[_interval_of(headline)] = half_interval(group[headline].to_numpy())
        lines.append(line)
    columns = ["row", headline, *([_interval_of(headline)] if several else []), *names[1:]]
    return pd.DataFrame(lines)[columns]


def _interval_of(headline: str) -> str:
    return f"{headline.removesuffix('-Mean')}-95%"


def _draw(single: pd.DataFrame, table: pd.DataFrame, figure: Path) -> None:
    rows = table[table["row"] != "gain"]
    headline = rows.columns[1]
    titles = [TITLES.get(row, row) for row in rows["row"]]
    colours = [PALE if row == "oracle" else STRONG for row in rows["row"]]
    interval = _interval_of(headline)
    widths = 100 * rows[interval].to_numpy() if interval in rows else np.full(len(rows), np.nan)
    runs = [100 * single.loc[single["row"] == row, headline].to_numpy() for row in rows["row"]]
    canvas, axes = bar_chart(titles, 100 * rows[headline].to_numpy(), colours, headline, widths, runs)
    gain = table[table["row"] == "gain"]
    if len(gain):
        mean, width = 100 * gain[headline].item(), 100 * gain[interval].item()
        num = int(single["run"].max())
        axes.set_title(
            f"RL over supervision, paired: {mean:+.1f} ± {width:.1f} ({num} runs, 95 % intervals)",
            fontsize=10,
        )
    save_chart(canvas, figure)
