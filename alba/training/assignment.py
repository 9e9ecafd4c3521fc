"""Supervised training of the assignment network on the oracle's decisions (section 3.2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from alba.config import REVISIONS, AssignmentSettings, GroupingSettings
from alba.errors import CheckpointError, TrainingError
from alba.grouping import GroupingVideo, Step, join_steps, roll_out, slot_log_probs
from alba.masks import VOID
from alba.networks import PairwiseNetwork
from alba.oracle import join_greedily
from alba.progress import progress
from alba.store import ProposalStore
from alba.training.checkpoint import (
    Assignment,
    Selection,
    build_assignment,
    check_features,
    describe_assignment,
    load_held_out,
    load_selection,
    save_checkpoint,
)
from alba.training.corpus import Corpus, store_of
from alba.training.left_out import report_left_out
from alba.training.loading import load_grouping_video, load_selection_video, open_as
from alba.training.selection import select

VIDEOS_SIDE_BY_SIDE = 8
"""Videos whose episodes are rolled out together."""


def train_assignment(
    corpus: Corpus,
    selection_folder: Path,
    settings: AssignmentSettings,
    grouping: GroupingSettings,
    output: Path,
) -> None:
    """Train by cross-entropy on what the oracle decides in the state that its own decisions lead to.

    Raises
    ------
    TrainingError
        The oracle joins no proposal of any training video.
    """
    selection = load_selection(selection_folder)
    torch.manual_seed(settings.seed)
    assignment = build_assignment(settings, grouping, selection.num_features)
    videos = load_training_videos(corpus, selection, selection_folder, assignment)
    steps = _teach(videos, assignment, corpus.label_settings().join_min_precision)
    if not any(bool(step.active.any()) for step in steps):
        raise TrainingError(
            "the oracle joins no selected proposal of any training video",
            "lower selection.threshold or labels.join_min_precision",
        )
    _standardize(assignment, steps)
    log = _fit(assignment, steps)
    stage = "pairwise" if settings.network == "pairwise" else "assignment"
    provenance = {"revision": REVISIONS[stage], "labels": corpus.digest()}
    save_checkpoint(output, assignment.network, describe_assignment(assignment, provenance), log)
    report_left_out(videos, assignment.grouping.num_slots)


def load_training_videos(
    corpus: Corpus, selection: Selection, selection_folder: Path, assignment: Assignment
) -> list[GroupingVideo]:
    """Selected proposals and ground truth of all training videos."""
    held_out = load_held_out(selection_folder)
    videos = []
    for video in progress(corpus.videos, "load", unit="video"):
        proposals, flow = store_of(corpus.proposals, video), store_of(corpus.flow, video)
        num_proposals, num_features = open_as(ProposalStore, proposals, video)["features"].shape
        check_features(selection_folder, selection.num_features, num_features)
        outputs = held_out.get(video.name)
        if outputs is None:
            pixels = load_selection_video(video, proposals, flow, None, selection.settings.working_height)
            outputs = select(selection, pixels)
        elif len(outputs) != num_proposals:
            raise CheckpointError(
                f"{selection_folder} was cross-fitted on {len(outputs)} proposals of {video.name}, "
                f"{proposals} has {num_proposals}",
                "use the proposals that it was trained on, or train it again",
            )
        grouped, _ = load_grouping_video(
            video,
            proposals,
            flow,
            outputs,
            selection.settings.threshold,
            assignment.grouping,
            labels=store_of(corpus.labels, video),
            picture_size=assignment.picture_size,
        )
        videos.append(grouped)
    return videos


def oracle_slots(video: GroupingVideo, min_precision: float, num_slots: int) -> list[NDArray[np.uint8]]:
    """The oracle's decisions as slots: an object takes the next free slot when it is first joined.

    Parameters
    ----------
    video : GroupingVideo
        With ground truth.
    min_precision : float
    num_slots : int
        K; objects beyond it are joined to none.

    Returns
    -------
    list of (N_t,) uint8
        1..K, 0 for none.
    """
    assert video.truth is not None
    num_objects = int(video.truth.max(initial=0, where=video.truth != VOID))
    slot_of = np.zeros(num_objects + 1, np.uint8)
    num_used = 0
    decisions = []
    for frame, truth in zip(video.frames, video.truth, strict=True):
        masks = frame.membership[:, frame.cell_map]
        joined, _ = join_greedily(masks, truth, num_objects, min_precision)
        for object_id in joined:
            if object_id and not slot_of[object_id] and num_used < num_slots:
                num_used += 1
                slot_of[object_id] = num_used
        decisions.append(slot_of[joined])
    return decisions


def _teach(videos: Sequence[GroupingVideo], assignment: Assignment, min_precision: float) -> list[Step]:
    """All decisions of the oracle, with what the network would have seen."""
    num_slots = assignment.grouping.num_slots
    steps: list[Step] = []
    for start in progress(range(0, len(videos), VIDEOS_SIDE_BY_SIDE), "teach", unit="batch"):
        group = videos[start : start + VIDEOS_SIDE_BY_SIDE]
        teacher = [oracle_slots(video, min_precision, num_slots) for video in group]
        steps += roll_out(group, assignment.observer, None, num_slots, teacher=teacher, keep_steps=True).steps
    return steps


def _standardize(assignment: Assignment, steps: Sequence[Step]) -> None:
    """Fit the network's input scale to what its decisions look at."""
    network, join = assignment.network, assignment.observer.join
    joined = (join([step.observation], [step.active.nonzero()[:, 0]], step.num_live) for step in steps)
    seen = [network.inputs(*observation) for observation in joined]  # type: ignore[operator]
    network.standardize.fit(torch.cat(seen))  # type: ignore[operator,union-attr]


def _fit(assignment: Assignment, steps: Sequence[Step]) -> list[dict[str, float]]:
    settings, grouping, observer = assignment.settings, assignment.grouping, assignment.observer
    network = assignment.network
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
    generator = np.random.default_rng(settings.seed)
    num_active = np.array([int(step.active.sum()) for step in steps])
    used = np.flatnonzero(num_active)
    log = []
    for epoch in progress(range(settings.epochs), "train assignment", unit="epoch"):
        losses, right, count = 0.0, 0, 0
        for batch in _split(generator.permutation(used), num_active, settings.batch_size):
            observation, choice, num_used, _, num_live = join_steps([steps[j] for j in batch], observer)
            if settings.flip and generator.random() < 0.5:
                observation = observer.mirror(observation)
            logits = network(*observation, num_live)
            log_probs = slot_log_probs(logits, num_used, grouping.num_slots, observer.none_action)
            if isinstance(network, PairwiseNetwork):
                loss = network.loss(logits, choice, num_used)
            else:
                loss = functional.nll_loss(log_probs, choice)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item() * len(choice)
            right += int((log_probs.argmax(1) == choice).sum())
            count += len(choice)
        log.append({"epoch": epoch + 1, "loss": losses / count, "accuracy": right / count})
    return log


def _split(order: NDArray[np.intp], num_active: NDArray[np.intp], batch_size: int) -> list[NDArray[np.intp]]:
    """Cut a list of steps where about `batch_size` decisions have come together."""
    batch_of = np.cumsum(num_active[order]) // batch_size
    return np.split(order, np.flatnonzero(np.diff(batch_of)) + 1)
