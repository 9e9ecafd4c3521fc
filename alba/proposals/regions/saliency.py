"""A map of what moves on its own, made of the candidates' votes by a small convolutional network.

The networks are two U-Nets (Ronneberger et al., MICCAI 2015) of 0.2 million weights each that come with the
package and run in NumPy: no candidate is better than what the frame's candidates together say, and what two
networks agree on is better than what either says. They were trained on the train videos of DAVIS 2016 and
of sprites by ``benchmarks/fit_regions_saliency.py``.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from alba.proposals.regions.ranking import Evidence
from alba.proposals.regions.superpixels import Superpixels

PIXELS = 120 * 216
"""The networks look at about this many pixels of a frame."""

WIDTHS = (12, 24, 48, 64)
"""Channels at each of its scales."""

CUES = (
    "votes",
    "best_votes",
    "best_score",
    "best_candidate",
    "planar",
    "epipolar",
    "velocity_x",
    "velocity_y",
    "distance",
    "recalled",
    "colour",
    "lightness",
    "a",
    "b",
    "off_centre_x",
    "off_centre_y",
)
"""What they see, in order."""

_FOLDER = Path(__file__).with_name("weights")
_FOLDS = tuple(_FOLDER / f"without-{fold}.npz" for fold in range(3))

_COLOUR_BINS = (12, 16, 16)  # of lightness, a and b
_STRIDE = 2 ** (len(WIDTHS) - 1)

Weights = dict[str, NDArray[np.float32]]
"""Those of one network by name, normalisation folded in."""


@dataclass(frozen=True)
class Ensemble:
    """Networks that are asked together.

    Parameters
    ----------
    members : tuple of Weights
    held_out : frozenset of str
        The train videos that none of them was trained on; empty if they were trained on all.
    """

    members: tuple[Weights, ...]
    held_out: frozenset[str]


class ColourModel:
    """Colours of what the candidates of all frames so far agreed on, against those of the rest."""

    def __init__(self) -> None:
        self._inside = np.zeros(_COLOUR_BINS)
        self._outside = np.zeros(_COLOUR_BINS)

    def learn(self, superpixels: Superpixels, lab: NDArray[np.float32], share: NDArray[np.float32]) -> None:
        """Take in one frame.

        Parameters
        ----------
        superpixels : Superpixels
        lab : (S, 3) float32
        share : (S,) float32 in [0, 1]
            How much each superpixel belongs to an object.
        """
        bins = tuple(_colour_bins(lab).T)
        np.add.at(self._inside, bins, superpixels.areas * share)
        np.add.at(self._outside, bins, superpixels.areas * (1 - share))

    def posterior(self, lab: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of inside, both being as likely beforehand: (S,) float32."""
        inside, outside = (gaussian_filter(h, 0.7) for h in (self._inside, self._outside))
        inside, outside = (h / max(h.sum(), 1e-9) + 1e-6 for h in (inside, outside))
        return (inside / (inside + outside))[tuple(_colour_bins(lab).T)].astype(np.float32)


def _colour_bins(lab: NDArray[np.float32]) -> NDArray[np.intp]:
    unit = (lab + np.array([0, 60, 60], np.float32)) / np.array([100, 120, 120], np.float32)
    bins = np.array(_COLOUR_BINS)
    return np.clip(unit * bins, 0, bins - 1).astype(np.intp)


def saliency_cues(
    superpixels: Superpixels,
    evidence: Evidence,
    colour: NDArray[np.float32],
    members: NDArray[np.bool_],
    scores: NDArray[np.float32],
) -> NDArray[np.float32]:
    """What the networks see of a frame.

    Parameters
    ----------
    superpixels : Superpixels
    evidence : Evidence
    colour : (S,) float32 in [0, 1]
        Posterior of the video's colour model.
    members : (N, S) bool
        Candidates.
    scores : (N,) float32

    Returns
    -------
    (len(CUES), h, w) float32
        h and w are multiples of 8.
    """
    height, width = superpixels.labels.shape
    weights = np.stack([scores**2, scores**6]) + 1e-9
    votes = (weights / weights.sum(1, keepdims=True)) @ members
    off_centre = 2 * np.abs(superpixels.centres / np.array([width, height], np.float32) - 0.5)
    table = np.stack(
        [
            *votes,
            (members * scores[:, None]).max(0),
            members[scores.argmax()],
            evidence.planar,
            evidence.epipolar,
            *evidence.velocity.T,
            evidence.distance,
            evidence.recalled.consensus,
            colour,
            *((evidence.lab - np.array([50, 0, 0], np.float32)) / np.array([30, 20, 20], np.float32)).T,
            *off_centre.T,
        ],
        axis=1,
    ).astype(np.float32)
    factor = min(1.0, math.sqrt(PIXELS / (height * width)))
    size = tuple(_STRIDE * max(1, round(side * factor / _STRIDE)) for side in (width, height))
    pictures = (
        cv2.resize(column[superpixels.labels], size, interpolation=cv2.INTER_AREA) for column in table.T
    )
    return np.stack(list(pictures))


def saliency(superpixels: Superpixels, cues: NDArray[np.float32], ensemble: Ensemble) -> NDArray[np.float32]:
    """Probability that a superpixel moves on its own, the mean of all networks': (S,) float32."""
    height, width = superpixels.labels.shape
    picture = np.mean([1 / (1 + np.exp(-_unet(cues, weights))) for weights in ensemble.members], axis=0)
    return superpixels.mean(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))


def saliency_networks(video: str) -> Ensemble:
    """The networks for a video: those that have not been trained on it.

    Networks that learn from proposals must see them on training videos as good, and no better, than they
    are elsewhere. For the videos that the networks were trained on, known by name, there are others that
    were trained without a third of them.
    """
    held_out = (ensemble for ensemble in map(read_ensemble, _FOLDS) if video in ensemble.held_out)
    return next(held_out, read_ensemble(_FOLDER / "all.npz"))


@cache
def read_ensemble(path: Path) -> Ensemble:
    """Networks as `benchmarks/fit_regions_saliency.py` writes them, all of one file."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    held_out = frozenset(arrays.pop("held_out").tolist())
    stacked = {name: array.astype(np.float32) for name, array in arrays.items()}
    count = len(stacked["out.bias"])
    members = tuple({name: array[k] for name, array in stacked.items()} for k in range(count))
    return Ensemble(members, held_out)


def _unet(picture: NDArray[np.float32], weights: Weights) -> NDArray[np.float32]:
    """Logits (h, w) of cues (C, h, w)."""
    skipped = []
    for scale in range(len(WIDTHS)):
        if scale:
            picture = np.maximum(picture[:, ::2], picture[:, 1::2])
            picture = np.maximum(picture[..., ::2], picture[..., 1::2])
        picture = _block(picture, f"down.{scale}", weights)
        skipped.append(picture)
    for scale in reversed(range(len(WIDTHS) - 1)):
        enlarged = picture.repeat(2, axis=1).repeat(2, axis=2)
        picture = _block(np.concatenate([skipped[scale], enlarged]), f"up.{scale}", weights)
    return np.tensordot(weights["out.weight"], picture, 1) + weights["out.bias"]


def _block(picture: NDArray[np.float32], name: str, weights: Weights) -> NDArray[np.float32]:
    for layer in (0, 1):
        picture = _convolve(picture, weights[f"{name}.{layer}.weight"], weights[f"{name}.{layer}.bias"])
        np.maximum(picture, 0, out=picture)
    return picture


def _convolve(
    picture: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """3 x 3 convolution of (C, h, w) by (3, 3, D, C), zeros around: (D, h, w).

    Rows lie end to end with two zeros in between, so that each of the nine taps is one product of
    matrices over a shifted view.
    """
    channels, height, width = picture.shape
    stride = width + 2
    padded = np.zeros((channels, (height + 3) * stride), np.float32)
    padded.reshape(channels, height + 3, stride)[:, 1 : height + 1, 1 : width + 1] = picture
    summed = np.repeat(bias[:, None], height * stride, axis=1)
    for row in range(3):
        for column in range(3):
            start = row * stride + column
            summed += kernel[row, column] @ padded[:, start : start + height * stride]
    return np.ascontiguousarray(summed.reshape(-1, height, stride)[:, :, :width])
