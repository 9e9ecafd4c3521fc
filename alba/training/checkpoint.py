"""Checkpoints: a folder with `network.safetensors`, `network.json`, `log.csv` and `tensorboard/`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alba import __version__
from alba.config import (
    REVISIONS,
    AssignmentSettings,
    GroupingSettings,
    RefinementSettings,
    SelectionSettings,
    network_settings,
    parse_settings,
)
from alba.errors import CheckpointError, first_line
from alba.grouping import (
    NUM_PAIR_SCALARS,
    NUM_RELATIONS,
    Observer,
    PairObserver,
    PictureObserver,
    RelationObserver,
)
from alba.networks import EarlyRelation, LateRelation, PairwiseNetwork, RefinementNetwork, SelectionNetwork
from alba.refinement import CHANNELS
from alba.store import make_ready, publish_folder
from alba.training.scalars import Row, write_scalars

_KINDS = {"kind": str, "settings": dict, "grouping": dict, "num_features": int, "channels": list}
"""Types of what a description holds."""

NUM_KNOWN = 2
"""Confidence and selection output, which stand behind f in what the assignment network knows."""


@dataclass(frozen=True)
class Selection:
    """A selection network with its settings."""

    network: SelectionNetwork
    settings: SelectionSettings
    num_features: int


@dataclass(frozen=True)
class Assignment:
    """An assignment network with its settings."""

    network: nn.Module
    observer: Observer
    settings: AssignmentSettings
    grouping: GroupingSettings
    num_features: int
    validation: tuple[str, ...] = ()
    """Names of the training videos that it has not learned from."""
    selection: SelectionSettings | None = None
    """Settings of the selection network that it was trained with; checkpoints of old do not name them."""

    @property
    def picture_size(self) -> int | None:
        """Side of the pictures that the network looks at, if it does."""
        looks = self.settings.network == "relational" and self.settings.fusion == "early"
        return self.settings.encoder.input_size if looks else None


@dataclass(frozen=True)
class Refinement:
    """A refinement network with its settings."""

    network: RefinementNetwork
    settings: RefinementSettings
    validation: tuple[str, ...] = ()
    """Names of the training videos that it has not learned from."""


def build_selection(settings: SelectionSettings, num_features: int) -> Selection:
    """A new selection network for proposals with `num_features` features."""
    network = SelectionNetwork(settings, num_features + int(settings.score))
    return Selection(network, settings, num_features)


def build_assignment(
    settings: AssignmentSettings, grouping: GroupingSettings, num_features: int
) -> Assignment:
    """A new assignment network for proposals with `num_features` features."""
    known = num_features + NUM_KNOWN
    none_action = grouping.none_action
    if settings.network == "pairwise":
        pairs = PairwiseNetwork(settings, NUM_PAIR_SCALARS + 2 * known, grouping.num_slots, none_action)
        return Assignment(pairs, PairObserver(none_action), settings, grouping, num_features)
    if settings.fusion == "early":
        return Assignment(EarlyRelation(settings, known), PictureObserver(), settings, grouping, num_features)
    network = LateRelation(settings, NUM_RELATIONS, known)
    return Assignment(network, RelationObserver(none_action), settings, grouping, num_features)


def build_refinement(settings: RefinementSettings) -> Refinement:
    """A new refinement network."""
    return Refinement(RefinementNetwork(len(CHANNELS), settings.widths, settings.scales), settings)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's parameters on the CPU."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}


def write_checkpoint(
    folder: Path, network: nn.Module, description: Mapping[str, Any], log: Sequence[Row]
) -> None:
    """Write the files that make a folder a checkpoint.

    Parameters
    ----------
    folder : Path
        Exists.
    network : nn.Module
    description : mapping
        Plain values: kind, settings, num_features, provenance.
    log : sequence of Row
        One per epoch.
    """
    text = json.dumps({**description, "package_version": __version__}, indent=1, sort_keys=True)
    save_file(tensors_of(network), folder / "network.safetensors")
    (folder / "network.json").write_text(text + "\n")
    pd.DataFrame(list(log)).to_csv(folder / "log.csv", index=False)


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    description: Mapping[str, Any],
    log: Sequence[Row],
    tensors: Mapping[str, Mapping[str, Tensor]] = MappingProxyType({}),
) -> None:
    """Publish a checkpoint folder.

    Parameters
    ----------
    folder : Path
    network : nn.Module
    description : mapping
        As for `write_checkpoint`.
    log : sequence of Row
    tensors : mapping of str to mapping of str to Tensor
        More files, ``<name>.safetensors``.
    """
    with publish_folder(folder, "network.json") as partial:
        write_checkpoint(partial, network, description, log)
        for name, content in tensors.items():
            save_file(dict(content), partial / f"{name}.safetensors")
        write_scalars(partial / "tensorboard", log)
    make_ready(folder, {"kind": description["kind"], "provenance": description["provenance"]})


def load_selection(folder: Path) -> Selection:
    """Load a selection checkpoint.

    Raises
    ------
    CheckpointError
        The folder is missing, damaged, or holds another kind of network.
    """
    description = _describe(folder, "selection")
    settings = parse_settings(SelectionSettings, description["settings"], str(folder))
    selection = build_selection(settings, description["num_features"])
    _load_weights(folder, selection.network)
    return selection


def load_held_out(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Outputs for the training videos of a selection network by networks that have not seen them.

    Returns
    -------
    dict of str to (N,) float32
        Empty where the network was not cross-fitted.

    Raises
    ------
    CheckpointError
        The file is damaged.
    """
    path = folder / "held_out.safetensors"
    if not path.exists():
        return {}
    try:
        return {name: tensor.numpy() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged ({error})", "train the selection network again") from None


def load_assignment(folder: Path) -> Assignment:
    """Load an assignment checkpoint, of supervised training or of reinforcement.

    Raises
    ------
    CheckpointError
        The folder is missing, damaged, or holds another kind of network.
    """
    description = _describe(folder, "assignment")
    if "grouping" not in description:
        raise CheckpointError(f"{folder / 'network.json'} lacks grouping", "train the network again")
    assignment = build_assignment(
        parse_settings(AssignmentSettings, description["settings"], str(folder)),
        parse_settings(GroupingSettings, description["grouping"], str(folder)),
        description["num_features"],
    )
    _load_weights(folder, assignment.network)
    selection = description.get("selection")
    return replace(
        assignment,
        validation=tuple(description.get("validation", ())),
        selection=selection and parse_settings(SelectionSettings, selection, str(folder)),
    )


def describe_selection(selection: Selection, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What `save_checkpoint` keeps beside the weights of a selection network."""
    return {
        "kind": "selection",
        "settings": selection.settings.model_dump(mode="json"),
        "num_features": selection.num_features,
        "provenance": {"revision": REVISIONS["selection"], **provenance},
    }


def load_refinement(folder: Path) -> Refinement:
    """Load a refinement checkpoint.

    Raises
    ------
    CheckpointError
        The folder is missing, damaged, holds another kind of network, or one that looks at other cues.
    """
    description = _describe(folder, "refinement")
    if tuple(description["channels"]) != CHANNELS:
        raise CheckpointError(f"{folder} was trained on other cues", "train the refinement network again")
    refinement = build_refinement(parse_settings(RefinementSettings, description["settings"], str(folder)))
    _load_weights(folder, refinement.network)
    return replace(refinement, validation=tuple(description.get("validation", ())))


def describe_refinement(refinement: Refinement, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What `save_checkpoint` keeps beside the weights of a refinement network."""
    return {
        "kind": "refinement",
        "settings": network_settings(refinement.settings),
        "channels": list(CHANNELS),
        "validation": list(refinement.validation),
        "provenance": {"revision": REVISIONS["refinement"], **provenance},
    }


def describe_assignment(assignment: Assignment, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What `save_checkpoint` keeps beside the weights of an assignment network."""
    return {
        "kind": "assignment",
        "settings": assignment.settings.model_dump(mode="json"),
        "grouping": assignment.grouping.model_dump(mode="json"),
        "num_features": assignment.num_features,
        "validation": list(assignment.validation),
        "selection": assignment.selection and assignment.selection.model_dump(mode="json"),
        "provenance": dict(provenance),
    }


def checkpoint_digest(folder: Path) -> str:
    """Hash of the networks and outputs that a checkpoint holds, and of the settings that it is used with."""
    description = read_description(folder)
    used = {**description["settings"], "device": None}, description.get("grouping")
    whole = hashlib.sha256(json.dumps(used, sort_keys=True).encode())
    for path in sorted(folder.glob("*.safetensors")):
        whole.update(path.name.encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _describe(folder: Path, kind: str) -> dict[str, Any]:
    description = read_description(folder)
    if description["kind"] != kind:
        raise CheckpointError(
            f"{folder} holds a {description['kind']} network, not a {kind} network",
            "name another checkpoint",
        )
    return description


def read_description(folder: Path) -> dict[str, Any]:
    """What a checkpoint keeps beside the weights.

    Raises
    ------
    CheckpointError
        It is missing or damaged.
    """
    path = folder / "network.json"
    try:
        description: dict[str, Any] = json.loads(path.read_text())
        inputs = "channels" if description.get("kind") == "refinement" else "num_features"
        missing = {"kind", "settings", inputs} - description.keys()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing", "train the network first") from None
    except (OSError, ValueError, AttributeError) as error:
        reason = first_line(error)
        raise CheckpointError(f"{path} cannot be parsed ({reason})", "train the network again") from None
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}", "train the network again")
    for name, kind in _KINDS.items():
        if not isinstance(description.get(name, kind()), kind):
            raise CheckpointError(f"{path} has no {kind.__name__} as {name}", "train the network again")
    return description


def _load_weights(folder: Path, network: nn.Module) -> None:
    path = folder / "network.safetensors"
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged ({first_line(error)})", "train the network again") from None
    except RuntimeError as error:  # its first line names the class alone; the last one may list all tensors
        reason = shorten(str(error).splitlines()[-1], 200, placeholder=" ...")
        raise CheckpointError(
            f"{path} does not fit the settings in network.json ({reason})", "train the network again"
        ) from None
    network.eval()
