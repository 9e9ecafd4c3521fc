"""Maps of what moves on its own, made of the candidates' votes by two small convolutional networks.

No candidate is better than what the frame's candidates together say, nor a frame than the frames around it.
The first network looks at a frame and the past; the second also at what the first said of the frames before
and after. Their weights (0.2 million each) come with the package; they were trained on the train videos of
DAVIS 2016 and of sprites by ``benchmarks/fit_regions_saliency.py``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from alba.proposals.regions.colour import colour_bins, colour_counts, colour_posterior
from alba.proposals.regions.frame import WorkFrame, shrink
from alba.proposals.regions.propagation import STEPS, brought_along, mistrust
from alba.proposals.regions.ranking import Evidence
from alba.proposals.regions.superpixels import Superpixels
from alba.proposals.regions.unet import STRIDE, Weights, read_weights

PIXELS = 120 * 216
"""The networks look at about this many pixels of a frame."""

REACH = STEPS[-1]
"""Frames before and after that the second network hears of."""

VOTES = ("votes", "best_votes", "best_score", "best_candidate")
"""Cues of `votes_of`."""

GLANCE_CUES = (
    *VOTES,
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
"""What the first network sees, in order."""

SURVEY_CUES = (
    *GLANCE_CUES,
    *(f"later_{vote}" for vote in VOTES),
    "glance",
    *(f"opinion_{step}_off" for step in STEPS),
    *(f"planar_{step}_off" for step in STEPS),
    *("flow_error_forward", "flow_error_backward", "colour_error_smaller", "colour_error_larger"),
    *("colour_so_far", "colour_nearby"),
)
"""What the second network sees, in order."""

WEIGHTS = Path(__file__).with_name("weights")
"""Where the networks' weights lie."""

FOLDS = 3
"""Networks that were each trained without one of as many parts of the videos."""


class Networks(NamedTuple):
    """Weights of the first and of the second network."""

    glance: Weights
    survey: Weights


def networks_for(video: str) -> Networks:
    """The networks for a video: those that have not been trained on it.

    Networks that learn from proposals must see them on training videos as good, and no better, than they
    are elsewhere. For the videos that the networks were trained on, known by name, there are others that
    were trained without a third of them.
    """
    names = (f"without-{fold}" for fold in range(FOLDS))
    suited = next((name for name in names if video in _read("glance", name)["held_out"]), "all")
    return Networks(_read("glance", suited), _read("survey", suited))


def _read(which: str, name: str) -> Weights:
    return read_weights(WEIGHTS / f"{which}-{name}.npz")


def glance_cues(
    superpixels: Superpixels,
    evidence: Evidence,
    colour: NDArray[np.float32],
    members: NDArray[np.bool_],
    scores: NDArray[np.float32],
) -> NDArray[np.float32]:
    """What the first network sees of a frame.

    Parameters
    ----------
    superpixels : Superpixels
    evidence : Evidence
    colour : (S,) float32 in [0, 1]
        Posterior of the colours of the video so far.
    members : (N, S) bool
        Candidates.
    scores : (N,) float32

    Returns
    -------
    (len(GLANCE_CUES), h, w) float32
        h and w are multiples of 8.
    """
    height, width = superpixels.labels.shape
    off_centre = 2 * np.abs(superpixels.centres / np.array([width, height], np.float32) - 0.5)
    table = np.stack(
        [
            *votes_of(members, scores),
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
    return pictures_of(superpixels, table.T)


def votes_of(members: NDArray[np.bool_], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """What candidates (N, S) say of every superpixel: (len(VOTES), S) float32 in [0, 1].

    Shares of the votes of all and of the best, the score of the best that holds it, and the very best.
    """
    if not len(scores):
        return np.zeros((len(VOTES), members.shape[1]), np.float32)
    weights = np.stack([scores**2, scores**6]) + np.float32(1e-9)
    shares = (weights / weights.sum(1, keepdims=True)) @ members
    highest = (members * scores[:, None]).max(0)
    return np.stack([*shares, highest, members[scores.argmax()]]).astype(np.float32)


def pictures_of(superpixels: Superpixels, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (C, S) of superpixels as the networks look at them: (C, h, w) float32."""
    height, width = superpixels.labels.shape
    size = view_size((height, width))
    return np.stack([shrink(row[superpixels.labels], size) for row in values])


def view_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) that the networks look at frames of a size at, multiples of 8."""
    factor = min(1.0, math.sqrt(PIXELS / (size[0] * size[1])))
    height, width = (STRIDE * max(1, round(side * factor / STRIDE)) for side in size)
    return height, width


@dataclass(frozen=True)
class View:
    """What the second network knows of one frame of its run, (h, w) being `view_size`.

    Parameters
    ----------
    cues : (len(GLANCE_CUES) + len(VOTES) + 1, h, w) float32
        What the first network saw, the votes of the candidates that came of it, and its answer.
    opinion : (h, w) float32 in [0, 1]
        Mean of its answer and of the votes of the best candidates.
    flow : (4, h, w) float32
        (dx, dy) forward, then backward, in pixels of this size.
    lab : (3, h, w) float32
    bins : (h, w) intp
        Its colours' bins.
    inside, outside : (NUM_BINS,) float64
        How often each occurs inside and outside of the opinion.
    """

    cues: NDArray[np.float32]
    opinion: NDArray[np.float32]
    flow: NDArray[np.float32]
    lab: NDArray[np.float32]
    bins: NDArray[np.intp]
    inside: NDArray[np.float64]
    outside: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        work: WorkFrame,
        cues: NDArray[np.float32],
        votes: NDArray[np.float32],
        glance: NDArray[np.float32],
    ) -> "View":
        """A frame as the second network sees it."""
        size = glance.shape[0], glance.shape[1]
        opinion = (glance + votes[VOTES.index("best_votes")]) / 2
        lab = np.stack([shrink(channel, size) for channel in np.moveaxis(work.lab, -1, 0)])
        bins = colour_bins(np.moveaxis(lab, 0, -1))
        counts = colour_counts(bins, opinion), colour_counts(bins, 1 - opinion)
        return cls(
            np.concatenate([cues, votes, glance[None]]), opinion, work.flow_at(size), lab, bins, *counts
        )


def survey_cues(
    run: Sequence[View], t: int, so_far: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float32]:
    """What the second network sees of frame `t` of a run of frames.

    Parameters
    ----------
    run : sequence of View
        At least the `REACH` frames before and after it, as far as the video has them.
    t : int
    so_far : two (NUM_BINS,) float64
        Sums of `inside` and `outside` from the video's first frame to the run's last.

    Returns
    -------
    (len(SURVEY_CUES), h, w) float32
    """
    here, near = run[t], run[max(0, t - REACH) : t + REACH + 1]
    flows = [view.flow for view in run]
    maps = [np.stack([view.opinion, view.cues[GLANCE_CUES.index("planar")]]) for view in run]
    opinions, planars = np.moveaxis(brought_along(maps, flows, t), 1, 0)
    nearby = np.sum([view.inside for view in near], 0), np.sum([view.outside for view in near], 0)
    colours = [colour_posterior(*counts)[here.bins] for counts in (so_far, nearby)]
    trust = mistrust([view.lab for view in run], flows, t)
    return np.concatenate([here.cues, opinions, planars, trust, np.stack(colours)])


def saliency(superpixels: Superpixels, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of a map (h, w) in every superpixel, (S,) float32."""
    height, width = superpixels.labels.shape
    return superpixels.mean(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))
