"""The configuration's data sets, their lists of videos, and what makes them unfit to be planned with.

Everything here is asked before a job runs.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from alba.config import Configuration, DatasetSettings, EvaluationSettings, SpritesSettings
from alba.datasets import list_videos
from alba.errors import ConfigError, DatasetError

NAME = "[A-Za-z0-9_-]+"
"""Names of data sets and videos: no dot, so that `bear` never matches `bear.zarr`."""


class DataSets:
    """Data sets of a configuration.

    Parameters
    ----------
    configuration : Configuration

    Raises
    ------
    ConfigError
        A name is none that paths can hold.
    """

    def __init__(self, configuration: Configuration) -> None:
        for name in configuration.datasets:
            if not re.fullmatch(NAME, name):
                raise ConfigError(f"data set name {name!r}", "use letters, digits, - and _")
        self.configuration = configuration
        self.stages = cache(configuration.stages_of)
        self.videos = cache(self._list_videos)

    def settings(self, name: str) -> DatasetSettings:
        """Settings of the data set of that name, as they stand in the configuration."""
        if name not in self.configuration.datasets:
            known = ", ".join(self.configuration.datasets)
            raise ConfigError(f"no data set {name!r}", f"add it to datasets in config.yaml (known: {known})")
        return self.configuration.datasets[name]

    def on_disk(self, name: str) -> DatasetSettings:
        """The same with the root where it lies."""
        dataset = self.settings(name)
        return dataset.model_copy(update={"root": str(Path(self.configuration.data_root) / dataset.root)})

    def installed(self) -> Iterator[str]:
        """Names of the data sets that are generated or present on disk."""
        for name, dataset in self.configuration.datasets.items():
            origin = dataset.source or name
            if self.settings(origin).generate is not None or Path(self.on_disk(origin).root).is_dir():
                yield name

    def _list_videos(self, name: str, purpose: str) -> list[str]:
        dataset = self.on_disk(name)
        split = dataset.train_split if purpose == "train" else dataset.val_split
        if not split:
            raise ConfigError(
                f"datasets.{name}.{purpose}_split is empty",
                "name a list of videos" + (", or set train_on" if purpose == "train" else ""),
            )
        if dataset.generate is None:
            videos = list_videos(dataset, split)
        elif isinstance(dataset.generate, SpritesSettings):
            videos = dataset.generate.video_names(purpose)
        else:
            videos = dataset.generate.video_names(self.videos(dataset.source, "train"))
        for video in videos:
            if not re.fullmatch(NAME, video):
                raise DatasetError(f"{dataset.root}: video name {video!r}", "use letters, digits, - and _")
        return videos

    def has_truth(self, name: str) -> bool:
        """Whether a data set can be scored and learned from."""
        dataset = self.settings(name)
        return dataset.layout != "folder" or dataset.generate is not None

    def is_learned_from(self, name: str) -> bool:
        """Whether networks learn from a data set: its own, or those of one that names it."""
        known = self.configuration.datasets
        own = not self.configuration.models_of(name) and self.configuration.trainer_of(name) == name
        return own or any(name in (other.train_on, *other.train_with) for other in known.values())

    def rules(self, name: str) -> EvaluationSettings:
        """The rules by which a data set is scored.

        Raises
        ------
        ConfigError
            It cannot be scored, or not by these.
        """
        rules, layout = self.stages(name).evaluation, self.settings(name).layout
        if not self.has_truth(name):
            raise ConfigError(
                f"datasets.{name} of layout folder has no ground truth", "ask for its masks or overlays"
            )
        self._require_unseen(name)
        if rules.protocol in ("fbms", "youtube-vos") and layout != rules.protocol:
            raise ConfigError(
                f"protocol {rules.protocol} cannot score datasets.{name} of layout {layout}",
                "set evaluation.protocol for this data set",
            )
        if rules.tracks != "ids" and rules.protocol != "youtube-vos":
            raise ConfigError(
                f"evaluation.tracks of datasets.{name} is {rules.tracks!r}",
                "leave it out, it is for protocol youtube-vos only",
            )
        return rules

    def require_sound(self, name: str) -> None:
        """Raise what is wrong with a data set and with those that its networks learn from.

        For results that are there already Snakemake would not: a file whose rule cannot be planned counts
        as one that has no rule, and would be taken for up to date.
        """
        self.videos(name, "val")
        self._require_backward_flow(name)
        if not self.configuration.models_of(name):
            self.require_training_videos(self.configuration.trainer_of(name))
        self._require_unseen(name)

    def require_training_videos(self, trainer: str) -> None:
        """Raise what keeps the networks of a data set from learning."""
        owners: dict[str, str] = {}
        for name in self.configuration.training_sets(trainer):
            if not self.has_truth(name):
                raise ConfigError(
                    f"datasets.{name} of layout folder has no ground truth to learn from",
                    "set train_on, or models",
                )
            self._require_backward_flow(name)
            for video in self.videos(name, "train"):
                if owners.setdefault(video, name) != name:
                    raise ConfigError(
                        f"{owners[video]} and {name} both have a training video {video}",
                        f"leave one of them out of datasets.{trainer}.train_with",
                    )

    def _require_backward_flow(self, name: str) -> None:
        if not self.stages(name).flow.backward:
            raise ConfigError(
                f"flow.backward of datasets.{name} is false, and proposals are grouped along it",
                "leave it out; all_flow makes such stores",
            )

    def _require_unseen(self, name: str) -> None:
        """Two lists that are not the same have no video in common, or what is scored was learned from."""
        scored, given = self.on_disk(name), self.configuration.models_of(name)
        trainer = self.configuration.trainer_of(name)
        for each in () if given else self.configuration.training_sets(trainer):
            learnt = self.on_disk(each)
            if (learnt.root, learnt.generate) != (scored.root, scored.generate):
                continue
            both = sorted({*self.videos(each, "train")} & {*self.videos(name, "val")})
            if both and learnt.train_split != scored.val_split:
                raise ConfigError(
                    f"{learnt.train_split} and {scored.val_split} of datasets.{name} both list {both[0]}",
                    "name lists without a common video, or the root that holds both",
                )
