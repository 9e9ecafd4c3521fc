"""What the pairwise network compares: a proposal with the lead of each slot, now and before."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from alba.grouping.observation import Observation, log_ratio
from alba.grouping.state import FrameBatch, GroupingState, Leads

NUM_PAIR_SCALARS = 9
"""Scalars that relate two proposals, before the features of both."""


class PairObserver:
    """Two pairs for every slot: the proposal with the slot's lead in this frame, and with its last before.

    A lead is the proposal that a slot is joined by first in a frame. Nothing else is known of a slot.

    Parameters
    ----------
    none_action : bool
        Whether a proposal may be joined to nothing.
    """

    def __init__(self, none_action: bool) -> None:
        self.none_action = none_action

    def observe(self, frame: FrameBatch, state: GroupingState, i: int, num_live: int) -> Observation:
        """One vector per pair: (B, num_live, 2, 1 + 9 + 2 D) float32, 0 first where there is no lead."""
        now, before = state.leads_of_frame(), state.leads
        pixels = frame.membership[:, i] * frame.sizes
        shared_now = _pixels_in(now, pixels)
        moved = _pixels_in(before, frame.arriving)
        shared_before = _pixels_in(before, frame.from_previous[:, i])
        pairs = [
            _relate(frame, i, now, now.area, shared_now, same_frame=True),
            _relate(frame, i, before, moved, shared_before, same_frame=False),
        ]
        return (torch.stack(pairs, dim=2)[:, :num_live],)

    def take(self, observation: Observation, decisions: Tensor) -> Observation:
        """The observation of some decisions, given by their indices, alone."""
        return (observation[0][decisions],)

    def join(self, observations: Sequence[Observation], num_live: int) -> Observation:
        """Pad the slots of every decision to `num_live`."""
        padded = [functional.pad(rows, (0, 0, 0, 0, 0, num_live - rows.shape[1])) for (rows,) in observations]
        return (torch.cat(padded),)

    def mirror(self, observation: Observation) -> Observation:
        """Pairs do not tell left from right."""
        return observation


def _pixels_in(leads: Leads, pixels: Tensor) -> Tensor:
    """Sum of pixels (B, A) over each lead's cells: (B, K) float32."""
    return (leads.membership.float() @ pixels[..., None])[..., 0]


def _relate(
    frame: FrameBatch, i: int, leads: Leads, lead_area: Tensor, shared: Tensor, *, same_frame: bool
) -> Tensor:
    """Vectors that relate proposal `i` and each lead: (B, K, 1 + 9 + 2 D) float32.

    Parameters
    ----------
    frame : FrameBatch
    i : int
    leads : Leads
    lead_area, shared : (B, K) float32
        Pixels of this frame in the lead, moved along the flow, and those of them that the proposal shares.
    same_frame : bool
    """
    own, area = frame.features[:, i, None], frame.areas[:, i, None].clamp_min(1)
    frame_area = frame.sizes.sum(1, keepdim=True).clamp_min(1)
    columns = [
        torch.ones_like(shared),
        torch.full_like(shared, float(same_frame)),
        (lead_area > 0).float(),
        shared / area,
        shared / lead_area.clamp_min(1),
        shared / (area + lead_area - shared).clamp_min(1),
        log_ratio(area, leads.area),
        (area / frame_area).sqrt().expand_as(shared),
        leads.age.log1p() / 3,
        torch.full_like(shared, i / 10),
    ]
    both = [own.expand_as(leads.features), (own - leads.features).abs()]
    return torch.cat([torch.stack(columns, dim=2), *both], dim=2) * leads.found[..., None]
