"""The state of a grouping, batched over B episodes, and how a decision changes it (section 3.1).

Slots are numbered 1..K and taken into use in order: all slots that are still empty look the same to any
policy, so "an empty slot" always means the first of them, and its probability is that of all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alba.grouping.cells import FrameCells
from alba.grouping.video import GroupingVideo

MEMORY_DECAY = 0.7
"""What a slot's appearance keeps of its weight from one frame to the next."""


@dataclass(frozen=True)
class FrameBatch:
    """One frame of B episodes, padded to N proposals, A cells and A' cells of the frame before.

    Parameters
    ----------
    active : (B, N) bool
        False where an episode has fewer proposals.
    membership : (B, N, A) bool
    sizes : (B, A) float32
    areas : (B, N) float32
    from_previous : (B, N, A') float32
    arriving : (B, A') float32
    features : (B, N, D) float32
    cell_maps : (B, S, S) int64, optional
        For policies that look at pictures.
    pictures : (V, 5, S, S) float16, optional
        Red, green, blue and flow of each video, for the same.
    num_rollouts : int
        Episodes per video: episode b is of video b // num_rollouts.
    """

    active: Tensor
    membership: Tensor
    sizes: Tensor
    areas: Tensor
    from_previous: Tensor
    arriving: Tensor
    features: Tensor
    cell_maps: Tensor | None
    pictures: Tensor | None
    num_rollouts: int = 1

    def repeat(self, num: int) -> "FrameBatch":
        """`num` episodes of each video side by side; pictures stay one per video."""
        parts = {
            field.name: part.repeat_interleave(num, 0)
            for field in fields(self)
            if field.name != "pictures" and isinstance(part := getattr(self, field.name), Tensor)
        }
        return replace(self, **parts, num_rollouts=num)


def collate_frames(videos: Sequence[GroupingVideo], device: torch.device) -> Iterator[FrameBatch]:
    """Frames of several videos side by side; videos that have ended take no more part.

    Parameters
    ----------
    videos : sequence of GroupingVideo
    device : torch.device
    """
    num_features = videos[0].features[0].shape[1]
    previous_cells = 1
    for t in range(max(len(video) for video in videos)):
        frames = [video.frames[t] if t < len(video) else _ENDED for video in videos]
        num_proposals = max(1, *(len(frame.membership) for frame in frames))
        num_cells = max(len(frame.sizes) for frame in frames)
        shape = (len(videos), num_proposals)
        active = np.zeros(shape, bool)
        membership = np.zeros((*shape, num_cells), bool)
        sizes = np.zeros((len(videos), num_cells), np.float32)
        from_previous = np.zeros((*shape, previous_cells), np.float32)
        arriving = np.zeros((len(videos), previous_cells), np.float32)
        features = np.zeros((*shape, num_features), np.float32)
        for b, (video, frame) in enumerate(zip(videos, frames, strict=True)):
            num, cells = frame.membership.shape
            active[b, :num] = True
            membership[b, :num, :cells] = frame.membership
            sizes[b, :cells] = frame.sizes
            from_previous[b, :num, : frame.from_previous.shape[1]] = frame.from_previous
            arriving[b, : len(frame.arriving)] = frame.arriving
            if num:
                features[b, :num] = video.features[t]
        areas = np.einsum("bna,ba->bn", membership, sizes)
        maps, pictures = _pictures(videos, frames, t)
        arrays = {
            "active": active,
            "membership": membership,
            "sizes": sizes,
            "areas": areas,
            "from_previous": from_previous,
            "arriving": arriving,
            "features": features,
            "cell_maps": maps,
            "pictures": pictures,
        }
        tensors = {k: None if a is None else torch.from_numpy(a).to(device) for k, a in arrays.items()}
        yield FrameBatch(**tensors)  # type: ignore[arg-type]
        previous_cells = num_cells


_ENDED = FrameCells(
    np.zeros((1, 1), np.int32),
    np.zeros((0, 1), bool),
    np.zeros(1, np.float32),
    np.zeros((0, 1), np.float32),
    np.zeros(1, np.float32),
)


def _pictures(
    videos: Sequence[GroupingVideo], frames: Sequence[FrameCells], t: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.float16] | None]:
    """Cell maps and pictures of frame `t`; those of a video that has ended stay as they were."""
    banks = [video.pictures for video in videos]
    if banks[0] is None:
        return None, None
    pictures = np.stack([bank[min(t, len(bank) - 1)] for bank in banks if bank is not None])
    return np.stack([resize_map(frame, pictures.shape[-1]) for frame in frames]), pictures


def resize_map(frame: FrameCells, size: int) -> NDArray[np.int64]:
    """A frame's cell map at (size, size), nearest pixel."""
    height, width = frame.cell_map.shape
    rows = (np.arange(size) * height + height // 2) // size
    columns = (np.arange(size) * width + width // 2) // size
    return frame.cell_map[np.ix_(rows, columns)].astype(np.int64)


@dataclass(frozen=True)
class Leads:
    """The proposal of a frame that each slot was joined by first.

    Parameters
    ----------
    found : (B, K) bool
        False where the slot was never joined; the rest is then 0.
    features : (B, K, D) float32
    area : (B, K) float32
        Pixels, when it was joined.
    age : (B, K) float32
        Frames since then.
    membership : (B, K, A) bool
        Its cells, if it is of the frame that they are the cells of, else none.
    """

    found: Tensor
    features: Tensor
    area: Tensor
    age: Tensor
    membership: Tensor

    def after(self, earlier: "Leads") -> "Leads":
        """The last leads at the start of the next frame: these, and earlier ones where there are none."""
        return Leads(
            self.found | earlier.found,
            torch.where(self.found[..., None], self.features, earlier.features),
            torch.where(self.found, self.area, earlier.area),
            torch.where(self.found, 1.0, earlier.age + earlier.found),
            self.membership,
        )


class GroupingState:
    """M_{t-1}, M_{<i,t} and what each slot has looked like so far.

    Parameters
    ----------
    num_episodes : int
        B.
    num_slots : int
        K.
    num_features : int
        D.
    device : torch.device
    """

    def __init__(self, num_episodes: int, num_slots: int, num_features: int, device: torch.device) -> None:
        self.num_slots = num_slots
        self.frame: FrameBatch | None = None
        self.num_used = torch.zeros(num_episodes, dtype=torch.long, device=device)
        """(B,) int64: slots 1..num_used hold an object."""
        self.cells = torch.zeros(num_episodes, 1, dtype=torch.long, device=device)
        """(B, A) int64: slot of every cell of this frame, M_{<i,t}; 0 for none."""
        self.previous_cells = self.cells
        """(B, A') int64: slot of every cell of the frame before, M_{t-1}."""
        self.painted_area = torch.zeros(num_episodes, num_slots, device=device)
        """(B, K) float32: pixels of each slot in this frame so far."""
        self.age = torch.zeros(num_episodes, num_slots, device=device)
        """(B, K) float32: frames since the slot was last painted."""
        self.num_seen = torch.zeros(num_episodes, num_slots, device=device)
        """(B, K) float32: frames in which the slot was painted."""
        self.leads = Leads(
            torch.zeros(num_episodes, num_slots, dtype=torch.bool, device=device),
            torch.zeros(num_episodes, num_slots, num_features, device=device),
            torch.zeros(num_episodes, num_slots, device=device),
            torch.zeros(num_episodes, num_slots, device=device),
            torch.zeros(num_episodes, num_slots, 1, dtype=torch.bool, device=device),
        )
        """Of the last frame before this one in which each slot was joined."""
        self._joined: list[Tensor] = []
        self.slot_features = torch.zeros(num_episodes, num_slots, num_features, device=device)
        """(B, K, D) float32: area-weighted running mean of what was joined to each slot."""
        self._feature_weight = torch.zeros(num_episodes, num_slots, device=device)

    def begin_frame(self, frame: FrameBatch) -> None:
        """Move on to the next frame: what was painted becomes M_{t-1}."""
        self.previous_maps = self.frame.cell_maps if self.frame else None
        if self.frame:
            self.leads = self.leads_of_frame().after(self.leads)
        self.frame = frame
        self._joined = []
        self.previous_cells = self.cells
        slots = functional.one_hot(self.previous_cells, self.num_slots + 1)[..., 1:].float()
        self.previous_overlap = frame.from_previous @ slots
        """(B, N, K) float32: pixels that a proposal shares with M_{t-1}, moved along the flow."""
        self.previous_area = (frame.arriving[:, None] @ slots)[:, 0]
        """(B, K) float32: pixels of M_{t-1}, moved along the flow."""
        self.cells = torch.zeros_like(frame.sizes, dtype=torch.long)
        self.age = self.age + 1
        self.num_seen = self.num_seen + (self.painted_area > 0)
        self.painted_area = torch.zeros_like(self.painted_area)
        self._feature_weight = self._feature_weight * MEMORY_DECAY

    def painted_overlap(self, i: int) -> Tensor:
        """Pixels that proposal `i` shares with what is painted: (B, K + 1) float32, 0 is unpainted."""
        assert self.frame is not None
        pixels = self.frame.membership[:, i] * self.frame.sizes
        counts = pixels.new_zeros(len(pixels), self.num_slots + 1)
        return counts.scatter_add_(1, self.cells, pixels)

    def leads_of_frame(self) -> Leads:
        """The leads of this frame so far."""
        assert self.frame is not None
        numbers = torch.arange(1, self.num_slots + 1, device=self.num_used.device)
        never = torch.zeros_like(self.num_used)
        joined = torch.stack([*self._joined, never], dim=1)[:, None] == numbers[:, None]
        found, first = joined.max(dim=2)
        episodes = torch.arange(len(found), device=found.device)[:, None]
        return Leads(
            found,
            self.frame.features[episodes, first] * found[..., None],
            self.frame.areas[episodes, first] * found,
            torch.zeros_like(self.age),
            self.frame.membership[episodes, first] & found[..., None],
        )

    def assign(self, i: int, slots: Tensor) -> None:
        """Join proposal `i` to a slot; it paints the pixels that no earlier proposal has taken.

        Parameters
        ----------
        i : int
        slots : (B,) int64
            1..K, or 0 for none, which paints nothing.
        """
        assert self.frame is not None
        self._joined.append(slots)
        claimed = self.frame.membership[:, i] & (self.cells == 0) & (slots > 0)[:, None]
        self.cells = torch.where(claimed, slots[:, None], self.cells)
        self.num_used = torch.maximum(self.num_used, slots)
        joined = functional.one_hot(slots, self.num_slots + 1)[:, 1:].float()
        self.painted_area = self.painted_area + joined * (claimed * self.frame.sizes).sum(1, keepdim=True)
        self.age = torch.where(joined > 0, 0.0, self.age)
        self._remember(i, slots)

    def _remember(self, i: int, slots: Tensor) -> None:
        """Move the mean of the slot that each episode joins towards the proposal; the others stay."""
        assert self.frame is not None
        slot = (slots - 1).clamp_min(0)[:, None]
        weight = self._feature_weight.gather(1, slot)
        gained = torch.where(slots > 0, self.frame.areas[:, i], 0.0)[:, None]
        share = gained / (weight + gained).clamp_min(1e-12)
        row = slot[..., None].expand(-1, 1, self.slot_features.shape[2])
        mean = self.slot_features.gather(1, row)
        moved = mean + share[..., None] * (self.frame.features[:, i, None] - mean)
        self.slot_features = self.slot_features.scatter(1, row, moved)
        self._feature_weight = self._feature_weight.scatter(1, slot, weight + gained)
