"""Results of an evaluation, and the tables that are made of them."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from alba.errors import EvaluationError
from alba.metrics import STATISTICS, VideoScores

COLUMNS = ("J&F-Mean", *STATISTICS)
"""Official names of the global figures of DAVIS."""

_IDENTITY = ("sequence", "object", "track", "category")
"""Columns of the table of objects that are no figures."""


@dataclass(frozen=True, eq=False)
class Results:
    """Scores of a set of videos.

    Parameters
    ----------
    protocol : str
    overall : mapping of str to float
        The global figures by their column names; the first is the one to compare methods by.
    sequences : DataFrame
        What the console shows and the official file per sequence is made of: column ``Sequence``
        (``<video>_<k>`` where objects are scored one by one), then figures.
    official : sequence of str
        Columns of `sequences` that go into the official file.
    objects : DataFrame
        A row per object: sequence, object (true id), track (matched id), figures.
    frames : DataFrame
        A row per scored frame of each object: sequence, object, frame (index from 0), name, figures.
    num_missing : int
        Predicted frames that were missing and scored as empty.
    rules : mapping of str to str
        What else must be known beside the figures, such as how tracks were chosen.
    """

    protocol: str
    overall: Mapping[str, float]
    sequences: pd.DataFrame
    official: Sequence[str]
    objects: pd.DataFrame
    frames: pd.DataFrame
    num_missing: int = 0
    rules: Mapping[str, str] = field(default_factory=dict)


def object_tables(
    videos: Mapping[str, VideoScores], frame_names: Mapping[str, Sequence[str]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`Results.objects` and `Results.frames` where objects have J and F.

    Parameters
    ----------
    videos : mapping of str to VideoScores
        In the order of the tables.
    frame_names : mapping of str to sequence of str
        Names of all frames of each video.

    Raises
    ------
    EvaluationError
        There is no object to report on.
    """
    objects, frames = [], []
    for name, scores in videos.items():
        statistics = pd.DataFrame(scores.statistics(), columns=list(STATISTICS))
        identity = pd.DataFrame({"sequence": name, "object": scores.objects, "track": scores.tracks})
        objects.append(identity.join(statistics))
        for column, object_id in enumerate(scores.objects.tolist()):
            counted = np.isfinite(scores.J[:, column])
            indices = scores.frames[counted]
            frames.append(
                pd.DataFrame(
                    {
                        "sequence": name,
                        "object": object_id,
                        "frame": indices,
                        "name": [frame_names[name][t] for t in indices],
                        "J": scores.J[counted, column],
                        "F": scores.F[counted, column],
                    }
                )
            )
    if not frames:
        raise EvaluationError("no video has an object in its first frame", "check the ground truth")
    return pd.concat(objects, ignore_index=True), pd.concat(frames, ignore_index=True)


def sequence_rows(objects: pd.DataFrame) -> pd.DataFrame:
    """`Results.sequences` where every object has a row: mean of J and F, and the six statistics."""
    rows = objects[list(STATISTICS)].copy()
    rows.insert(0, "J&F-Mean", (rows["J-Mean"] + rows["F-Mean"]) / 2)
    rows.insert(0, "Sequence", row_names(objects))
    return rows


def overall_statistics(objects: pd.DataFrame) -> dict[str, float]:
    """The seven global figures (`COLUMNS`): means over all objects of all videos."""
    means = objects[list(STATISTICS)].mean()
    jf_mean = (means["J-Mean"] + means["F-Mean"]) / 2
    return dict(zip(COLUMNS, map(float, (jf_mean, *means)), strict=True))


def row_names(objects: pd.DataFrame) -> list[str]:
    """``<video>_<k>`` of every object."""
    return [f"{name}_{k}" for name, k in zip(objects["sequence"], objects["object"], strict=True)]


def write_results(results: Results, output: Path, split: str) -> None:
    """Write all tables; each file is whole or absent, `metrics.csv` comes last.

    `global_results-<split>.csv` and `per-sequence_results-<split>.csv` are the official files (three
    decimals); `metrics.csv`, `per-object.csv` and `per-frame.csv` have six decimals; `results.json` is in
    full precision; `protocol.json` tells by which rules they were made.

    Raises
    ------
    EvaluationError
        `output` cannot be written.
    """
    overall = pd.DataFrame([results.overall])
    official = results.sequences[["Sequence", *results.official]]
    rules = {"protocol": results.protocol, "split": split, "num_missing": results.num_missing}
    contents = {
        f"global_results-{split}.csv": overall.to_csv(index=False, float_format="%.3f"),
        f"per-sequence_results-{split}.csv": official.to_csv(index=False, float_format="%.3f"),
        "per-object.csv": results.objects.to_csv(index=False, float_format="%.6f"),
        "per-frame.csv": results.frames.to_csv(index=False, float_format="%.6f"),
        "results.json": json.dumps(_as_json(results), indent=1) + "\n",
        "protocol.json": json.dumps({**rules, **results.rules}, indent=1) + "\n",
        "metrics.csv": overall.to_csv(index=False, float_format="%.6f"),
    }
    _publish(contents, output)


def results_table(results: Results) -> Table:
    """The console's table: a row per sequence or object, then the global row; under it what must be known."""
    notes = [f"{rule}: {value}" for rule, value in results.rules.items()]
    if results.num_missing:
        notes.append(f"{results.num_missing} missing frames scored as empty")
    table = Table(title=results.protocol, caption="\n".join(notes), box=box.SIMPLE_HEAD)
    figures = list(dict.fromkeys([*results.sequences.columns[1:], *results.overall]))
    table.add_column("Sequence", no_wrap=True)
    for column in figures:
        table.add_column(column.replace("-", "-\n", 1), justify="right")
    for row in results.sequences.to_dict(orient="records"):
        table.add_row(str(row["Sequence"]), *(_printed(row.get(column)) for column in figures))
    table.add_section()
    table.add_row("global", *(_printed(results.overall.get(column)) for column in figures), style="bold")
    return table


def _printed(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _as_json(results: Results) -> dict[str, dict[str, object]]:
    figures = [column for column in results.objects.columns if column not in _IDENTITY]
    rows = results.objects[figures].to_dict(orient="records")
    objects = {
        name: {column: _finite(value) for column, value in row.items()}
        for name, row in zip(row_names(results.objects), rows, strict=True)
    }
    overall = {name: _finite(value) for name, value in results.overall.items()}
    return {"global": {**overall}, "objects": {**objects}}


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


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
