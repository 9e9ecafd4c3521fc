"""What is to be scored, and the predictions that it needs."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.config import DatasetSettings
from alba.errors import DatasetError, EvaluationError
from alba.masks import read_label_map


@dataclass(frozen=True)
class Request:
    """An evaluation to be done.

    Parameters
    ----------
    protocol : str
        One of `alba.config.ProtocolName`.
    dataset : DatasetSettings
        Where the ground truth is.
    split : str
        Name of the list of videos.
    predictions : Path
        Holds ``<video>/<frame>.png``.
    allow_missing : bool
        Score missing predictions as empty.
    tracks : "ids" or "first-frame"
        YouTube-VOS: how the track of an object is found.
    seen : frozenset of str
        YouTube-VOS: categories of the training set.
    """

    protocol: str
    dataset: DatasetSettings
    split: str
    predictions: Path
    allow_missing: bool
    tracks: str
    seen: frozenset[str]


@dataclass(frozen=True)
class Predictions:
    """A method's label maps of one video; iterating reads them one by one, None for a frame that is empty.

    Parameters
    ----------
    protocol : str
    paths : tuple of Path
        A file per frame of the ground truth.
    needed : frozenset of int
        Indices of the frames that are scored and there.
    num_missing : int
        Frames that are scored and not there.
    """

    protocol: str
    paths: tuple[Path, ...]
    needed: frozenset[int]
    num_missing: int

    def __iter__(self) -> Iterator[NDArray[np.uint8] | None]:
        for t in range(len(self.paths)):
            yield self.read(t)

    def read(self, t: int) -> NDArray[np.uint8] | None:
        """Label map of one frame; None where it is missing or not scored.

        Raises
        ------
        EvaluationError
            The file cannot be decoded, or stores colours.
        """
        if t not in self.needed:
            return None
        try:
            return read_label_map(self.paths[t])
        except DatasetError as error:
            raise EvaluationError(f"{error.problem}, which {self.protocol} needs", error.remedy) from None

    @property
    def frame_names(self) -> list[str]:
        """What to call the frames in errors."""
        return [str(path) for path in self.paths]


def find_predictions(
    request: Request, video: str, frames: Sequence[str], scored: Collection[int], rule: str
) -> Predictions:
    """Look for the predictions of one video.

    Parameters
    ----------
    request : Request
    video : str
    frames : sequence of str
        Names of the frames of the ground truth.
    scored : collection of int
        Indices of those that are scored.
    rule : str
        Why a missing one is an error.

    Raises
    ------
    EvaluationError
        A frame that is scored has no prediction, and that is not allowed.
    """
    folder = request.predictions / video
    paths = tuple(folder / f"{frame}.png" for frame in frames)
    missing = {t for t in scored if not paths[t].is_file()}
    if missing and not request.allow_missing:
        what = paths[min(missing)] if folder.is_dir() else folder
        raise EvaluationError(f"{what} is missing, and {rule}", "write it, or allow missing predictions")
    return Predictions(request.protocol, paths, frozenset(set(scored) - missing), len(missing))
