"""Progress bars on standard error, with a rate and the time left."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], description: str, total: int | None = None, unit: str = "frame"
) -> Iterator[Item]:
    """Pass items through while a bar counts them.

    Parameters
    ----------
    items : iterable
    description : str
        What is being done, and to which video.
    total : int, optional
        Number of items where `items` does not know its length.
    unit : str
        What one item is.
    """
    interval = 0.5 if sys.stderr.isatty() else 15.0  # a log file wants few lines
    silent = os.environ.get("RANK", "0") != "0"  # of the processes of torchrun one speaks
    yield from tqdm(
        items, description, total, unit=unit, mininterval=interval, file=sys.stderr, disable=silent
    )
