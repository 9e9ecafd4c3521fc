"""What a policy sees when it decides on a proposal: one row per slot it may join."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from alba.grouping.state import FrameBatch, GroupingState

Observation = tuple[Tensor, ...]
"""What a network is called with, in the order of its parameters."""

NUM_RELATIONS = 21
"""Scalars that relate a proposal and a slot, before the features of both."""


class Observer(Protocol):
    """Builds observations, and joins those of many decisions into one batch."""

    none_action: bool

    def observe(self, frame: FrameBatch, state: GroupingState, i: int, num_live: int) -> Observation:
        """Observation of proposal `i` against slots 1..num_live and, if there is one, "none"."""

    def take(self, observation: Observation, decisions: Tensor) -> Observation:
        """The observation of some decisions, given by their indices, alone."""

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """The decisions of several observations as one batch of `num_live` slots."""

    def mirror(self, observation: Observation) -> Observation:
        """The same observations of a mirrored video."""


class RelationObserver:
    """Late fusion: overlaps, areas, ages and appearance of proposal and slot as one vector.

    Parameters
    ----------
    none_action : bool
        Whether a last row stands for joining nothing.
    """

    def __init__(self, none_action: bool) -> None:
        self.none_action = none_action

    def observe(self, frame: FrameBatch, state: GroupingState, i: int, num_live: int) -> Observation:
        """What relates the proposal to each slot, and the proposal's own features.

        Returns
        -------
        rows : (B, num_live [+ 1], 21 + D) float32
            Scalars, then absolute differences of features.
        own : (B, D) float32
        """
        own = frame.features[:, i]
        used = torch.arange(num_live, device=own.device) < state.num_used[:, None]
        difference = (own[:, None] - state.slot_features[:, :num_live]).abs() * used[..., None]
        rows = torch.cat([_relations(frame, state, i)[:, :num_live], difference], dim=2)
        if self.none_action:
            none = rows[:, :1].clone()
            none[..., :_SLOT_SCALARS] = 0
            none[..., _IS_NONE] = 1
            none[..., NUM_RELATIONS:] = 0
            rows = torch.cat([rows, none], dim=1)
        return rows, own

    def take(self, observation: Observation, decisions: Tensor) -> Observation:
        """The observation of some decisions, given by their indices, alone."""
        rows, own = observation
        return rows[decisions], own[decisions]

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """Pad the slots of every decision to `num_live`; the row for "none" stays the last."""
        rows = [self._widen(rows, num_live) for rows, _ in observations]
        return torch.cat(rows), torch.cat([own for _, own in observations])

    def _widen(self, rows: Tensor, num_live: int) -> Tensor:
        """Rows for slots that are not in use yet, before that for "none"."""
        num_here = rows.shape[1] - self.none_action
        if num_here == num_live:
            return rows
        slots, none = rows[:, :num_here], rows[:, num_here:]
        return torch.cat([functional.pad(slots, (0, 0, 0, num_live - num_here)), none], dim=1)

    def mirror(self, observation: Observation) -> Observation:
        """Relations do not tell left from right."""
        return observation


_IS_NONE = 0
_SLOT_SCALARS = 16
"""The scalars up to here speak of a slot, the others of the proposal alone."""


def _relations(frame: FrameBatch, state: GroupingState, i: int) -> Tensor:
    """Scalars that relate proposal `i` to every slot: (B, K, 21) float32, roughly in -1..1."""
    area = frame.areas[:, i, None].clamp_min(1)
    before, before_area = state.previous_overlap[:, i], state.previous_area
    painted_counts = state.painted_overlap(i)
    painted, painted_area = painted_counts[:, 1:], state.painted_area
    frame_area = frame.sizes.sum(1, keepdim=True).clamp_min(1)
    iou_before = before / (area + before_area - before).clamp_min(1)
    rivals = iou_before.topk(2, dim=1).values if state.num_slots > 1 else iou_before.repeat(1, 2)
    best_rival = torch.where(iou_before == rivals[:, :1], rivals[:, 1:], rivals[:, :1])
    ones = torch.ones_like(before)
    slots = torch.arange(state.num_slots, device=before.device)
    used = (slots < state.num_used[:, None]).float()
    columns = [
        torch.zeros_like(before),  # _IS_NONE
        1 - used,
        (before_area > 0).float(),
        (painted_area > 0).float(),
        before / area,
        before / before_area.clamp_min(1),
        iou_before,
        best_rival,
        painted / area,
        painted / painted_area.clamp_min(1),
        log_ratio(area, before_area),
        log_ratio(area, painted_area),
        (before_area / frame_area).sqrt(),
        (painted_area / before_area.clamp_min(1)).clamp_max(2) / 2,
        used * state.age.log1p() / 3,
        (state.num_seen.sqrt() / 8).clamp_max(1),
        ones * painted_counts[:, :1] / area,
        ones * before.sum(1, keepdim=True) / area,
        ones * (i / 10),
        ones * state.num_used[:, None] / state.num_slots,
        ones * (area / frame_area).sqrt(),
    ]
    return torch.stack(columns, dim=2)


def log_ratio(area: Tensor, other: Tensor) -> Tensor:
    """How much larger an area is than another, in powers of 16; 0 where there is no other."""
    ratio = (area / other.clamp_min(1)).log() / math.log(16)
    return torch.where(other > 0, ratio.clamp(-1.5, 1.5), 0.0)


class PictureObserver:
    """Early fusion: label maps from which the network draws p_i, M_{t-1}^k and M_{<i,t}^k.

    What episodes have in common is there once: a frame's pictures, and a proposal's mask.
    """

    none_action = False

    def observe(self, frame: FrameBatch, state: GroupingState, i: int, num_live: int) -> Observation:
        """Slots, proposal and pictures.

        Returns
        -------
        slot_maps : (B, 2, S, S) uint8
            Slots of M_{t-1}, slots of M_{<i,t}.
        features : (B, D) float32
        proposal_of : (B,) int64
            Row of `proposals` that each decision is about.
        proposals : (V, S, S) bool
        frame_of : (V,) int64
            Row of `pictures` that each proposal belongs to.
        pictures : (V, 5, S, S) float16
        """
        assert frame.cell_maps is not None
        assert frame.pictures is not None
        previous_maps = state.previous_maps
        if previous_maps is None:
            previous_maps = torch.zeros_like(frame.cell_maps)
        previous, painted = state.previous_cells.to(torch.uint8), state.cells.to(torch.uint8)
        slot_maps = [_look_up(previous, previous_maps), _look_up(painted, frame.cell_maps)]
        one_each = slice(None, None, frame.num_rollouts)
        proposals = _look_up(frame.membership[one_each, i], frame.cell_maps[one_each])
        videos = torch.arange(len(proposals), device=proposals.device)
        proposal_of = videos.repeat_interleave(frame.num_rollouts)
        return (
            torch.stack(slot_maps, dim=1),
            frame.features[:, i],
            proposal_of,
            proposals,
            videos,
            frame.pictures,
        )

    def take(self, observation: Observation, decisions: Tensor) -> Observation:
        """The observation of some decisions, given by their indices, with the pictures of all."""
        slot_maps, features, proposal_of, *pictures = observation
        return (slot_maps[decisions], features[decisions], proposal_of[decisions], *pictures)

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """Concatenate; the pictures that several decisions share are taken once."""
        banks = {id(observation[-1]): observation[-1] for observation in observations}
        starts = dict(zip(banks, accumulate(map(len, banks.values()), initial=0), strict=False))
        proposal_of, frame_of, num_proposals = [], [], 0
        for _, _, proposal, proposals, frame, pictures in observations:
            proposal_of.append(proposal + num_proposals)
            frame_of.append(frame + starts[id(pictures)])
            num_proposals += len(proposals)
        return (
            torch.cat([observation[0] for observation in observations]),
            torch.cat([observation[1] for observation in observations]),
            torch.cat(proposal_of),
            torch.cat([observation[3] for observation in observations]),
            torch.cat(frame_of),
            # The same object where there is one, so that later joins still know it.
            torch.cat(list(banks.values())) if len(banks) > 1 else observations[0][-1],
        )

    def mirror(self, observation: Observation) -> Observation:
        """Mirror the pictures; u then points the other way."""
        slot_maps, features, proposal_of, proposals, frame_of, pictures = observation
        mirrored = pictures.flip(-1)
        mirrored[:, 3] *= -1
        return slot_maps.flip(-1), features, proposal_of, proposals.flip(-1), frame_of, mirrored


def _look_up(values: Tensor, maps: Tensor) -> Tensor:
    return values.gather(1, maps.flatten(1)).view_as(maps)
