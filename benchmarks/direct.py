"""The relational network and its episodes as section 3.1 describes them, without any saving: the reference.

One video at a time. Every mask is an array of pixels, every decision evaluates all K slots, and every pair of
proposal and slot goes through the whole network. Only weights are shared with `alba.networks`; tests and
`benchmarks/rollout.py` hold the fast form against this one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class PixelVideo:
    """One video: masks of the proposals (N_t, h, w) bool of every frame, in the order of decisions.

    `backward` is the flow to the previous frame, (T, 2, h, w) pixels; `pictures` (T, 5, S, S) are red, green,
    blue, u and v for early fusion.
    """

    masks: Sequence[NDArray[np.bool_]]
    features: Sequence[NDArray[np.float32]]
    backward: NDArray[np.float32]
    pictures: NDArray[np.float16] | None = None


@dataclass
class PixelState:
    """M_{t-1}, M_{<i,t} and what was joined so far."""

    previous: NDArray[np.bool_]  # (K, h, w)
    moved: NDArray[np.bool_]  # (K, h, w), M_{t-1} moved along the flow
    painted: NDArray[np.bool_]  # (K, h, w)
    num_used: int = 0
    frames_seen: list[set[int]] = field(default_factory=list)  # slots painted in each frame before
    joins: list[tuple[int, int, int, NDArray[np.float32]]] = field(default_factory=list)  # t, slot, area, f


def group(
    video: PixelVideo,
    fusion: str,
    weights: Weights,
    num_slots: int,
    none_action: bool,
    follow: Sequence[NDArray[np.integer]] | None = None,
    num_decisions: int | None = None,
) -> tuple[list[list[int]], list[float]]:
    """Group a video, always taking the most probable action, or following decisions that were taken.

    Returns
    -------
    choices : per frame, slot 1..K of every proposal, 0 for none
    log_probs : of each choice; all empty slots are one action
    """
    empty = np.zeros((num_slots, *video.backward.shape[2:]), bool)
    state = PixelState(empty, empty, empty)
    choices: list[list[int]] = []
    log_probs: list[float] = []
    for t, masks in enumerate(video.masks):
        state.previous, state.painted = state.painted, empty
        state.moved = state.previous[:, *trace(video.backward[t])]
        if t:
            state.frames_seen.append({k for k in range(num_slots) if state.previous[k].any()})
        choices.append([])
        for i in range(len(masks)):
            if fusion == "early":
                logits = early_logits(video, t, i, state, weights)
            else:
                logits = late_logits(video, t, i, state, weights, none_action)
            actions = action_log_probs(logits, state.num_used, num_slots)
            slot = max(actions, key=actions.__getitem__) if follow is None else int(follow[t][i])
            choices[-1].append(slot)
            log_probs.append(actions[slot])
            join(video, t, i, state, slot)
            if len(log_probs) == num_decisions:
                return choices, log_probs
    return choices, log_probs


def action_log_probs(logits: Tensor, num_used: int, num_slots: int) -> dict[int, float]:
    """Softmax over all K slots and, behind them, none; empty slots together are the slot that comes next."""
    if not num_used:  # the first proposal is an object
        logits = logits[:num_slots]
    log_probs = logits.log_softmax(0)
    actions = {slot: float(log_probs[slot - 1]) for slot in range(1, num_used + 1)}
    if num_used < num_slots:
        actions[num_used + 1] = float(log_probs[num_used:num_slots].logsumexp(0))
    if len(logits) > num_slots:
        actions[0] = float(log_probs[-1])
    return actions


def join(video: PixelVideo, t: int, i: int, state: PixelState, slot: int) -> None:
    """The proposal's pixels that no earlier one has taken become the slot's."""
    if not slot:
        return
    mask = video.masks[t][i]
    state.painted = state.painted.copy()
    state.painted[slot - 1] |= mask & ~state.painted.any(0)
    state.num_used = max(state.num_used, slot)
    state.joins.append((t, slot - 1, int(mask.sum()), video.features[t][i]))


def trace(backward: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixel of the previous frame that each pixel comes from."""
    height, width = backward.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    y = (rows + backward[1]).round().clip(0, height - 1).astype(np.intp)
    x = (columns + backward[0]).round().clip(0, width - 1).astype(np.intp)
    return y, x


# Early fusion


def early_logits(video: PixelVideo, t: int, i: int, state: PixelState, weights: Weights) -> Tensor:
    """All channels of the proposal and each of the K slots through the encoder: (K,)."""
    assert video.pictures is not None
    picture = torch.from_numpy(video.pictures[t]).float()
    size = picture.shape[-1]
    num_channels = weights["encoder.layers.0.weight"].shape[1]
    picture = picture[-(num_channels - 3) :]
    proposal = torch.from_numpy(resize(video.masks[t][i], size)).float()
    previous = torch.from_numpy(resize(state.previous, size)).float()
    painted = torch.from_numpy(resize(state.painted, size)).float()
    num_slots = len(previous)
    stack = torch.empty(num_slots, num_channels, size, size)
    stack[:, :-3] = picture
    stack[:, -3] = proposal
    stack[:, -2] = previous
    stack[:, -1] = painted
    encoded = encode(stack, weights)
    own = standardize(torch.from_numpy(video.features[t][i]), weights)
    return mlp(torch.cat([encoded, own.expand(num_slots, -1)], dim=1), weights)


def resize(masks: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Nearest pixel: (..., h, w) to (..., size, size)."""
    height, width = masks.shape[-2:]
    rows = (np.arange(size) * height + height // 2) // size
    columns = (np.arange(size) * width + width // 2) // size
    return masks[..., rows[:, None], columns]


def encode(pictures: Tensor, weights: Weights) -> Tensor:
    """Convolutions with LeakyReLU; what stands two places behind the last one follows a max-pool."""
    places = sorted(int(name.split(".")[2]) for name in weights if name.endswith("weight") and "enc" in name)
    expected = 0
    for place in places:
        if place != expected:
            pictures = functional.max_pool2d(pictures, 2)
        kernel, bias = (weights[f"encoder.layers.{place}.{part}"] for part in ("weight", "bias"))
        pictures = functional.leaky_relu(functional.conv2d(pictures, kernel, bias, padding=1), 0.01)
        expected = place + 2
    return functional.max_pool2d(pictures, 2).mean(dim=(2, 3))


def standardize(features: Tensor, weights: Weights) -> Tensor:
    return ((features - weights["standardize.mean"]) / weights["standardize.deviation"]).clamp(-5, 5)


def mlp(inputs: Tensor, weights: Weights) -> Tensor:
    places = sorted(
        int(name.split(".")[1]) for name in weights if name.startswith("head") and "weight" in name
    )
    for place in places:
        inputs = functional.linear(inputs, weights[f"head.{place}.weight"], weights[f"head.{place}.bias"])
        if place != places[-1]:
            inputs = functional.leaky_relu(inputs, 0.01)
    return inputs[:, 0]


# Late fusion


def late_logits(
    video: PixelVideo, t: int, i: int, state: PixelState, weights: Weights, none_action: bool
) -> Tensor:
    """The vector that relates the proposal and each of the K slots, and none, through the MLP."""
    own = video.features[t][i]
    scalars = relate(video.masks[t][i], i, t, state)
    differences = np.stack(
        [
            np.abs(own - looks) if k < state.num_used else np.zeros_like(own)
            for k, looks in enumerate(slot_looks(state, t, len(scalars), len(own)))
        ]
    )
    rows = np.concatenate([scalars, np.tile(own, (len(scalars), 1)), differences], axis=1)
    if none_action:
        nothing = np.concatenate([[1], np.zeros(15), scalars[0, 16:], own, np.zeros_like(own)])
        rows = np.concatenate([rows, nothing[None]])
    return mlp(standardize(torch.from_numpy(rows.astype(np.float32)), weights), weights)


def relate(mask: NDArray[np.bool_], i: int, t: int, state: PixelState) -> NDArray[np.float64]:
    """21 scalars for each slot: (K, 21)."""
    num_slots = len(state.painted)
    area = max(1, int(mask.sum()))
    before = (state.moved & mask).sum((1, 2))
    before_area = state.moved.sum((1, 2))
    painted = (state.painted & mask).sum((1, 2))
    painted_area = state.painted.sum((1, 2))
    overlap = before / np.maximum(area + before_area - before, 1)
    rows = np.zeros((num_slots, 21))
    for k in range(num_slots):
        used = float(k < state.num_used)
        others = np.delete(overlap, k) if num_slots > 1 else overlap
        last = max((then for then, slot, _, _ in state.joins if slot == k), default=-1)
        num_seen = sum(k in slots for slots in state.frames_seen)
        rows[k] = (
            0,
            1 - used,
            before_area[k] > 0,
            painted_area[k] > 0,
            before[k] / area,
            before[k] / max(before_area[k], 1),
            overlap[k],
            others.max(),
            painted[k] / area,
            painted[k] / max(painted_area[k], 1),
            log_ratio(area, before_area[k]),
            log_ratio(area, painted_area[k]),
            math.sqrt(before_area[k] / mask.size),
            min(painted_area[k] / max(before_area[k], 1), 2) / 2,
            used * math.log1p(t - last) / 3,
            min(math.sqrt(num_seen) / 8, 1),
            (mask & ~state.painted.any(0)).sum() / area,
            before.sum() / area,
            i / 10,
            state.num_used / num_slots,
            math.sqrt(area / mask.size),
        )
    return rows


def log_ratio(area: float, other: float) -> float:
    return min(max(math.log(area / other) / math.log(16), -1.5), 1.5) if other else 0.0


def slot_looks(state: PixelState, t: int, num_slots: int, num_features: int) -> list[NDArray[np.float64]]:
    """Mean feature of all that was joined to each slot, weighed by area, a frame ago by .7, and so on."""
    looks = []
    for k in range(num_slots):
        joined = [(area * 0.7 ** (t - then), f) for then, slot, area, f in state.joins if slot == k]
        total = sum(weight for weight, _ in joined)
        mean = sum(weight * f for weight, f in joined) / total if total else np.zeros(num_features)
        looks.append(mean)
    return looks
