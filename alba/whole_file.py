"""Files of results: whole or absent, whatever happens while they are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alba.errors import EvaluationError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path of the same ending, which becomes `path` if the block succeeds and vanishes if it fails.

    Raises
    ------
    EvaluationError
        The file cannot be written.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise EvaluationError(
            f"{path} cannot be written ({error.strerror or error})",
            "check permissions and free space, or give another file",
        ) from None
    finally:
        if partial.is_file():
            partial.unlink()
