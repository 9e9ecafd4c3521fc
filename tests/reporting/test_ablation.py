"""The ablation over one run and over several."""

import pandas as pd
import pytest
from PIL import Image

from alba.reporting import compare_rows

COLUMNS = ["J&F-Mean", "J-Mean", "F-Mean"]
RUNS = {
    "proposals": [0.2],
    "selection": [0.3, 0.31, 0.32],
    "relational": [0.40, 0.50, 0.45],
    "reinforced": [0.45, 0.56, 0.50],
    "oracle": [0.6],
}


def compare(folder, runs):
    metrics = []
    for row, values in runs.items():
        for k, value in enumerate(values):
            path = folder / f"{row}-{k}.csv"
            pd.DataFrame([[value, value - 0.1, value + 0.1]], columns=COLUMNS).to_csv(path, index=False)
            metrics.append((row, path))
    compare_rows(metrics, folder / "out/ablation.csv", folder / "out/ablation.png", folder / "out/runs.csv")
    return pd.read_csv(folder / "out/ablation.csv").set_index("row"), pd.read_csv(folder / "out/runs.csv")


def test_means_and_intervals_over_runs(tmp_path):
    table, runs = compare(tmp_path, RUNS)
    assert list(table.columns) == ["J&F-Mean", "J&F-95%", "J-Mean", "F-Mean"]
    assert list(table.index) == [*RUNS, "gain"]
    # Three runs: t = 4.3027 with two degrees of freedom; deviation .05, .01.
    relational = table.loc["relational"]
    assert relational["J&F-Mean"] == pytest.approx(0.45)
    assert relational["J&F-95%"] == pytest.approx(4.302653 * 0.05 / 3**0.5)
    assert table.loc["selection", "J&F-95%"] == pytest.approx(4.302653 * 0.01 / 3**0.5)
    assert table.loc[["proposals", "oracle"], "J&F-95%"].isna().all()
    assert relational["J-Mean"] == pytest.approx(0.35)
    assert runs["row"].value_counts().to_dict() == {row: len(values) for row, values in RUNS.items()}
    assert runs.loc[runs["row"] == "reinforced", "run"].tolist() == [1, 2, 3]


def test_gain_is_paired(tmp_path):
    """The runs scatter by .05, their differences (.05, .06, .05) hardly at all."""
    gain = compare(tmp_path, RUNS)[0].loc["gain"]
    assert gain["J&F-Mean"] == pytest.approx(0.16 / 3)
    assert gain["J&F-95%"] == pytest.approx(4.302653 * 0.0057735 / 3**0.5, rel=1e-4)
    assert gain["J-Mean"] == pytest.approx(0.16 / 3)


def test_one_run_has_neither_interval_nor_gain(tmp_path):
    table, runs = compare(tmp_path, {row: values[:1] for row, values in RUNS.items()})
    assert list(table.columns) == COLUMNS
    assert list(table.index) == list(RUNS)
    assert set(runs["run"]) == {1}


def test_rows_may_be_any(tmp_path):
    table, _ = compare(tmp_path, {"pairwise": [0.1, 0.3], "reinforced": [0.5, 0.6]})
    assert list(table.index) == ["pairwise", "reinforced"]
    assert Image.open(tmp_path / "out/ablation.png").size[0] > 500
