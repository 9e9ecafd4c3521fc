"""The training videos of a data set and their stores."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import alba.store
from alba.config import DatasetSettings, LabelSettings
from alba.datasets import Video, list_videos, open_video
from alba.errors import TrainingError


@dataclass(frozen=True)
class Corpus:
    """Videos to learn from.

    Parameters
    ----------
    videos : list of Video
    proposals, flow, labels : Path
        Folders that hold one store per video.
    """

    videos: list[Video]
    proposals: Path
    flow: Path
    labels: Path

    @classmethod
    def of(cls, dataset: DatasetSettings, split: str, proposals: Path, flow: Path, labels: Path) -> "Corpus":
        """The videos of a split.

        Raises
        ------
        TrainingError
            The split is empty.
        """
        videos = [open_video(dataset, name) for name in list_videos(dataset, split)]
        if not videos:
            raise TrainingError(f"split {split!r} names no video", "choose a split with videos")
        return cls(videos, proposals, flow, labels)

    def label_settings(self) -> LabelSettings:
        """Settings of the oracle that labelled these videos."""
        labels = alba.store.open(store_of(self.labels, self.videos[0]))
        return LabelSettings.model_validate(labels.attributes["provenance"]["settings"])

    def digest(self) -> str:
        """Hash of all labels, which follow from the proposals: provenance of a checkpoint."""
        whole = hashlib.sha256()
        for video in self.videos:
            whole.update(alba.store.open(store_of(self.labels, video)).digest.encode())
        return whole.hexdigest()

    def inputs_digest(self) -> str:
        """Hash of all stores that are read: a training that was stopped goes on with the same ones only."""
        whole = hashlib.sha256()
        for video in self.videos:
            for folder in (self.proposals, self.flow, self.labels):
                whole.update(alba.store.open(store_of(folder, video)).digest.encode())
        return whole.hexdigest()


def store_of(folder: Path, video: Video) -> Path:
    """Where a stage keeps the store of a video."""
    return folder / f"{video.name}.zarr"
