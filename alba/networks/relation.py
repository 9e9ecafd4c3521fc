"""The relational assignment network: does a proposal belong to a slot? (section 3.1, figure 3)

Both forms give what a direct evaluation of every proposal/slot pair gives, and evaluate less
(docs/architecture.md, "Exact savings").
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from alba.config import AssignmentSettings
from alba.networks.changes import FrameEncodings
from alba.networks.layers import Encoder, Standardize, mlp

CHANGES_FROM = 128
"""Pictures of this side and more are encoded only where masks change them, which pays on the CPU."""

Known = TypeVar("Known")


class LateRelation(nn.Module):
    """One MLP over the vector that relates a proposal and a slot; the same for every slot.

    Its inputs are scalars that relate the two, the proposal's own features, and their differences to the
    slot's, in this order. The own features' part of the first layer is computed once per proposal.

    Parameters
    ----------
    settings : AssignmentSettings
    num_scalars : int
    num_features : int
        D.
    """

    _own: Tensor

    def __init__(self, settings: AssignmentSettings, num_scalars: int, num_features: int) -> None:
        super().__init__()
        num_inputs = num_scalars + 2 * num_features
        self.standardize = Standardize(num_inputs)
        self.head = mlp(num_inputs, settings.hidden)
        own = torch.zeros(num_inputs, dtype=torch.bool)
        own[num_scalars : num_scalars + num_features] = True
        self.register_buffer("_own", own, persistent=False)

    def inputs(self, rows: Tensor, own: Tensor) -> Tensor:
        """What `standardize` is fitted on: (P, num_inputs) float."""
        seen = rows.new_empty(*rows.shape[:2], len(self._own))
        seen[..., self._own] = own[:, None]
        seen[..., ~self._own] = rows
        return seen.flatten(0, 1)

    def forward(self, rows: Tensor, own: Tensor, num_live: int) -> Tensor:
        """Logits of joining slots, and of joining nothing where there is a row for it.

        Parameters
        ----------
        rows : (M, L, num_scalars + D) float
            Scalars and differences.
        own : (M, D) float
        num_live : int

        Returns
        -------
        (M, L) float
        """
        first = cast(nn.Linear, self.head[0])
        own_weight, pair_weight = first.weight[:, self._own], first.weight[:, ~self._own]
        of_proposal = functional.linear(self.standardize(own, self._own), own_weight, first.bias)
        of_pair = functional.linear(self.standardize(rows, ~self._own), pair_weight)
        logits: Tensor = self.head[1:](of_pair + of_proposal[:, None])
        return logits[..., 0]


class EarlyRelation(nn.Module):
    """Siamese encoder over (I, u, v, p_i, M_{t-1}^k, M_{<i,t}^k), joined by f_i, for every slot k.

    The first convolution is linear in its channels: the picture's part is computed once per frame, the
    proposal's once per proposal, and only the slot's once per pair. Pairs of the same proposal with slots of
    the same two masks are encoded once; above all, that is one for all slots without a pixel. In a
    rollout on the CPU only pixels that the masks change are computed, if pictures are large.

    Parameters
    ----------
    settings : AssignmentSettings
    num_features : int
        D, length of f.
    """

    def __init__(self, settings: AssignmentSettings, num_features: int) -> None:
        super().__init__()
        self.rgb = settings.encoder.rgb
        self.encoder = Encoder((5 if self.rgb else 2) + 3, settings.encoder.widths)
        self.standardize = Standardize(num_features)
        self.head = mlp(self.encoder.num_features + num_features, settings.hidden)
        self._known: tuple[Tensor, tuple[int, ...], Any] | None = None

    def inputs(self, slot_maps: Tensor, features: Tensor, *others: Tensor) -> Tensor:
        """What `standardize` is fitted on: (P, num_features) float."""
        return features

    def forward(
        self,
        slot_maps: Tensor,
        features: Tensor,
        proposal_of: Tensor,
        proposals: Tensor,
        frame_of: Tensor,
        pictures: Tensor,
        num_live: int,
    ) -> Tensor:
        """Logits of joining slots 1..L.

        Parameters
        ----------
        slot_maps : (M, 2, S, S) uint8
            Slots of M_{t-1}, slots of M_{<i,t}.
        features : (M, D) float32
        proposal_of : (M,) int64
            Rows of `proposals`.
        proposals : (P, S, S) bool
        frame_of : (P,) int64
            Rows of `pictures`.
        pictures : (F, 5, S, S) float16
            Red, green, blue, u, v.
        num_live : int
            L.

        Returns
        -------
        (M, L) float32
        """
        decision, slot, row_of = _distinct_slots(slot_maps, num_live)
        slots = slot_maps[decision] == slot[:, None, None, None]
        packed, proposal = _pack(slots), proposal_of[decision]
        chosen, pair_of = _distinct_pairs(packed, proposal)
        pairs = slots[chosen], packed[chosen], proposal[chosen]
        encoded = self._encode(*pairs, proposals, frame_of, pictures)
        own = self.standardize(features)
        logits = self.head(torch.cat([encoded[pair_of], own[decision]], dim=1))[:, 0]
        return logits[row_of]

    def _encode(
        self,
        slots: Tensor,
        packed: Tensor,
        proposal: Tensor,
        proposals: Tensor,
        frame_of: Tensor,
        pictures: Tensor,
    ) -> Tensor:
        """Encode pairs: (U, num_features) of masks (U, 2, S, S), packed too, and rows (U,) of proposals."""
        by_changes = len(slots) and slots.shape[-1] >= CHANGES_FROM
        if by_changes and slots.device.type == "cpu" and not torch.is_grad_enabled():
            return self._encode_changes(slots, packed, proposal, proposals, frame_of, pictures)
        _, of_proposal, of_slot = self._first_weights()
        with_proposal = _convolve(proposals[:, None], of_proposal)
        of_frame = self._once_per_frame(pictures, lambda: self._first_of(pictures))
        with_proposal = with_proposal + of_frame[frame_of]
        return self.encoder.after_first(_convolve(slots, of_slot) + with_proposal[proposal])

    def _encode_changes(
        self,
        slots: Tensor,
        packed: Tensor,
        proposal: Tensor,
        proposals: Tensor,
        frame_of: Tensor,
        pictures: Tensor,
    ) -> Tensor:
        """The same: only what proposals change in frames, slots in frames, and both beyond that."""
        _, of_proposal, of_slot = self._first_weights()
        frames = self._once_per_frame(
            pictures, lambda: FrameEncodings(self.encoder, self._first_of(pictures))
        )
        frames.make_room()
        masks = proposals[:, None]
        first = frames.encode(masks, _pack(masks), frame_of, of_proposal)
        second = frames.encode(slots, packed, frame_of[proposal], of_slot)
        return frames.features(first[proposal], second)

    def _first_weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the first convolution: for a picture, a proposal's mask, and a slot's two masks."""
        weight = self.encoder.first.weight
        return weight[:, :-3], weight[:, -3:-2], weight[:, -2:]

    def _first_of(self, pictures: Tensor) -> Tensor:
        """What the first convolution makes of pictures without any mask."""
        of_picture, _, _ = self._first_weights()
        return _convolve(pictures[:, -of_picture.shape[1] :], of_picture, self.encoder.first.bias)

    def _once_per_frame(self, pictures: Tensor, compute: Callable[[], Known]) -> Known:
        """What follows from pictures alone; in a rollout the decisions of a frame have the same ones."""
        if torch.is_grad_enabled():
            self._known = None  # the rollout is over
            return compute()
        version = tuple(parameter._version for parameter in self.encoder.parameters())
        if self._known is None or self._known[0] is not pictures or self._known[1] != version:
            self._known = pictures, version, compute()
        return self._known[2]


def _convolve(pictures: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    laid_out = pictures.to(weight.dtype, memory_format=torch.channels_last)
    return functional.conv2d(laid_out, weight, bias, padding=1)


def _distinct_slots(slot_maps: Tensor, num_live: int) -> tuple[Tensor, Tensor, Tensor]:
    """Slots that differ: those with a pixel, and one without for each decision.

    Parameters
    ----------
    slot_maps : (M, 2, S, S) uint8
    num_live : int
        L.

    Returns
    -------
    decision, slot : (R,) int64
        Decision and number of each; 255 stands for a slot without a pixel.
    row_of : (M, L) int64
        Which of the R stands for each slot.
    """
    num_decisions = len(slot_maps)
    visible = slot_maps.new_zeros(num_decisions, 256, dtype=torch.bool)
    visible.scatter_(1, slot_maps.flatten(1).long(), True)
    visible = visible[:, : num_live + 1].index_fill(1, visible.new_zeros(1, dtype=torch.long), True)
    decision, slot = visible.nonzero(as_tuple=True)
    number = visible.flatten().cumsum(0).view_as(visible) - 1
    row_of = torch.where(visible, number, number[:, :1])[:, 1:]
    return decision, torch.where(slot > 0, slot, 255), row_of


def _distinct_pairs(words: Tensor, proposal: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs that differ, among rollouts of one video above all.

    Parameters
    ----------
    words : (R, W) int64
        Masks of the slots in bits.
    proposal : (R,) int64

    Returns
    -------
    chosen : (U,) int64
        One row of each.
    pair_of : (R,) int64
        Which of the U each row is.
    """
    generator = torch.Generator().manual_seed(0)
    mixers = torch.randint(-(2**62), 2**62, (words.shape[1] + 1,), generator=generator).to(words.device)
    codes = (torch.cat([words, proposal[:, None]], dim=1) * (2 * mixers + 1)).sum(1)
    distinct, pair_of = codes.unique(return_inverse=True)
    rows = torch.arange(len(words), device=words.device)
    chosen = torch.zeros(len(distinct), dtype=torch.long, device=words.device)
    chosen.scatter_(0, pair_of, rows)
    same = (words == words[chosen[pair_of]]).all(1) & (proposal == proposal[chosen[pair_of]])
    return (chosen, pair_of) if bool(same.all()) else (rows, rows)


def _pack(masks: Tensor) -> Tensor:
    """Bits of (n, ...) bool as (n, W) int64."""
    bits = functional.pad(masks.flatten(1), (0, -masks.shape[1:].numel() % 64))
    # Eight bytes of 0 or 1 as one number: times this, its highest byte has all eight as bits.
    packed = (bits.view(torch.uint8).view(torch.int64) * 0x0102040810204080) >> 56
    return packed.to(torch.uint8).view(torch.int64)
