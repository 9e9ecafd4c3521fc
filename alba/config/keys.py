"""Stage keys: a store's folder names the settings, the code revision and all that came before."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from alba.config.models import file_digest, find_model, networks_digest
from alba.config.settings import Configuration, RefinementSettings, Stages

REVISIONS = {
    "sprites": 1,
    "mirrored": 1,
    "composites": 1,
    "flow": 2,
    "proposals": 7,
    "labels": 1,
    "selection": 3,
    "assignment": 4,
    "pairwise": 3,
    "reinforce": 4,
    "segment": 4,
    "refinement": 6,
    "refine": 3,
}
"""Raise a stage's number when its code changes what it writes; its stores are then made anew."""

ROWS = ("proposals", "selection", "pairwise", "relational", "reinforced", "refined", "oracle")
"""Rows of the ablation (Table 1), each a way to segment: proposals with a naive assignment, naive
assignment of selected proposals, assignment by a network that compares two proposals, the supervised
networks, the reinforced ones, their tracks refined, the oracle."""

GROUPED, REFINED = "reinforced", "refined"
"""The last row that is made of whole proposals, and the one that another command makes from it."""

NETWORKS_OF_ROW = {
    "selection": {"selection": "selection"},
    "pairwise": {"selection": "selection", "assignment": "pairwise"},
    "relational": {"selection": "selection", "assignment": "assignment"},
    "reinforced": {"selection": "selection", "assignment": "reinforce"},
    "refined": {"refinement": "refinement"},
}
"""For each row that needs networks the stages that train them, by the name of the option of `alba segment` or
`alba refine`; the last one is trained last."""

NETWORKS = tuple(dict.fromkeys(stage for row in NETWORKS_OF_ROW.values() for stage in row.values()))
"""Stages that train a network."""

NAIVE = ("proposals", "selection")
"""Rows that group by the settings alone; those with an assignment network group as it was trained to."""

_STORE_OF_ROW = {"proposals": "proposals", "oracle": "labels"}


Source: TypeAlias = tuple[str, ...]
"""What a stage reads: data set, stage and, of a segmentation, row."""


def stage_key(configuration: Configuration, dataset: str, stage: str, row: str = "", seed: int = 0) -> str:
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
    seed : int
        The run, see `Configuration.stages_of`; what no training comes before has the same key in all runs.

    Returns
    -------
    str
        Hash of the stage's settings, its revision, and the keys of the stages that it reads.
    """
    settings, upstream = _inputs(configuration, dataset, stage, row, seed)
    identity = {
        "stage": stage,
        "revision": REVISIONS[stage],
        "settings": [
            part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in settings
        ],
        "upstream": [
            stage_key(configuration, owner, name, "".join(rows), seed) for owner, name, *rows in upstream
        ],
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _inputs(
    configuration: Configuration, name: str, stage: str, row: str, seed: int
) -> tuple[list[Any], list[Source]]:
    """Settings and outputs of other stages that a stage's output follows from."""
    dataset = configuration.datasets[name]
    stages = configuration.stages_of(name, seed)
    pictures, generated = _pictures(configuration, name)
    match stage:
        case "sprites":
            return [dataset.generate], []
        case "mirrored" | "composites":
            originals, made = _pictures(configuration, dataset.source)
            return [dataset.generate, originals, _training_list(configuration, dataset.source)], made
        case "flow":
            return [stages.flow, pictures, *_files_of(stages.flow.options)], generated
        case "proposals":
            settings = [stages.proposals, pictures, *_files_of(stages.proposals.options)]
            return settings, [(name, "flow")] if stages.proposals.uses_flow else generated
        case "labels":
            return [stages.labels], [(name, "proposals")]
        case "segment":
            return _inputs_of_row(configuration, name, row, stages)
    return _inputs_of_network(configuration, name, stage, stages)


def _inputs_of_network(
    configuration: Configuration, name: str, stage: str, stages: Stages
) -> tuple[list[Any], list[Source]]:
    match stage:
        case "selection":
            learnt_from = configuration.training_sets(name)
            lists = [_training_list(configuration, each) for each in learnt_from]
            return [stages.selection, *lists], [
                (each, earlier) for each in learnt_from for earlier in ("labels", "flow")
            ]
        case "assignment" | "pairwise":
            return [getattr(stages, stage), stages.grouping], [(name, "selection")]
        case "reinforce":
            return [stages.reinforce], [(name, "assignment")]
        case "refinement":
            return [network_settings(stages.refinement), stages.segment], [(name, "reinforce")]
    raise KeyError(stage)


def _inputs_of_row(
    configuration: Configuration, name: str, row: str, stages: Stages
) -> tuple[list[Any], list[Source]]:
    networks, trained = _networks_of_row(configuration, name, row)
    if row == REFINED:
        return [REVISIONS["refine"], row, *networks], [(name, "segment", GROUPED), *trained]
    earlier = ("proposals", "flow") if row in NETWORKS_OF_ROW else (_STORE_OF_ROW[row],)
    stores = [(name, store) for store in earlier]
    settings = [stages.segment, stages.grouping] if row in NAIVE else [stages.segment]
    return [*settings, row, *networks], [*stores, *trained]


def _networks_of_row(configuration: Configuration, name: str, row: str) -> tuple[list[str], list[Source]]:
    """What a row's networks follow from: their own digest where they are given, else their training."""
    stages = tuple(NETWORKS_OF_ROW.get(row, {}).values())
    model = configuration.models_of(name)
    if model and stages:
        return [networks_digest(find_model(model), stages)], []
    return [], [(configuration.trainer_of(name), stage) for stage in stages[-1:]]


def _pictures(configuration: Configuration, name: str) -> tuple[dict[str, str], list[Source]]:
    """Where a data set's frames are, and the stage that makes them if one does."""
    dataset = configuration.datasets[name]
    place = {"layout": dataset.layout, "root": dataset.root, "resolution": dataset.resolution}
    return place, [(name, dataset.generate.kind)] if dataset.generate else []


def _training_list(configuration: Configuration, name: str) -> str:
    """Which list of videos is learned from: the split's name, below its folder where that is set."""
    dataset = configuration.datasets[name]
    return f"{dataset.image_set}/{dataset.train_split}" if dataset.image_set else dataset.train_split


def _files_of(options: dict[str, Any]) -> list[dict[str, str]]:
    """Digests of the files that a backend's options name, such as weights; empty without any."""
    files = {name: Path(value) for name, value in options.items() if isinstance(value, str)}
    digests = {name: file_digest(path).hex() for name, path in files.items() if path.is_file()}
    return [digests] if digests else []


def network_settings(refinement: RefinementSettings) -> dict[str, Any]:
    """Settings of the refinement network that its weights follow from: all but whether it is applied."""
    return refinement.model_dump(mode="json", exclude={"apply"})
