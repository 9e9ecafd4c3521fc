"""Pictures of results."""

from collections.abc import Callable
from pathlib import Path

from alba.errors import EvaluationError
from alba.whole_file import whole_file


def save_picture(path: Path, save: Callable[[Path], None]) -> None:
    """Write a picture, whole or not at all.

    Parameters
    ----------
    path : Path
        Its ending tells the format.
    save : callable
        Writes the picture to a path of the same ending.

    Raises
    ------
    EvaluationError
        The file cannot be written, or its ending is that of no picture.
    """
    try:
        with whole_file(path) as partial:
            save(partial)
    except ValueError:
        raise EvaluationError(f"{path} has the ending of no picture", "name it .png") from None
