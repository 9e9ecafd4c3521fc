"""Patches of the whole video that look alike vote on each other."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.segmentation import slic
from torch import Tensor

_PATCHES = 350
"""Per frame."""

_MOST_VOTERS = 16_000
"""Of longer videos every second, third, ... patch has a vote, so that time grows with the frames only."""

_VOTERS = 60
"""How many vote on a patch."""

_ROUNDS = 3
_AT_ONCE = 1024


class Electorate:
    """The patches of a video and who votes on whom.

    Parameters
    ----------
    lab : (T, 3, h, w) float16
    """

    def __init__(self, lab: NDArray[np.float16]) -> None:
        frames = [
            _patches(np.ascontiguousarray(np.moveaxis(frame.astype(np.float32), 0, -1))) for frame in lab
        ]
        self._labels = [labels for labels, _ in frames]
        looks = np.concatenate([look for _, look in frames])
        self._offsets = np.concatenate([[0], np.cumsum([len(look) for _, look in frames])])
        self._sizes = [np.bincount(labels.ravel()) for labels in self._labels]
        looks = (looks - looks.mean(0)) / (looks.std(0) + 0.05)
        looks[:, :3] *= 1.5
        self._every = -(-len(looks) // _MOST_VOTERS)
        self._voters, self._weights = _nearest(torch.from_numpy(looks.astype(np.float32)), self._every)

    def vote(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Spread a map over all that looks alike.

        Parameters
        ----------
        maps : (T, h, w) float32

        Returns
        -------
        (T, h, w) float32
        """
        means = [
            np.bincount(labels.ravel(), here.ravel(), len(sizes)) / sizes
            for labels, here, sizes in zip(self._labels, maps, self._sizes, strict=True)
        ]
        opinions = torch.from_numpy(np.concatenate(means).astype(np.float32))
        for _ in range(_ROUNDS):
            opinions = (self._weights * opinions[:: self._every][self._voters]).sum(1)
        result = opinions.numpy()
        return np.stack([result[self._offsets[t] :][labels] for t, labels in enumerate(self._labels)])


def _patches(lab: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Patches of a frame, (h, w), and how each looks: colour at three scales, texture and place."""
    height, width = lab.shape[:2]
    if min(height, width) < 2:
        labels = np.zeros((height, width), np.intp)
    else:
        labels = slic(lab, _PATCHES, compactness=8, start_label=0, convert2lab=False, channel_axis=-1)
        labels = np.unique(labels, return_inverse=True)[1].reshape(height, width)
    near, wide = cv2.GaussianBlur(lab, (0, 0), 3), cv2.GaussianBlur(lab, (0, 0), 8)
    texture = np.sqrt(np.maximum(cv2.GaussianBlur(lab * lab, (0, 0), 3) - near * near, 0))
    rows, columns = np.indices((height, width), np.float32)
    places = np.stack([columns / width, rows / height], -1)
    maps = np.concatenate([lab / 20, near / 20, texture / 10, wide / 25, places], -1)
    sizes = np.bincount(labels.ravel())
    sums = [np.bincount(labels.ravel(), maps[..., c].ravel()) for c in range(maps.shape[-1])]
    return labels, np.stack(sums, -1) / sizes[:, None]


def _nearest(looks: Tensor, every: int) -> tuple[Tensor, Tensor]:
    """Voters of each patch and their weights: (S, n) int64 and float32."""
    candidates = looks[::every]
    num = min(_VOTERS, len(candidates))
    voters = torch.empty(len(looks), num, dtype=torch.int64)
    weights = torch.empty(len(looks), num)
    norms = (candidates * candidates).sum(1)
    for start in range(0, len(looks), _AT_ONCE):
        part = looks[start : start + _AT_ONCE]
        squared = (part * part).sum(1, keepdim=True) + norms - 2 * part @ candidates.T
        distances, nearest = squared.topk(num, largest=False)
        distances = distances.clamp_min(0)
        voters[start : start + _AT_ONCE] = nearest
        scale = distances[:, num // 3, None] + 1e-3
        weights[start : start + _AT_ONCE] = (-distances / scale).exp()
    return voters, weights / weights.sum(1, keepdim=True)
