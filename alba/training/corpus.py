"""The training videos of one or more data sets and their stores."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import alba.store
from alba.config import DatasetSettings, LabelSettings
from alba.datasets import Video, list_videos, open_video
from alba.errors import TrainingError

Stores: TypeAlias = Path | Mapping[str, Path]
"""Folder that holds one store per video, or such a folder for each name of a video."""


@dataclass(frozen=True)
class Corpus:
    """Videos to learn from.

    What is held back from a network must not be known to it from elsewhere: videos of one `Video.backdrop`,
    their origin, such as a video and its mirror image, are held back together (`alba.training.holdout`).

    Parameters
    ----------
    videos : list of Video
    proposals, flow, labels : Stores
    """

    videos: list[Video]
    proposals: Stores
    flow: Stores
    labels: Stores

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

    @classmethod
    def join(cls, parts: Sequence["Corpus"]) -> "Corpus":
        """The videos of several data sets, in order.

        Raises
        ------
        TrainingError
            Two videos have the same name.
        """
        if len(parts) == 1:
            return parts[0]
        videos = [video for part in parts for video in part.videos]
        names = [video.name for video in videos]
        for name in names:
            if names.count(name) > 1:
                raise TrainingError(f"two data sets have a video {name}", "train on one of them only")
        proposals, flow, labels = (
            {
                video.name: store_of(getattr(part, stage), video).parent
                for part in parts
                for video in part.videos
            }
            for stage in ("proposals", "flow", "labels")
        )
        return cls(videos, proposals, flow, labels)

    def label_settings(self) -> LabelSettings:
        """Settings of the oracle that labelled these videos.

        Raises
        ------
        TrainingError
            They are not the same for all.
        """
        found: dict[LabelSettings, Path] = {}
        for video in self.videos:
            path = store_of(self.labels, video)
            attributes = alba.store.open(path).attributes
            found.setdefault(LabelSettings.model_validate(attributes["provenance"]["settings"]), path)
        if len(found) > 1:
            first, other, *_ = found.values()
            raise TrainingError(
                f"{first} and {other} were labelled under different settings", "label all videos alike"
            )
        (settings,) = found
        return settings

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


def store_of(stores: Stores, video: Video) -> Path:
    """Where a stage keeps the store of a video."""
    folder = stores if isinstance(stores, Path) else stores[video.name]
    return folder / f"{video.name}.zarr"
