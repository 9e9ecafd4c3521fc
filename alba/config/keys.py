"""Stage keys: a store's folder names the settings, the code revision and all that came before."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from alba.config.settings import DatasetSettings, Stages

REVISIONS = {
    "sprites": 1,
    "flow": 1,
    "proposals": 1,
    "labels": 1,
    "selection": 1,
    "assignment": 1,
    "reinforce": 1,
    "segment": 1,
}
"""Raise a stage's number when its code changes what it writes; its stores are then made anew."""


def stage_key(stage: str, stages: Stages, dataset: DatasetSettings) -> str:
    """Key of a stage's outputs: 10 hexadecimal digits.

    Parameters
    ----------
    stage : str
        One of `REVISIONS`.
    stages : Stages
        Settings resolved for the data set.
    dataset : DatasetSettings
        Where the pictures come from.

    Returns
    -------
    str
        Hash of the stage's settings, its revision, and the keys of the stages that it reads.
    """
    settings, upstream = _inputs(stage, stages, dataset)
    identity = {
        "stage": stage,
        "revision": REVISIONS[stage],
        "settings": [_plain(part) for part in settings],
        "upstream": [stage_key(name, stages, dataset) for name in upstream],
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _plain(part: BaseModel | dict[str, str] | None) -> Any:
    return part.model_dump(mode="json") if isinstance(part, BaseModel) else part


def _inputs(
    stage: str, stages: Stages, dataset: DatasetSettings
) -> tuple[list[BaseModel | dict[str, str] | None], list[str]]:
    """Settings and earlier stages that a stage's output follows from."""
    source = {"layout": dataset.layout, "root": dataset.root, "resolution": dataset.resolution}
    training = {"train_split": dataset.train_split}
    match stage:
        case "sprites":
            return [dataset.generate], []
        case "flow":
            return [stages.flow, source], ["sprites"] if dataset.generate else []
        case "proposals":
            earlier = ["flow"] if stages.proposals.uses_flow else []
            return [stages.proposals, source], earlier + (["sprites"] if dataset.generate else [])
        case "labels":
            return [stages.labels], ["proposals"]
        case "selection":
            return [stages.selection, training], ["labels", "flow"]
        case "assignment":
            return [stages.assignment, stages.grouping, training], ["selection"]
        case "reinforce":
            return [stages.reinforce], ["assignment"]
        case "segment":
            return [stages.segment], ["reinforce"]
    raise KeyError(stage)
