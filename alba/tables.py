"""Reading of the CSV tables that others write: figures of an evaluation, logs of trainings."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from alba.errors import AlbaError, EvaluationError, first_line


def read_table(
    path: Path, remedy: str, columns: Sequence[str] = (), error_type: type[AlbaError] = EvaluationError
) -> pd.DataFrame:
    """Read a CSV of one line at least.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do where it cannot be read.
    columns : sequence of str
        Columns that it must have.
    error_type : type
        What is raised.

    Raises
    ------
    EvaluationError
        It is missing or no such table.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise error_type(f"{path} is missing", remedy) from None
    except (ValueError, OSError) as error:  # pandas' own errors and those of decoding are ValueErrors
        raise error_type(f"{path} is no table ({first_line(error)})", remedy) from None
    if table.empty:
        raise error_type(f"{path} has no line below its head", remedy)
    for column in columns:
        if column not in table:
            raise error_type(f"{path} has no column {column}", remedy)
    return table


def read_figures(path: Path, remedy: str) -> pd.DataFrame:
    """Read a `metrics.csv`: one line of numbers.

    Raises
    ------
    EvaluationError
        It is missing or no such table.
    """
    table = read_table(path, remedy)
    words = table.select_dtypes(exclude="number").columns
    if len(table) > 1 or len(words):
        what = f"{len(table)} lines" if len(table) > 1 else f"words in column {words[0]}"
        raise EvaluationError(f"{path} is no metrics.csv, it has {what}", remedy)
    return table
