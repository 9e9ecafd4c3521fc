"""Policy gradient on the J&F of whole videos (section 3.2, "Training with Reinforcement Learning")."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alba.config import REVISIONS, ReinforceSettings
from alba.errors import TrainingError
from alba.grouping import Episodes, GroupingVideo, Step, join_steps, roll_out, slot_log_probs
from alba.metrics.reward import TruthBoundaries
from alba.progress import progress
from alba.training.assignment import load_training_videos
from alba.training.checkpoint import (
    Assignment,
    describe_assignment,
    load_assignment,
    load_selection,
    save_checkpoint,
)
from alba.training.corpus import Corpus
from alba.training.left_out import report_left_out

STEPS_PER_MINIBATCH = 256
"""Decisions of all episodes whose gradients are in memory at once, in steps."""


def reinforce(
    corpus: Corpus, selection_folder: Path, assignment_folder: Path, settings: ReinforceSettings, output: Path
) -> None:
    """Go on training an assignment network with REINFORCE and publish the checkpoint.

    Raises
    ------
    TrainingError
        No training video has an object in its first frame, or the gradient is not finite.
    """
    selection = load_selection(selection_folder)
    assignment = load_assignment(assignment_folder)
    videos = load_training_videos(corpus, selection, selection_folder, assignment)
    truths = [TruthBoundaries(torch.from_numpy(_truth(video))) for video in videos]
    usable = [v for v, truth in enumerate(truths) if truth.num_objects and videos[v].num_decisions]
    if not usable:
        raise TrainingError("no training video has an object in frame 0", "use another training split")
    log = _train([videos[v] for v in usable], [truths[v] for v in usable], assignment, settings)
    provenance = {
        "revision": REVISIONS["reinforce"],
        "labels": corpus.digest(),
        "reinforce": settings.model_dump(mode="json"),
    }
    save_checkpoint(output, assignment.network, describe_assignment(assignment, provenance), log)
    report_left_out(videos, assignment.grouping.num_slots)


def _truth(video: GroupingVideo) -> NDArray[np.uint8]:
    assert video.truth is not None
    return video.truth


def _train(
    videos: Sequence[GroupingVideo],
    truths: Sequence[TruthBoundaries],
    assignment: Assignment,
    settings: ReinforceSettings,
) -> list[dict[str, float]]:
    """REINFORCE: roll out, score, weigh every decision by the advantage of what came after it."""
    network, observer, num_slots = assignment.network, assignment.observer, assignment.grouping.num_slots
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    log = []
    for epoch in progress(range(settings.epochs), "reinforce", unit="epoch"):
        order = torch.randperm(len(videos), generator=generator).tolist()
        epoch_rewards, entropies, norms = [], [], []
        for start in range(0, len(order), settings.videos_per_update):
            group = order[start : start + settings.videos_per_update]
            episodes = roll_out(
                [videos[v] for v in group],
                observer,
                network,
                num_slots,
                num_rollouts=settings.rollouts,
                generator=generator,
                keep_steps=True,
            )
            rewards = episode_rewards(episodes, [truths[v] for v in group])
            returns = discounted_returns(rewards, settings.discount)
            advantages = advantages_of(returns, settings)
            entropy, norm = _update(network, optimizer, episodes, advantages, assignment, settings, generator)
            epoch_rewards.append(np.nanmean(rewards))
            entropies.append(entropy)
            norms.append(norm)
        log.append(
            {
                "epoch": epoch + 1,
                "reward": float(np.mean(epoch_rewards)),
                "entropy": float(np.mean(entropies)),
                "grad_norm": float(np.mean(norms)),
            }
        )
    return log


def episode_rewards(episodes: Episodes, truths: Sequence[TruthBoundaries]) -> NDArray[np.float64]:
    """Reward r_t of every frame: J&F mean, tracks matched over the whole video as in the evaluation.

    Returns
    -------
    (B, T) float64
        NaN after a video's end.
    """
    num_episodes = len(episodes.videos) * episodes.num_rollouts
    rewards = np.full((num_episodes, max(len(video) for video in episodes.videos)), np.nan)
    for v, (video, truth) in enumerate(zip(episodes.videos, truths, strict=True)):
        rows = range(v * episodes.num_rollouts, (v + 1) * episodes.num_rollouts)
        label_maps = np.stack([episodes.label_maps(row) for row in rows])
        rewards[rows, : len(video)] = truth.rewards(torch.from_numpy(label_maps))
    return rewards


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


def advantages_of(returns: NDArray[np.float64], settings: ReinforceSettings) -> NDArray[np.float64]:
    """How much better each return is than the baseline says, in units of its deviation.

    Parameters
    ----------
    returns : (B, T) float64
        `settings.rollouts` consecutive rows belong to one video; NaN after its end.
    settings : ReinforceSettings

    Returns
    -------
    (B, T) float64
        0 after an episode's end.
    """
    if settings.baseline == "episode":
        centred = returns - np.nanmean(returns, axis=1, keepdims=True)
        deviation = np.nanstd(returns, axis=1, keepdims=True)
    else:
        num = settings.rollouts
        of_video = returns.reshape(-1, num, returns.shape[1])
        others = (of_video.sum(1, keepdims=True) - of_video) / (num - 1)
        centred = (of_video - others).reshape(returns.shape)
        deviation = np.nanstd(centred)
    return np.nan_to_num(centred / (deviation + 1e-8))


def _update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    episodes: Episodes,
    advantages: NDArray[np.float64],
    assignment: Assignment,
    settings: ReinforceSettings,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Steps up the gradient of the expected return; returns mean entropy and gradient norm."""
    steps = [step for step in episodes.steps if bool(step.active.any())]
    weights = torch.from_numpy(advantages).float()
    order = torch.randperm(len(steps), generator=generator)
    entropies, norms = [], []
    for part in order.tensor_split(min(settings.steps_per_update, len(steps))):
        batch = [steps[j] for j in part.tolist()]
        num_decisions = sum(int(step.active.sum()) for step in batch)
        optimizer.zero_grad()
        for start in range(0, len(batch), STEPS_PER_MINIBATCH):
            gain, entropy = _surrogate(
                network, batch[start : start + STEPS_PER_MINIBATCH], weights, assignment, settings
            )
            (-(gain + settings.entropy_weight * entropy) / num_decisions).backward()
            entropies.append(entropy.item() / num_decisions)
        norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)))
        if not np.isfinite(norms[-1]):
            raise TrainingError("the gradient is not finite", "lower reinforce.learning_rate")
        optimizer.step()
    return float(np.sum(entropies) / len(norms)), float(np.mean(norms))


def _surrogate(
    network: nn.Module,
    steps: Sequence[Step],
    weights: Tensor,
    assignment: Assignment,
    settings: ReinforceSettings,
) -> tuple[Tensor, Tensor]:
    """Sum over decisions of advantage times probability ratio, and of entropy.

    At the first step on a batch every ratio is 1, and the gradient is REINFORCE's:
    advantage times the gradient of the log-probability. Later steps are held back by the clip.
    """
    log_prob, entropy, before, kept = _recompute(network, steps, assignment)
    advantage = weights[kept[:, 1], kept[:, 0]]
    ratio = (log_prob - before).exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    return torch.minimum(ratio * advantage, clipped * advantage).sum(), entropy.sum()


def _recompute(
    network: nn.Module, steps: Sequence[Step], assignment: Assignment
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probability and entropy of decisions taken, now with gradients; what it was; whose it was."""
    observer = assignment.observer
    observation, choice, num_used, kept, num_live = join_steps(steps, observer)
    logits = network(*observation, num_live)
    log_probs = slot_log_probs(logits, num_used, assignment.grouping.num_slots, observer.none_action)
    finite = log_probs.clamp_min(-1e4)
    entropy = -(finite.exp() * finite).sum(1)
    before = torch.cat([step.log_prob[step.active] for step in steps])
    return log_probs.gather(1, choice[:, None])[:, 0], entropy, before, kept
