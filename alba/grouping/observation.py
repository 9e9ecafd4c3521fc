"""What a policy sees when it decides on a proposal: one row per slot it may join."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from alba.grouping.state import FrameBatch, GroupingState

Observation = tuple[Tensor, ...]
"""Tensors with one leading axis, decisions."""

NUM_RELATIONS = 21
"""Scalars that relate a proposal and a slot, before the features of both."""


class Observer(Protocol):
    """Builds observations, and joins those of many decisions into one batch."""

    none_action: bool

    def observe(self, frame: FrameBatch, state: GroupingState, i: int, num_live: int) -> Observation:
        """Observation of proposal `i` against slots 1..num_live and, if there is one, "none"."""

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """Concatenate along decisions, every one padded to `num_live` slots."""

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
        """One vector per slot: (B, num_live [+ 1], 21 + 2 D) float32."""
        scalars = _relations(frame, state, i)[:, :num_live]
        own = frame.features[:, i, None].expand(-1, num_live, -1)
        used = torch.arange(num_live, device=own.device) < state.num_used[:, None]
        difference = (own - state.slot_features()[:, :num_live]).abs() * used[..., None]
        rows = torch.cat([scalars, own, difference], dim=2)
        if self.none_action:
            none = rows[:, :1].clone()
            none[..., :_SLOT_SCALARS] = 0
            none[..., _IS_NONE] = 1
            none[..., NUM_RELATIONS + own.shape[2] :] = 0
            rows = torch.cat([rows, none], dim=1)
        return (rows,)

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """Pad the slots of every decision to `num_live`; the row for "none" stays the last."""
        extra = int(self.none_action)
        padded = []
        for (rows,) in observations:
            missing = num_live + extra - rows.shape[1]
            slots, none = rows[:, : rows.shape[1] - extra], rows[:, rows.shape[1] - extra :]
            padded.append(torch.cat([functional.pad(slots, (0, 0, 0, missing)), none], dim=1))
        return (torch.cat(padded),)

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
    """Early fusion: label maps from which the network draws p_i, M_{t-1}^k and M_{<i,t}^k."""

    none_action = False

    def observe(self, frame: FrameBatch, state: GroupingState, i: int, num_live: int) -> Observation:
        """Label maps, pictures and features of proposal `i`.

        Returns
        -------
        label_maps : (B, 3, S, S) uint8
            Slots of M_{t-1}, slots of M_{<i,t}, the proposal.
        pictures : (B, 5, S, S) float16
        features : (B, D) float32
        """
        assert frame.cell_maps is not None
        assert frame.pictures is not None
        previous_maps = state.previous_maps
        if previous_maps is None:
            previous_maps = torch.zeros_like(frame.cell_maps)
        maps = [
            _look_up(state.previous_cells, previous_maps),
            _look_up(state.cells, frame.cell_maps),
            _look_up(frame.membership[:, i].long(), frame.cell_maps),
        ]
        return torch.stack(maps, dim=1).to(torch.uint8), frame.pictures, frame.features[:, i]

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """Concatenate along decisions."""
        return tuple(torch.cat(parts) for parts in zip(*observations, strict=True))

    def mirror(self, observation: Observation) -> Observation:
        """Mirror the pictures; u then points the other way."""
        label_maps, pictures, features = observation
        mirrored = pictures.flip(-1)
        mirrored[:, 3] *= -1
        return label_maps.flip(-1), mirrored, features


def _look_up(values: Tensor, maps: Tensor) -> Tensor:
    return values.gather(1, maps.flatten(1)).view_as(maps)
