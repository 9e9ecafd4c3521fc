"""Policy gradient on the J&F of whole videos (section 3.2, "Training with Reinforcement Learning")."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alba.config import REVISIONS, GroupingSettings, ReinforceSettings
from alba.errors import TrainingError
from alba.grouping import GroupingVideo, Step, draw_chance, join_steps, roll_out, slot_log_probs
from alba.training.assignment import load_training_videos
from alba.training.checkpoint import (
    Assignment,
    checkpoint_digest,
    describe_assignment,
    load_assignment,
    load_selection,
)
from alba.training.compatibility import check_grouping, check_networks
from alba.training.corpus import Corpus
from alba.training.credit import gained_before
from alba.training.episodes import Example, greedy_reward, matched_rewards, rows_of, score_by_truth
from alba.training.hardware import Hardware, use_hardware
from alba.training.left_out import report_left_out
from alba.training.run import Run, progress_folder
from alba.training.sole import sole_trainer

STEPS_PER_MINIBATCH = 256
"""Decisions of all episodes whose gradients are in memory at once, in steps."""


def reinforce(
    corpus: Corpus,
    selection_folder: Path,
    assignment_folder: Path,
    settings: ReinforceSettings,
    output: Path,
    grouping: GroupingSettings | None = None,
) -> None:
    """Go on training an assignment network with REINFORCE and publish the last or best checkpoint.

    Epochs are judged on the videos that the supervised network has not learned from either. Epoch 0 is that
    network itself, so that where the best is published nothing is that does worse on them.

    Parameters
    ----------
    corpus : Corpus
    selection_folder, assignment_folder : Path
    settings : ReinforceSettings
    output : Path
    grouping : GroupingSettings, optional
        What the network must have been trained under.

    Raises
    ------
    TrainingError
        No training video has an object in its first frame, or the gradient is not finite.
    CheckpointError
        The networks do not fit each other or the settings.
    """
    with use_hardware(settings) as hardware, sole_trainer(output, hardware):
        selection = load_selection(selection_folder)
        assignment = load_assignment(assignment_folder)
        check_networks(selection_folder, selection, assignment_folder, assignment)
        if grouping is not None:
            check_grouping(assignment_folder, assignment, grouping)
        videos = load_training_videos(corpus, selection, selection_folder, assignment)
        examples, left_out = _split([score_by_truth(video, hardware) for video in videos], assignment)
        provenance = {
            "revision": REVISIONS["reinforce"],
            "labels": corpus.digest(),
            "reinforce": settings.model_dump(mode="json"),
        }
        assignment.network.to(hardware.device)
        run = Run(
            progress_folder(output),
            {
                "revision": REVISIONS["reinforce"],
                "settings": settings.model_dump(mode="json", exclude={"device"}),
                "inputs": corpus.inputs_digest(),
                "selection": checkpoint_digest(selection_folder),
                "assignment": checkpoint_digest(assignment_folder),
            },
            describe_assignment(assignment, provenance),
            assignment.network,
            torch.optim.Adam(assignment.network.parameters(), settings.learning_rate),
            [torch.Generator().manual_seed(settings.seed)],
            hardware,
        )
        train(examples, left_out, assignment, settings, run)
        run.publish(output)
        report_left_out(videos, assignment.grouping.num_slots)


def _split(examples: Sequence[Example], assignment: Assignment) -> tuple[list[Example], list[Example]]:
    """Videos to learn from and videos to validate on."""
    usable = [example for example in examples if example.usable]
    left_out = [example for example in usable if example.video.name in assignment.validation]
    learnt = [example for example in usable if example.video.name not in assignment.validation]
    if not learnt:
        raise TrainingError(
            "no video to learn from has an object in its first frame and a selected proposal",
            "use another training split, or lower selection.threshold",
        )
    return learnt, left_out


def train(
    examples: Sequence[Example],
    left_out: Sequence[Example],
    assignment: Assignment,
    settings: ReinforceSettings,
    run: Run,
) -> None:
    """REINFORCE: roll out, score, weigh every decision by the advantage of what came after it."""
    (generator,) = run.generators
    assert isinstance(generator, torch.Generator)
    if settings.keep == "best" and not left_out:
        logging.getLogger(__name__).warning("no video to validate on: the last epoch will be published")
    for epoch in run.epochs(settings.epochs, "reinforce", first=0):
        rows: list[dict[str, float]] = []
        order = torch.randperm(len(examples), generator=generator).tolist() if epoch else []
        for start in range(0, len(order), settings.videos_per_update):
            began = time.perf_counter()
            group = [examples[v] for v in order[start : start + settings.videos_per_update]]
            steps, rewards, returns = _explore(group, assignment, settings, generator, run.hardware)
            advantages = advantages_of(returns, settings)
            row = _update(group, steps, advantages, assignment, settings, generator, run)
            speed = row.pop("decisions") / (time.perf_counter() - began)
            rows.append({"reward/train": float(np.nanmean(rewards)), **row, "decisions_per_second": speed})
        means = {name: float(np.mean([row[name] for row in rows])) for name in (rows[0] if rows else ())}
        score = greedy_reward(left_out, assignment, run.hardware)
        row = means if score is None else {**means, "reward/validation": score}
        run.end_epoch(epoch, row, score if settings.keep == "best" else None)


Steps = dict[tuple[int, int], Step]
"""Decisions by frame and by their number in the frame."""


def _explore(
    group: Sequence[Example],
    assignment: Assignment,
    settings: ReinforceSettings,
    generator: torch.Generator,
    hardware: Hardware,
) -> tuple[Steps, NDArray[np.float64], NDArray[np.float64]]:
    """Roll out a group of videos, each process its share of them.

    Returns
    -------
    steps : by frame and number
        Those of this process.
    rewards : (B, T) float64
        Of the whole group; NaN after a video's end.
    returns : (B, T, N) float64
        As `returns_of`; NaN where there is no decision.
    """
    chance = draw_chance([example.video for example in group], settings.rollouts, generator)
    mine = hardware.share(group)
    steps: Steps = {}
    rewards: list[NDArray[np.float64]] = []
    returns: list[NDArray[np.float64]] = []
    if mine:
        rows = rows_of(hardware.share(range(len(group))), settings.rollouts)
        episodes = roll_out(
            [example.video for example in mine],
            assignment.observer,
            hardware.run(assignment.network),
            assignment.grouping.num_slots,
            num_rollouts=settings.rollouts,
            chance=[frame[:, rows] for frame in chance],
            keep_steps=True,
            device=hardware.device,
        )
        outcomes = matched_rewards(episodes, [example.truth for example in mine])
        for v, (example, outcome) in enumerate(zip(mine, outcomes, strict=True)):
            choices = episodes.video_choices(v)
            rewards.append(outcome[0])
            returns.append(returns_of(example.video, choices, *outcome, settings))
        steps = {(step.frame, step.number): step for step in episodes.steps if bool(step.active.any())}
    return steps, _pad(hardware.gather(rewards)), _pad(hardware.gather(returns))


def _pad(of_videos: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """What belongs to all episodes below each other, filled up with NaN: (B, ...) float64."""
    shape = np.max([of_video.shape for of_video in of_videos], axis=0)[1:]
    filled = []
    for of_video in of_videos:
        missing = [(0, n) for n in shape - of_video.shape[1:]]
        filled.append(np.pad(of_video, [(0, 0), *missing], constant_values=np.nan))
    return np.concatenate(filled)


def returns_of(
    video: GroupingVideo,
    choices: Sequence[NDArray[np.uint8]],
    rewards: NDArray[np.float64],
    tracks: NDArray[np.int64],
    settings: ReinforceSettings,
) -> NDArray[np.float64]:
    """Return of every decision of the episodes of a video.

    Parameters
    ----------
    video : GroupingVideo
    choices : sequence of (R, N_t) uint8
    rewards : (R, T) float64
    tracks : (R, O) int64
        Slot that each object is matched to.
    settings : ReinforceSettings

    Returns
    -------
    (R, T, N) float64
        NaN where a frame has fewer decisions; (R, T, 1) where the decisions of a frame share its return.
    """
    if settings.decision_discount is None:
        return discounted_returns(rewards, settings.discount)[..., None]
    gained = gained_before(video, choices, tracks)
    counts = [len(frame.membership) for frame in video.frames]
    return decision_returns(rewards, gained, counts, settings.discount, settings.decision_discount)


def discounted_returns(rewards: NDArray[np.float64], discount: float) -> NDArray[np.float64]:
    """Return of every frame: G_t = r_t + gamma G_{t+1}.

    Parameters
    ----------
    rewards : (B, T) float64
        NaN after an episode's end.
    discount : float

    Returns
    -------
    (B, T) float64
        NaN where the rewards are.
    """
    returns = np.zeros_like(rewards)
    following = np.zeros(len(rewards))
    for t in reversed(range(rewards.shape[1])):
        returns[:, t] = rewards[:, t] + discount * following
        following = np.nan_to_num(returns[:, t])
    return returns


def decision_returns(
    rewards: NDArray[np.float64],
    gained: NDArray[np.float64],
    counts: Sequence[int],
    discount: float,
    decision_discount: float,
) -> NDArray[np.float64]:
    """Return of every decision, which starts with what the decision itself gains.

    With g_i the J of the frame as it is painted before its decision i of N:
    G_{t,i} = g_{i+1} - g_i + delta G_{t,i+1}, and G_{t,N} = r_t - g_N + gamma G_{t+1,0}. With delta = 1
    these are the frames' returns less what earlier decisions have gained, which no decision can change.

    Parameters
    ----------
    rewards : (R, T) float64
    gained : (R, T, N + 1) float64
        As `gained_before`.
    counts : sequence of int
        Decisions of each of the T frames.
    discount, decision_discount : float
        Gamma, delta.

    Returns
    -------
    (R, T, N) float64
        NaN where a frame has fewer decisions.
    """
    returns = np.full((*rewards.shape, gained.shape[2] - 1), np.nan)
    following = np.zeros(len(rewards))
    for t in reversed(range(rewards.shape[1])):
        following = rewards[:, t] - gained[:, t, -1] + discount * following
        for i in reversed(range(counts[t])):
            following = gained[:, t, i + 1] - gained[:, t, i] + decision_discount * following
            returns[:, t, i] = following
    return returns


def advantages_of(returns: NDArray[np.float64], settings: ReinforceSettings) -> NDArray[np.float64]:
    """How much better each return is than the baseline says, in units of its deviation.

    Parameters
    ----------
    returns : (B, T, N) float64
        `settings.rollouts` consecutive rows belong to one video; NaN where there is no decision.
    settings : ReinforceSettings

    Returns
    -------
    (B, T, N) float64
        0 where there is no decision.
    """
    if settings.baseline == "episode":
        centred = returns - np.nanmean(returns, axis=(1, 2), keepdims=True)
        deviation = np.nanstd(returns, axis=(1, 2), keepdims=True)
    else:
        num = settings.rollouts
        of_video = returns.reshape(-1, num, *returns.shape[1:])
        others = (of_video.sum(1, keepdims=True) - of_video) / (num - 1)
        centred = (of_video - others).reshape(returns.shape)
        deviation = np.nanstd(centred)
    return np.nan_to_num(centred / (deviation + 1e-8))


def _update(
    group: Sequence[Example],
    steps: Steps,
    advantages: NDArray[np.float64],
    assignment: Assignment,
    settings: ReinforceSettings,
    generator: torch.Generator,
    run: Run,
) -> dict[str, float]:
    """Steps up the gradient of the expected return, and what is logged of them.

    Every process goes through the decisions of the whole group in the same order, and adds the gradients of
    those that it has taken itself.
    """
    network, hardware = assignment.network, run.hardware
    counts = _count_decisions([example.video for example in group], settings.rollouts)
    decisions = list(counts)
    rows = rows_of(hardware.share(range(len(group))), settings.rollouts)
    weights = torch.from_numpy(advantages[rows]).float().to(hardware.device)
    weights = weights.expand(-1, -1, 1 + max(i for _, i in counts))
    order = torch.randperm(len(decisions), generator=generator)
    sums, norms, num_taken = np.zeros(3), [], 0
    for part in order.tensor_split(min(settings.steps_per_update, len(decisions))):
        keys = [decisions[j] for j in part.tolist()]
        num_decisions = sum(counts[key] for key in keys)
        mine = [steps[key] for key in keys if key in steps]
        run.optimizer.zero_grad()
        for start in range(0, len(mine), STEPS_PER_MINIBATCH):
            minibatch = mine[start : start + STEPS_PER_MINIBATCH]
            gain, entropy, figures = _surrogate(minibatch, weights, assignment, settings, hardware)
            (-(gain + settings.entropy_weight * entropy) / num_decisions).backward()
            sums += figures
        hardware.add_gradients(network)
        norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)))
        run.require_finite(norms[-1], "the length of the gradient", "lower reinforce.learning_rate")
        run.optimizer.step()
        num_taken += num_decisions
    entropy_sum, kl_sum, clipped_sum = hardware.total(*sums.tolist())
    return {
        "entropy": entropy_sum / num_taken,
        "grad_norm": float(np.mean(norms)),
        "approx_kl": kl_sum / num_taken,
        "clip_fraction": clipped_sum / num_taken,
        "decisions": num_taken,
    }


def _count_decisions(videos: Sequence[GroupingVideo], num_rollouts: int) -> dict[tuple[int, int], int]:
    """How many episodes of a group take the i-th decision of frame t, for all (t, i) that any takes."""
    counts: dict[tuple[int, int], int] = {}
    for t in range(max(len(video) for video in videos)):
        sizes = [len(video.frames[t].membership) for video in videos if t < len(video)]
        counts |= {(t, i): num_rollouts * sum(size > i for size in sizes) for i in range(max(sizes))}
    return counts


def _surrogate(
    steps: Sequence[Step],
    weights: Tensor,
    assignment: Assignment,
    settings: ReinforceSettings,
    hardware: Hardware,
) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
    """Sums over decisions: advantage times probability ratio; entropy; and what is logged.

    At the first step on a batch every ratio is 1, and the gradient is REINFORCE's:
    advantage times the gradient of the log-probability. Later steps are held back by the clip.
    """
    log_prob, entropy, before, kept = _recompute(steps, assignment, hardware)
    advantage = weights[kept[:, 0], kept[:, 1], kept[:, 2]]
    log_ratio = log_prob - before
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    gain = torch.minimum(ratio * advantage, clipped * advantage).sum()
    with torch.no_grad():
        approx_kl = (ratio - 1 - log_ratio).sum()  # http://joschu.net/blog/kl-approx.html, k3
        num_clipped = ((ratio - 1).abs() > settings.clip).sum()
        figures = torch.stack([entropy.sum(), approx_kl, num_clipped.float()]).double().cpu().numpy()
    return gain, entropy.sum(), figures


def _recompute(
    steps: Sequence[Step], assignment: Assignment, hardware: Hardware
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probability and entropy of decisions taken, now with gradients; what it was; whose it was."""
    observer = assignment.observer
    observation, choice, num_used, kept, num_live = join_steps(steps, observer)
    logits = hardware.run(assignment.network)(*observation, num_live)
    log_probs = slot_log_probs(logits, num_used, assignment.grouping.num_slots, observer.none_action)
    finite = log_probs.clamp_min(-1e4)
    entropy = -(finite.exp() * finite).sum(1)
    before = torch.cat([step.log_prob[step.active] for step in steps])
    return log_probs.gather(1, choice[:, None])[:, 0], entropy, before, kept
