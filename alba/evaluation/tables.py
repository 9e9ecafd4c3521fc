"""Results of an evaluation, and the tables that are made of them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from alba.errors import EvaluationError
from alba.metrics import STATISTICS, VideoScores

COLUMNS = ("J&F-Mean", *STATISTICS)
"""Official names of the global figures."""


@dataclass(frozen=True, eq=False)
class Results:
    """Scores of a set of videos.

    Parameters
    ----------
    protocol : str
    videos : mapping of str to VideoScores
        In the order of the tables.
    num_missing : int
        Predicted frames that were missing and scored as empty.
    """

    protocol: str
    videos: Mapping[str, VideoScores]
    num_missing: int = 0

    @cached_property
    def objects(self) -> pd.DataFrame:
        """A row per object: sequence, object (true id), track (matched id) and the six `STATISTICS`."""
        statistics = np.concatenate([scores.statistics() for scores in self.videos.values()])
        table = pd.DataFrame(statistics, columns=list(STATISTICS))
        rows = [
            (name, object_id, track)
            for name, scores in self.videos.items()
            for object_id, track in enumerate(scores.tracks.tolist(), start=1)
        ]
        for position, column in enumerate(("sequence", "object", "track")):
            table.insert(position, column, [row[position] for row in rows])
        return table

    @cached_property
    def frames(self) -> pd.DataFrame:
        """A row per scored frame of each object: sequence, object, frame (index from 0), J, F."""
        return pd.concat(
            pd.DataFrame({"sequence": name, "object": k + 1, "frame": scores.frames, "J": J, "F": F})
            for name, scores in self.videos.items()
            for k, (J, F) in enumerate(zip(scores.J.T, scores.F.T, strict=True))
        )

    @cached_property
    def overall(self) -> dict[str, float]:
        """The seven global figures (`COLUMNS`): means over all objects of all videos."""
        means = self.objects[list(STATISTICS)].mean()
        jf_mean = (means["J-Mean"] + means["F-Mean"]) / 2
        return dict(zip(COLUMNS, map(float, (jf_mean, *means)), strict=True))


def write_results(results: Results, output: Path, split: str) -> None:
    """Write all tables; each file is whole or absent, `metrics.csv` comes last.

    `global_results-<split>.csv` and `per-sequence_results-<split>.csv` are the official files (three
    decimals); `metrics.csv`, `per-object.csv` and `per-frame.csv` have six decimals; `results.json` is in
    full precision.

    Raises
    ------
    EvaluationError
        There is no object to report on, or `output` cannot be written.
    """
    if results.objects.empty:
        raise EvaluationError("no video has an object in its first frame", "check the ground truth")
    overall = pd.DataFrame([results.overall])
    official_objects = pd.DataFrame({"Sequence": _row_names(results)}).join(
        results.objects[["J-Mean", "F-Mean"]]
    )
    contents = {
        f"global_results-{split}.csv": overall.to_csv(index=False, float_format="%.3f"),
        f"per-sequence_results-{split}.csv": official_objects.to_csv(index=False, float_format="%.3f"),
        "per-object.csv": results.objects.to_csv(index=False, float_format="%.6f"),
        "per-frame.csv": results.frames.to_csv(index=False, float_format="%.6f"),
        "results.json": json.dumps(_as_json(results), indent=1) + "\n",
        "metrics.csv": overall.to_csv(index=False, float_format="%.6f"),
    }
    _publish(contents, output)


def results_table(results: Results) -> Table:
    """The console's table: a row per object, the global row below."""
    missing = f", {results.num_missing} missing frames scored as empty" if results.num_missing else ""
    table = Table(title=f"{results.protocol}{missing}")
    table.add_column("Sequence")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    values = results.objects[list(STATISTICS)].to_numpy()
    for name, row in zip(_row_names(results), values, strict=True):
        mean = (row[STATISTICS.index("J-Mean")] + row[STATISTICS.index("F-Mean")]) / 2
        table.add_row(name, *(f"{value:.3f}" for value in (mean, *row)))
    table.add_section()
    table.add_row("global", *(f"{results.overall[column]:.3f}" for column in COLUMNS), style="bold")
    return table


def _row_names(results: Results) -> list[str]:
    return [
        f"{name}_{k}" for name, scores in results.videos.items() for k in range(1, len(scores.tracks) + 1)
    ]


def _as_json(results: Results) -> dict[str, dict[str, object]]:
    rows = results.objects[list(STATISTICS)].to_dict(orient="records")
    return {"global": {**results.overall}, "objects": dict(zip(_row_names(results), rows, strict=True))}


def _publish(contents: Mapping[str, str], output: Path) -> None:
    """Write all files apart, then rename them into place in the given order."""
    staging = output / ".partial"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (staging / name).write_text(content)
        for name in contents:
            (staging / name).replace(output / name)
    except OSError as error:
        raise EvaluationError(
            f"{output} cannot be written ({error.strerror or error})",
            "check permissions and free space, or give another output folder",
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
