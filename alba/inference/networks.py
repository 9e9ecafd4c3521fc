"""Decisions of the trained networks on one video."""

from pathlib import Path

from alba.config import GroupingSettings
from alba.datasets import Video, open_as
from alba.errors import CheckpointError
from alba.inference.decisions import Decisions, Sources, naive_slots
from alba.store import ProposalStore
from alba.training.checkpoint import Assignment, Selection, load_assignment, load_selection
from alba.training.compatibility import check_features, check_grouping, check_networks
from alba.training.greedy import decide
from alba.training.loading import decision_order, load_selection_video
from alba.training.selection import select


def decide_with_networks(
    video: Video, row: str, grouping: GroupingSettings | None, sources: Sources
) -> Decisions:
    """Decide on every proposal of a video.

    Row "selection" gives every selected proposal an identity of its own, in the generator's order like
    row "proposals"; the other rows ask the assignment network, which always takes the most probable slot.
    """
    flow = sources.require("flow", row)
    folder = sources.require("selection", row)
    selection = load_selection(folder)
    assignment = None if row == "selection" else _assignment_of(row, grouping, sources, folder, selection)
    pixels = load_selection_video(video, sources.proposals, flow, None, selection.settings.working_height)
    check_features(folder, selection.num_features, pixels.features.shape[1])
    outputs = select(selection, pixels)
    threshold = selection.settings.threshold
    if assignment is None:
        naive = grouping or GroupingSettings()
        order = decision_order(open_as(ProposalStore, sources.proposals, video), outputs, threshold, "score")
        return Decisions(order, naive_slots(order, naive.num_slots), outputs)
    return Decisions(*decide(video, sources.proposals, flow, outputs, threshold, assignment), outputs)


def _assignment_of(
    row: str,
    grouping: GroupingSettings | None,
    sources: Sources,
    selection_folder: Path,
    selection: Selection,
) -> Assignment:
    """The assignment network of a row, which fits what it is to be used with."""
    folder = sources.require("assignment", row)
    assignment = load_assignment(folder)
    kind = assignment.settings.network
    if row in ("pairwise", "relational") and kind != row:
        raise CheckpointError(f"{folder} holds a {kind} network", f"name a {row} one, or another --row")
    if grouping is not None:
        check_grouping(folder, assignment, grouping)
    check_networks(selection_folder, selection, folder, assignment)
    return assignment
