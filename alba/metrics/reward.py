"""The reward of reinforcement learning: J and F of many frames at once, in torch, on any device.

The definitions are those of `alba.metrics.similarity`; here a batch of frames is scored in one pass, and what
depends on the ground truth alone is computed once per video.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alba.errors import EvaluationError
from alba.masks import MAX_OBJECTS, VOID, boundary_map, boundary_radius, dilate
from alba.masks.boundary import bits_dtype
from alba.metrics.davis import frame_rewards, match_tracks
from alba.metrics.similarity import boundary_measure, region_similarity


class TruthBoundaries:
    """Ground truth of one video, ready for scoring any number of predictions.

    Parameters
    ----------
    truth : (T, H, W) integer tensor
        Label maps at the working size; 0 background, 255 void.
    num_objects : int, optional
        O, at most 20; left out, it is the largest id of the first frame, as in the evaluation. Larger ids
        are background.

    Raises
    ------
    EvaluationError
        There are more than 20 objects.
    """

    def __init__(self, truth: Tensor, num_objects: int | None = None) -> None:
        void = truth == VOID
        if num_objects is None:
            num_objects = int(truth[0].masked_fill(void[0], 0).max())
        if num_objects > MAX_OBJECTS:
            raise EvaluationError(
                f"the ground truth holds id {num_objects}", f"ids are 0..{MAX_OBJECTS} and {VOID} (void)"
            )
        self.num_objects = num_objects
        self.device = truth.device
        self.radius = boundary_radius(*truth.shape[-2:])
        labels = truth.int().masked_fill(truth > num_objects, 0)
        # Void is a class of its own in the joint histogram, whose row is then dropped.
        self._classes = labels.masked_fill(void, num_objects + 1)
        self._void = void
        self._boundary = boundary_map(_label_bits(labels, torch.arange(1, num_objects + 1)))
        self._near = dilate(self._boundary, self.radius)

    def score(self, prediction: Tensor, frames: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """J and F of every slot with every object.

        Parameters
        ----------
        prediction : (B, H, W) integer tensor
            Slot ids 0..20, 0 is background; on the device of the ground truth.
        frames : (B,) int64 tensor, optional
            Frame of the video that each prediction belongs to; left out, ``arange(B)``.

        Returns
        -------
        J, F : (B, 20, O) float64 in [0, 1]
            A slot that a prediction does not hold is an empty track.
        """
        if frames is None:
            frames = torch.arange(len(prediction), device=prediction.device)
        joint = self._joint_histogram(prediction, frames)
        # Most slots are empty; the others share the bits among them.
        slots = joint[:, 1:].sum((0, 2)).nonzero().flatten() + 1
        J = region_similarity(joint.double())
        F = self._contour_similarity(prediction, frames, slots)
        return J, F

    def rewards(self, predictions: Tensor) -> NDArray[np.float64]:
        """Reward of every frame of whole rollouts: those of `matched_rewards`."""
        return self.matched_rewards(predictions)[0]

    def matched_rewards(self, predictions: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Reward of every frame of whole rollouts, tracks matched as the evaluation matches them.

        Parameters
        ----------
        predictions : (R, T, H, W) integer tensor
            Slot ids of R rollouts of the video.

        Returns
        -------
        rewards : (R, T) float64 in [0, 1]
            J&F; the mean over frames is what the evaluation gives at this size.
        tracks : (R, O) int64
            Slot that each object is matched to.
        """
        num_rollouts, num_frames = predictions.shape[:2]
        frames = torch.arange(num_frames, device=predictions.device).repeat(num_rollouts)
        scores = self.score(predictions.flatten(0, 1), frames)
        J, F = (x.unflatten(0, (num_rollouts, num_frames)).cpu().numpy() for x in scores)
        largest = predictions.flatten(1).amax(1).tolist()
        rewards, matched = [], []
        for rollout in range(num_rollouts):
            num_tracks = max(largest[rollout], self.num_objects)
            tracks = J[rollout][:, :num_tracks], F[rollout][:, :num_tracks]
            assignment = match_tracks(*tracks)
            rewards.append(frame_rewards(*tracks, assignment))
            matched.append(assignment + 1)
        return np.stack(rewards), np.stack(matched)

    def _joint_histogram(self, prediction: Tensor, frames: Tensor) -> Tensor:
        """(B, 21, 1 + O) int64: pixels per slot and object that are not void."""
        shape = (len(prediction), MAX_OBJECTS + 1, self.num_objects + 2)
        offsets = torch.arange(shape[0], dtype=torch.int32, device=prediction.device) * (shape[1] * shape[2])
        codes = prediction.int() * shape[2] + self._classes[frames]
        codes += offsets[:, None, None]
        counts = torch.bincount(codes.flatten(), minlength=shape[0] * shape[1] * shape[2])
        return counts.view(shape)[..., :-1]

    def _contour_similarity(self, prediction: Tensor, frames: Tensor, slots: Tensor) -> Tensor:
        boundary = boundary_map(_label_bits(prediction.masked_fill(self._void[frames], 0), slots))
        near = dilate(boundary, self.radius)
        num_slots, num_objects = len(slots), self.num_objects
        hits, lengths = _count_hits(boundary, num_slots, self._near[frames], num_objects)
        object_hits, object_lengths = _count_hits(self._boundary[frames], num_objects, near, num_slots)
        track_hits, object_hits, track_lengths = (
            counts.new_zeros((len(prediction), MAX_OBJECTS, *counts.shape[2:])).index_copy(
                1, slots - 1, counts
            )
            for counts in (hits, object_hits.mT, lengths)
        )
        return boundary_measure(track_hits, track_lengths, object_hits, object_lengths)


def _label_bits(label_map: Tensor, labels: Tensor) -> Tensor:
    """One bit per listed label, in their order; other labels get none."""
    dtype = getattr(torch, bits_dtype(len(labels)))
    table = torch.zeros(VOID + 1, dtype=dtype, device=label_map.device)
    table[labels.to(label_map.device)] = (1 << torch.arange(len(labels), device=label_map.device)).to(dtype)
    return table.index_select(0, label_map.flatten().int()).view(label_map.shape)


def _count_hits(bits: Tensor, num_labels: int, near: Tensor, num_others: int) -> tuple[Tensor, Tensor]:
    """Pixels of each mask inside each other mask (B, n, m), and in all (B, n), float64."""
    pixels = (bits != 0).flatten().nonzero().flatten()  # boundaries are sparse
    own = _unpack(bits.flatten()[pixels], num_labels)
    others = _unpack(near.flatten()[pixels], num_others)
    others = torch.cat([others, others.new_ones(1, len(pixels))])  # what all pixels hit: the length
    sizes = torch.bincount(pixels // bits[0].numel(), minlength=len(bits)).tolist()
    pairs = zip(own.split(sizes, 1), others.split(sizes, 1), strict=True)
    hits = torch.stack([mine @ theirs.T for mine, theirs in pairs]).double()
    return hits[..., :-1], hits[..., -1]


def _unpack(bits: Tensor, num_labels: int) -> Tensor:
    """(n,) bits as (num_labels, n) float32 zeros and ones."""
    masks = 1 << torch.arange(num_labels, dtype=torch.int32, device=bits.device)
    return (bits.int() & masks[:, None]).ne(0).float()
