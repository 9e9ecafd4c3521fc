"""Stage keys: a store's folder names the settings, the code revision and all that came before."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from alba.config.settings import Configuration

REVISIONS = {
    "sprites": 1,
    "flow": 1,
    "proposals": 2,
    "labels": 1,
    "selection": 1,
    "assignment": 1,
    "pairwise": 1,
    "reinforce": 1,
    "segment": 3,
}
"""Raise a stage's number when its code changes what it writes; its stores are then made anew."""

ROWS = ("proposals", "selection", "pairwise", "relational", "reinforced", "oracle")
"""Rows of the ablation (Table 1), each a way to segment: proposals with a naive assignment, naive
assignment of selected proposals, assignment by a network that compares two proposals, the supervised
networks, the whole system, the oracle."""

_NETWORK_OF_ROW = {
    "selection": "selection",
    "pairwise": "pairwise",
    "relational": "assignment",
    "reinforced": "reinforce",
}


def stage_key(configuration: Configuration, dataset: str, stage: str, row: str = "") -> str:
    """Key of a stage's outputs: 10 hexadecimal digits.

    Parameters
    ----------
    configuration : Configuration
    dataset : str
        Name of the data set that the output belongs to.
    stage : str
        One of `REVISIONS`. The networks' stages belong to the data set they are trained on.
    row : str
        One of `ROWS`, for stage "segment".

    Returns
    -------
    str
        Hash of the stage's settings, its revision, and the keys of the stages that it reads.
    """
    settings, upstream = _inputs(configuration, dataset, stage, row)
    identity = {
        "stage": stage,
        "revision": REVISIONS[stage],
        "settings": [
            part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in settings
        ],
        "upstream": [stage_key(configuration, owner, name) for owner, name in upstream],
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _inputs(
    configuration: Configuration, name: str, stage: str, row: str
) -> tuple[list[Any], list[tuple[str, str]]]:
    """Settings and (data set, stage) pairs that a stage's output follows from."""
    dataset = configuration.datasets[name]
    stages = configuration.stages_of(name)
    pictures = {"layout": dataset.layout, "root": dataset.root, "resolution": dataset.resolution}
    source = [(name, "sprites")] if dataset.generate else []
    match stage:
        case "sprites":
            return [dataset.generate], []
        case "flow":
            return [stages.flow, pictures], source
        case "proposals":
            return [stages.proposals, pictures], [(name, "flow")] if stages.proposals.uses_flow else source
        case "labels":
            return [stages.labels], [(name, "proposals")]
        case "selection":
            return [stages.selection, dataset.train_split], [(name, "labels"), (name, "flow")]
        case "assignment" | "pairwise":
            return [getattr(stages, stage), stages.grouping], [(name, "selection")]
        case "reinforce":
            return [stages.reinforce], [(name, "assignment")]
        case "segment" if row in _NETWORK_OF_ROW:
            network = (configuration.trainer_of(name), _NETWORK_OF_ROW[row])
            return [stages.segment, stages.grouping, row], [(name, "proposals"), (name, "flow"), network]
        case "segment":
            earlier = "labels" if row == "oracle" else "proposals"
            return [stages.segment, stages.grouping, row], [(name, earlier)]
    raise KeyError(stage)
