"""Supervised training of the assignment network on the oracle's decisions (section 3.2)."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alba.config import REVISIONS, AssignmentSettings, GroupingSettings
from alba.datasets import Video, open_as
from alba.errors import CheckpointError, TrainingError
from alba.grouping import GroupingVideo, Observation, Observer, Step, roll_out, slot_log_probs
from alba.masks import VOID
from alba.networks import PairwiseNetwork
from alba.oracle import join_greedily
from alba.progress import progress
from alba.store import ProposalStore
from alba.training.checkpoint import (
    Assignment,
    Selection,
    build_assignment,
    checkpoint_digest,
    describe_assignment,
    load_held_out,
    load_selection,
)
from alba.training.compatibility import check_features
from alba.training.corpus import Corpus, store_of
from alba.training.episodes import VIDEOS_SIDE_BY_SIDE, Example, greedy_reward, score_by_truth
from alba.training.hardware import Hardware, use_hardware
from alba.training.holdout import leave_out
from alba.training.left_out import report_left_out
from alba.training.loading import load_grouping_video, load_selection_video
from alba.training.run import Run, progress_folder
from alba.training.selection import select
from alba.training.sole import sole_trainer
from alba.training.supervised import Tally, descend, mean

JUDGED_TOGETHER = 512
"""Decisions in videos that are left out, in one batch."""


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
        The oracle joins no proposal of any training video, or loss or gradient is not finite.
    """
    with use_hardware(settings) as hardware, sole_trainer(output, hardware):
        selection = load_selection(selection_folder)
        torch.manual_seed(settings.seed)
        assignment = replace(
            build_assignment(settings, grouping, selection.num_features),
            validation=tuple(leave_out(corpus, settings.validation_share, settings.seed)),
            selection=selection.settings,
        )
        videos = load_training_videos(corpus, selection, selection_folder, assignment)
        learnt, left_out = split_videos(videos, assignment)
        min_precision = corpus.label_settings().join_min_precision
        lessons = _teach(learnt, assignment, min_precision, hardware)
        if not lessons:
            raise TrainingError(
                "the oracle joins no selected proposal of any training video",
                "check that objects are annotated, or lower selection.threshold or labels.join_min_precision",
            )
        judged = _teach(left_out, assignment, min_precision, hardware)
        _standardize(assignment, lessons)
        assignment.network.to(hardware.device)
        revision = REVISIONS["pairwise" if settings.network == "pairwise" else "assignment"]
        run = Run(
            progress_folder(output),
            {
                "revision": revision,
                "settings": settings.model_dump(mode="json", exclude={"device"}),
                "grouping": grouping.model_dump(mode="json"),
                "inputs": corpus.inputs_digest(),
                "selection": checkpoint_digest(selection_folder),
            },
            describe_assignment(assignment, {"revision": revision, "labels": corpus.digest()}),
            assignment.network,
            torch.optim.Adam(assignment.network.parameters(), settings.learning_rate),
            [np.random.default_rng(settings.seed)],
            hardware,
        )
        examples = [example for video in left_out if (example := score_by_truth(video, hardware)).usable]
        _fit(assignment, lessons, judged, examples, run)
        run.publish(output)
        report_left_out(videos, assignment.grouping.num_slots)


def split_videos(
    videos: Sequence[GroupingVideo], assignment: Assignment
) -> tuple[list[GroupingVideo], list[GroupingVideo]]:
    """Videos to learn from, and those to validate on."""
    left_out = [video for video in videos if video.name in assignment.validation]
    return [video for video in videos if video.name not in assignment.validation], left_out


def load_training_videos(
    corpus: Corpus, selection: Selection, selection_folder: Path, assignment: Assignment
) -> list[GroupingVideo]:
    """Selected proposals and ground truth of all training videos."""
    held_out = load_held_out(selection_folder)
    videos = []
    for video in progress(corpus.videos, "load", unit="video"):
        grouped, _ = load_grouping_video(
            video,
            store_of(corpus.proposals, video),
            store_of(corpus.flow, video),
            selection_outputs(corpus, video, selection, selection_folder, held_out),
            selection.settings.threshold,
            assignment.grouping,
            labels=store_of(corpus.labels, video),
            picture_size=assignment.picture_size,
        )
        videos.append(grouped)
    return videos


def selection_outputs(
    corpus: Corpus,
    video: Video,
    selection: Selection,
    selection_folder: Path,
    held_out: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Outputs for a training video, where it was cross-fitted by a network that has not seen it: (N,).

    Raises
    ------
    CheckpointError
        The network was made for other proposals.
    """
    proposals, flow = store_of(corpus.proposals, video), store_of(corpus.flow, video)
    num_proposals, num_features = open_as(ProposalStore, proposals, video)["features"].shape
    check_features(selection_folder, selection.num_features, num_features)
    outputs = held_out.get(video.name)
    if outputs is None:
        pixels = load_selection_video(video, proposals, flow, None, selection.settings.working_height)
        return select(selection, pixels)
    if len(outputs) != num_proposals:
        raise CheckpointError(
            f"{selection_folder} was cross-fitted on {len(outputs)} proposals of {video.name}, "
            f"{proposals} has {num_proposals}",
            "use the proposals that it was trained on, or train it again",
        )
    return outputs


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


@dataclass(frozen=True)
class Lesson:
    """What the oracle decides on one proposal of each of some videos.

    Parameters
    ----------
    observation : tuple of Tensor
        What the network sees; n decisions along the first axis.
    choice : (n,) int64
        Index into the logits; -1 for none.
    num_used : (n,) int64
        Slots in use when the decision is taken.
    num_live : int
        Slots that the observation speaks of.
    """

    observation: Observation
    choice: Tensor
    num_used: Tensor
    num_live: int

    @classmethod
    def of(cls, step: Step, observer: Observer) -> "Lesson":
        """The decisions that are taken in a step; to join none before there is a slot is not one."""
        forced = (step.choice == step.num_live) & (step.num_used == 0)
        here = (step.active & ~forced).nonzero()[:, 0]
        choice = step.choice[here]
        observation = observer.take(step.observation, here)
        return cls(observation, choice.where(choice < step.num_live, -1), step.num_used[here], step.num_live)

    def __len__(self) -> int:
        return len(self.choice)


def _teach(
    videos: Sequence[GroupingVideo], assignment: Assignment, min_precision: float, hardware: Hardware
) -> list[Lesson]:
    """All decisions of the oracle, with what the network would have seen."""
    num_slots = assignment.grouping.num_slots
    lessons: list[Lesson] = []
    for start in progress(range(0, len(videos), VIDEOS_SIDE_BY_SIDE), "teach", unit="batch"):
        group = videos[start : start + VIDEOS_SIDE_BY_SIDE]
        teacher = [oracle_slots(video, min_precision, num_slots) for video in group]
        episodes = roll_out(
            group,
            assignment.observer,
            None,
            num_slots,
            teacher=teacher,
            keep_steps=True,
            device=hardware.device,
        )
        lessons += [Lesson.of(step, assignment.observer) for step in episodes.steps]
    return [lesson for lesson in lessons if len(lesson)]


def _standardize(assignment: Assignment, lessons: Sequence[Lesson]) -> None:
    """Fit the network's input scale to what its decisions look at."""
    network = assignment.network
    seen = [network.inputs(*lesson.observation) for lesson in lessons]  # type: ignore[operator]
    network.standardize.fit(torch.cat(seen))  # type: ignore[operator,union-attr]


def _fit(
    assignment: Assignment,
    lessons: Sequence[Lesson],
    judged: Sequence[Lesson],
    examples: Sequence[Example],
    run: Run,
) -> None:
    """Train, and judge every epoch by J&F of the videos that are left out.

    Their loss, which is logged too, is no measure of it: most decisions are for "none", and a network that
    gives it a little too much begins no object at all.
    """
    settings, hardware = assignment.settings, run.hardware
    (generator,) = run.generators
    assert isinstance(generator, np.random.Generator)
    for epoch in run.epochs(settings.epochs, "train assignment"):
        start = time.perf_counter()
        learnt, validated, norms = Tally(hardware), Tally(hardware), []
        for joined, count in read_batches(draw_batches(lessons, settings, generator), assignment, hardware):
            loss, right = _losses(assignment, joined, hardware)
            norms.append(descend(run, assignment.network, loss, right, count, learnt))
        speed = learnt.count / (time.perf_counter() - start)
        _judge(assignment, judged, hardware, validated)
        row = {**learnt.row("train"), **validated.row("validation"), "grad_norm": mean(norms)}
        score = greedy_reward(examples, assignment, hardware)
        row |= {} if score is None else {"reward/validation": score}
        run.end_epoch(epoch, {**row, "decisions_per_second": speed}, score)


Joined = tuple[Observation, Tensor, Tensor, int]
"""Observation, choices, slots in use, and slots that the observation speaks of."""


def draw_batches(
    lessons: Sequence[Lesson], settings: AssignmentSettings, generator: np.random.Generator
) -> Iterator[tuple[list[Lesson], bool]]:
    """Lessons in random order, about `batch_size` decisions together, and whether they are mirrored."""
    sizes = np.array([len(lesson) for lesson in lessons], int)
    flip = settings.flip
    for batch in _split(generator.permutation(len(lessons)), sizes, settings.batch_size):
        yield [lessons[j] for j in batch.tolist()], flip and generator.random() < 0.5


def read_batches(
    batches: Iterable[tuple[list[Lesson], bool]], assignment: Assignment, hardware: Hardware
) -> Iterator[tuple[Joined, int]]:
    """What falls to this process of each batch; the number of decisions of the whole batch."""
    observer = assignment.observer
    for lessons, mirrored in batches:
        num_live = max(lesson.num_live for lesson in lessons)
        observation = observer.join([lesson.observation for lesson in lessons], num_live)
        choice = torch.cat([lesson.choice for lesson in lessons])
        num_used = torch.cat([lesson.num_used for lesson in lessons])
        if mirrored:
            observation = observer.mirror(observation)
        target = choice.remainder(num_live + 1)  # -1, none, becomes the last
        if hardware.size > 1:
            rows = torch.arange(len(choice), device=choice.device)
            target, num_used, rows = hardware.share_rows(target, num_used, rows)
            observation = observer.take(observation, rows)
        yield (observation, target, num_used, num_live), len(choice)


def _losses(assignment: Assignment, joined: Joined, hardware: Hardware) -> tuple[Tensor, Tensor]:
    """Sum of the losses of decisions, and number of right ones."""
    observation, choice, num_used, num_live = joined
    logits = hardware.run(assignment.network)(*observation, num_live)
    num_slots, none_action = assignment.grouping.num_slots, assignment.observer.none_action
    log_probs = slot_log_probs(logits, num_used, num_slots, none_action)
    if isinstance(assignment.network, PairwiseNetwork):
        loss = assignment.network.loss(logits, choice, num_used)
    else:
        losses = functional.nll_loss(log_probs, choice, reduction="none")
        joins = choice < num_live
        loss = torch.where(joins, assignment.settings.join_weight * losses, losses).sum()
    return loss, (log_probs.argmax(1) == choice).sum()


@torch.no_grad()
def _judge(assignment: Assignment, lessons: Sequence[Lesson], hardware: Hardware, tally: Tally) -> None:
    fixed = assignment.settings.model_copy(update={"batch_size": JUDGED_TOGETHER, "flip": False})
    batches = draw_batches(lessons, fixed, np.random.default_rng(fixed.seed))
    for joined, count in read_batches(batches, assignment, hardware):
        loss, right = _losses(assignment, joined, hardware)
        tally.add(loss, right, count)


def _split(order: NDArray[np.intp], sizes: NDArray[np.intp], batch_size: int) -> list[NDArray[np.intp]]:
    """Cut a list of lessons where about `batch_size` decisions have come together."""
    batch_of = np.cumsum(sizes[order]) // batch_size
    return np.split(order, np.flatnonzero(np.diff(batch_of)) + 1) if len(order) else []
