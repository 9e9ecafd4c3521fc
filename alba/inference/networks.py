"""Decisions of the trained networks on one video."""

from alba.config import GroupingSettings
from alba.datasets import Video
from alba.grouping import roll_out
from alba.inference.decisions import Decisions, Sources, naive_slots
from alba.training.checkpoint import load_assignment, load_selection
from alba.training.compatibility import check_features, check_networks
from alba.training.loading import load_grouping_video, load_selection_video
from alba.training.selection import select


def decide_with_networks(video: Video, row: str, grouping: GroupingSettings, sources: Sources) -> Decisions:
    """Decide on every proposal of a video.

    Row "selection" gives every selected proposal an identity of its own, in the generator's order like
    row "proposals"; the other rows ask the assignment network, which always takes the most probable slot.
    """
    flow = sources.require("flow", row)
    folder = sources.require("selection", row)
    selection = load_selection(folder)
    pixels = load_selection_video(video, sources.proposals, flow, None, selection.settings.working_height)
    check_features(folder, selection.num_features, pixels.features.shape[1])
    outputs = select(selection, pixels)
    assignment = None
    if row != "selection":
        assignment_folder = sources.require("assignment", row)
        assignment = load_assignment(assignment_folder)
        check_networks(folder, selection, assignment_folder, assignment)
    grouped, order = load_grouping_video(
        video,
        sources.proposals,
        flow,
        outputs,
        selection.settings.threshold,
        assignment.grouping if assignment else grouping.model_copy(update={"order": "score"}),
        picture_size=assignment.picture_size if assignment else None,
    )
    if assignment is None:
        return Decisions(order, naive_slots(order, grouping.num_slots), outputs)
    episodes = roll_out([grouped], assignment.observer, assignment.network, assignment.grouping.num_slots)
    return Decisions(order, list(episodes.frame_choices(0)), outputs)
