"""Whether checkpoints fit each other, the proposals and the settings; every error names what differs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alba.config import GroupingSettings
from alba.config.settings import Settings
from alba.errors import CheckpointError
from alba.training.checkpoint import Assignment, Selection


def check_features(folder: Path, expected: int, found: int) -> None:
    """Raise `CheckpointError` unless the proposals have as many features as the network was made for."""
    if expected != found:
        raise CheckpointError(
            f"{folder} was trained on proposals with {expected} features, these have {found}",
            "use proposals of the backend that it was trained on, or train again",
        )


def check_networks(
    selection_folder: Path, selection: Selection, assignment_folder: Path, assignment: Assignment
) -> None:
    """Raise `CheckpointError` unless an assignment network was trained with such a selection network."""
    check_features(assignment_folder, assignment.num_features, selection.num_features)
    if assignment.selection is not None:
        differing = differences("selection", assignment.selection, selection.settings)
        if differing:
            raise CheckpointError(
                f"{assignment_folder} was trained with another selection network than {selection_folder} "
                f"({differing})",
                "name the one that it was trained with, or train it again",
            )


def check_grouping(folder: Path, assignment: Assignment, grouping: GroupingSettings) -> None:
    """Raise `CheckpointError` unless an assignment network was trained under these grouping settings."""
    differing = differences("grouping", assignment.grouping, grouping)
    if differing:
        raise CheckpointError(
            f"{folder} was trained under other settings ({differing})",
            "use its settings, or train it again",
        )


def differences(name: str, theirs: Settings, ours: Settings) -> str:
    """The settings that differ, with both values; empty where none does. Where it ran does not count."""
    there, here = (dict(_leaves(name, s.model_dump(mode="json", exclude={"device"}))) for s in (theirs, ours))
    return ", ".join(
        f"{key}: {there[key]!r} there, {here[key]!r} here" for key in there if there[key] != here[key]
    )


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, value
