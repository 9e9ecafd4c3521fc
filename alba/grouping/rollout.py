"""Episodes: whole videos grouped decision by decision, many side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alba.grouping.observation import Observation, Observer
from alba.grouping.state import GroupingState, collate_frames
from alba.grouping.video import GroupingVideo

Network = Callable[..., Tensor]
"""Logits (B, num_live [+ 1]) of an observation, called ``network(*observation, num_live)``."""


@dataclass(frozen=True)
class Step:
    """One decision of each of B episodes.

    Parameters
    ----------
    observation : tuple of Tensor
    choice : (B,) int64
        Index into the logits.
    log_prob : (B,) float32
        Of the choice, under the policy that took it; 0 where a teacher decided.
    num_used : (B,) int64
        Slots in use when the decision was taken.
    active : (B,) bool
        Episodes that had a proposal to decide on, and a target where a teacher decides.
    frame : int
    number : int
        Of the proposal in its frame.
    num_live : int
        Slots that the observation speaks of.
    """

    observation: Observation
    choice: Tensor
    log_prob: Tensor
    num_used: Tensor
    active: Tensor
    frame: int
    number: int
    num_live: int


@dataclass
class Episodes:
    """Rollouts of V videos, `num_rollouts` of each: episode b is of video b // num_rollouts.

    Parameters
    ----------
    videos : sequence of GroupingVideo
    num_rollouts : int
    cell_slots : list of (B, A_t) uint8
        Slot of every cell of every frame.
    choices : list of (B, N_t) uint8
        Slot of every proposal of every frame; 0 for none.
    steps : list of Step
        Only where they were asked for.
    """

    videos: Sequence[GroupingVideo]
    num_rollouts: int
    cell_slots: list[NDArray[np.uint8]] = field(default_factory=list)
    choices: list[NDArray[np.uint8]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def label_maps(self, episode: int) -> NDArray[np.uint8]:
        """Segmentation of one episode at working resolution: (T, h, w) uint8."""
        video = self.videos[episode // self.num_rollouts]
        slots = [self.cell_slots[t][episode] for t in range(len(video))]
        return np.stack([s[frame.cell_map] for s, frame in zip(slots, video.frames, strict=True)])

    def video_label_maps(self, v: int) -> NDArray[np.uint8]:
        """Segmentations of all episodes of a video: (num_rollouts, T, h, w) uint8."""
        return np.stack([self.label_maps(episode) for episode in self._episodes_of(v)])

    def video_choices(self, v: int) -> list[NDArray[np.uint8]]:
        """Slot of every proposal in all episodes of a video: T arrays (num_rollouts, N_t) uint8."""
        rows = self._episodes_of(v)
        frames = self.videos[v].frames
        return [self.choices[t][rows, : len(frame.membership)] for t, frame in enumerate(frames)]

    def _episodes_of(self, v: int) -> range:
        return range(v * self.num_rollouts, (v + 1) * self.num_rollouts)

    def frame_choices(self, episode: int) -> list[NDArray[np.uint8]]:
        """Slot of every proposal, frame by frame: T arrays (N_t,) uint8."""
        video = self.videos[episode // self.num_rollouts]
        return [self.choices[t][episode, : len(frame.membership)] for t, frame in enumerate(video.frames)]


def slot_log_probs(logits: Tensor, num_used: Tensor, num_slots: int, none_action: bool) -> Tensor:
    """Log-probabilities of joining each live slot (equation 1's factor).

    The logits of all slots that are still empty are equal, so the first of them carries the
    probability of all: its logit is raised by the logarithm of their number. Until a first slot is in use
    "none" cannot be chosen: a grouping begins with the most promising proposal there is. Most of the
    oracle's decisions are for "none", and a network that gives it a little too much would never begin.

    Parameters
    ----------
    logits : (B, L) or (B, L + 1) float
        Slots 1..L, L > num_used, and "none" last where there is such an action.
    num_used : (B,) int64
    num_slots : int
        K.
    none_action : bool

    Returns
    -------
    same shape as logits
        -inf for what cannot be chosen.
    """
    num_live = logits.shape[1] - int(none_action)
    slots = torch.arange(num_live, device=logits.device)
    num_empty = (num_slots - num_used).clamp_min(1)[:, None]
    raised = torch.where(slots == num_used[:, None], num_empty.to(logits.dtype).log(), 0.0)
    masked = (logits[:, :num_live] + raised).masked_fill(slots > num_used[:, None], -torch.inf)
    none = logits[:, num_live:].masked_fill(num_used[:, None] == 0, -torch.inf)
    return torch.cat([masked, none], dim=1).log_softmax(dim=1)


@torch.no_grad()
def roll_out(
    videos: Sequence[GroupingVideo],
    observer: Observer,
    network: Network | None,
    num_slots: int,
    *,
    num_rollouts: int = 1,
    chance: Sequence[Tensor] | None = None,
    teacher: Sequence[Sequence[NDArray[np.integer]]] | None = None,
    keep_steps: bool = False,
    device: torch.device | None = None,
) -> Episodes:
    """Group whole videos.

    Parameters
    ----------
    videos : sequence of GroupingVideo
    observer : Observer
    network : callable, optional
        Not needed where a teacher decides.
    num_slots : int
        K.
    num_rollouts : int
        Episodes per video.
    chance : per frame (N_t or more, B) float32, optional
        Of `draw_chance`, by which decisions are drawn; without it, the most probable slot is taken.
    teacher : per video and frame (N_t,) integer, optional
        Slots to take instead, 1..K; 0 for none. Where there is no "none" action, such a decision
        paints nothing and is no step.
    keep_steps : bool
    device : torch.device, optional
        CPU unless told.
    """
    device = device or torch.device("cpu")
    episodes = Episodes(videos, num_rollouts)
    num_features = videos[0].features[0].shape[1]
    state = GroupingState(len(videos) * num_rollouts, num_slots, num_features, device)
    for t, batch in enumerate(collate_frames(videos, device)):
        frame = batch.repeat(num_rollouts)
        state.begin_frame(frame)
        taken = np.zeros(frame.active.shape, np.uint8)
        for i in range(frame.active.shape[1]):
            num_live = min(num_slots, int(state.num_used.max()) + 1)
            active = frame.active[:, i]
            needs_observation = keep_steps or teacher is None
            observation = observer.observe(frame, state, i, num_live) if needs_observation else ()
            if teacher is not None:
                slots = _taught(teacher, t, i, device)
                choice = torch.where(slots > 0, slots - 1, num_live)
                log_prob = torch.zeros(len(choice), device=device)
                active = active & ((slots > 0) | observer.none_action)
            else:
                assert network is not None
                log_probs = slot_log_probs(
                    network(*observation, num_live), state.num_used, num_slots, observer.none_action
                )
                choice = _choose(log_probs, None if chance is None else chance[t][i].to(device))
                log_prob = log_probs.gather(1, choice[:, None])[:, 0]
                slots = torch.where(choice < num_live, choice + 1, 0)
            if keep_steps:
                episodes.steps.append(
                    Step(observation, choice, log_prob, state.num_used, active, t, i, num_live)
                )
            slots = torch.where(frame.active[:, i], slots, 0)
            state.assign(i, slots)
            taken[:, i] = slots.cpu().numpy()
        episodes.choices.append(taken)
        episodes.cell_slots.append(state.cells.to(torch.uint8).cpu().numpy())
    return episodes


def draw_chance(
    videos: Sequence[GroupingVideo], num_rollouts: int, generator: torch.Generator
) -> list[Tensor]:
    """Random numbers for all decisions of episodes; a decision's do not depend on where it is taken.

    Returns
    -------
    per frame (N_t, B) float32 in [0, 1)
        N_t is the largest number of proposals of any of the videos.
    """
    shape = len(videos) * num_rollouts, 1
    chance = []
    for t in range(max(len(video) for video in videos)):
        frames = [video.frames[t] for video in videos if t < len(video)]
        num_proposals = max(1, *(len(frame.membership) for frame in frames))
        draws = [torch.rand(shape, generator=generator)[:, 0] for _ in range(num_proposals)]
        chance.append(torch.stack(draws))
    return chance


def _choose(log_probs: Tensor, uniform: Tensor | None) -> Tensor:
    if uniform is None:
        return log_probs.argmax(dim=1)
    cumulative = log_probs.exp().cumsum(dim=1)
    chosen = (cumulative < uniform[:, None] * cumulative[:, -1:]).sum(dim=1)
    return chosen.clamp_max(log_probs.shape[1] - 1)


def _taught(teacher: Sequence[Sequence[NDArray[np.integer]]], t: int, i: int, device: torch.device) -> Tensor:
    slots = [int(video[t][i]) if t < len(video) and i < len(video[t]) else 0 for video in teacher]
    return torch.tensor(slots, device=device)


def join_steps(steps: Sequence[Step], observer: Observer) -> tuple[Observation, Tensor, Tensor, Tensor, int]:
    """Decisions of several steps as one batch, inactive ones left out.

    Returns
    -------
    observation : tuple of Tensor
    choice : (M,) int64
    num_used : (M,) int64
    kept : (M, 3) int64
        Episode of each decision, frame, and number in the frame.
    num_live : int
    """
    num_live = max(step.num_live for step in steps)
    active = [step.active.nonzero()[:, 0] for step in steps]
    taken = [observer.take(step.observation, here) for step, here in zip(steps, active, strict=True)]
    observation = observer.join(taken, num_live)
    choices, used, kept = [], [], []
    for step, here in zip(steps, active, strict=True):
        choice = step.choice[here]
        is_none = choice == step.num_live
        choices.append(torch.where(is_none, num_live, choice) if observer.none_action else choice)
        used.append(step.num_used[here])
        place = here.new_tensor([step.frame, step.number]).expand(len(here), 2)
        kept.append(torch.cat([here[:, None], place], dim=1))
    return observation, torch.cat(choices), torch.cat(used), torch.cat(kept), num_live
