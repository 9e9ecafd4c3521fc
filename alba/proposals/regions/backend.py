"""The backend `regions`: proposals from motion and colour."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from alba.config.backends import RegionsOptions
from alba.masks import mask_boxes
from alba.proposals.protocol import FrameInput, Proposals
from alba.proposals.regions.candidates import adjacent_pairs, distance_from_border, level_sets
from alba.proposals.regions.colour import NUM_BINS, colour_bins, colour_counts, colour_posterior
from alba.proposals.regions.features import FEATURE_NAMES, proposal_features
from alba.proposals.regions.frame import WorkFrame, reduce_frame
from alba.proposals.regions.memory import Memory, Recollection
from alba.proposals.regions.motion import Motion, relative, residual_motion
from alba.proposals.regions.ranking import Evidence, Scorer, score_candidates, score_still
from alba.proposals.regions.relabel import relabel
from alba.proposals.regions.saliency import (
    REACH,
    View,
    glance_cues,
    networks_for,
    pictures_of,
    saliency,
    survey_cues,
    votes_of,
)
from alba.proposals.regions.superpixels import Superpixels, find_superpixels, upsample
from alba.proposals.regions.suppression import suppress
from alba.proposals.regions.tree import tree_nodes
from alba.proposals.regions.unet import probability

T = TypeVar("T")

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Makes a map (h, w) in [0, 1] of cues (C, h, w)."""

_SMALLEST, _LARGEST = 4e-4, 0.7  # shares of the frame that a proposal may cover
_SURVIVORS = 150  # candidates that go on to the next round
_LEVELS = (0.2, 0.35, 0.5, 0.65, 0.8)  # thresholds on the maps, all in [0, 1]
_RECALLED_LEVELS = (0.3, 0.5, 0.7)
_SALIENT_LEVELS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
_SAME = 0.95  # IoU above which two candidates are one
_STILL = 12  # candidates kept for what they look like, whatever their motion
_VOTERS = 40  # candidates that the second network hears of
_REMEMBERED = 8  # candidates that the next frame is told of
_TREE_WEIGHTS = (
    (0.5, 4.0),
    (1.0, 1.0),
)  # of colour and motion: one tree of things that move as one, one of both


class RegionsBackend:
    """Embedded proposals; the same frames, flow and name of a video always give the same proposals.

    A first look at each frame finds candidates, with the best of the frame before among them; a second one
    adds what the frames before and after suggest.

    Parameters
    ----------
    options : RegionsOptions
    """

    def __init__(self, options: RegionsOptions) -> None:
        self._options = options
        self.provenance = {"backend": "regions", "weights": None}  # its settings tell the whole of it
        self._networks = networks_for("")

    @property
    def num_features(self) -> int:
        """Length of a feature vector."""
        return len(FEATURE_NAMES)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name per feature."""
        return FEATURE_NAMES

    def begin_video(self, name: str) -> None:
        """Ask the networks that were not trained on a video of this name."""
        self._networks = networks_for(name)

    def propose(
        self,
        frame: NDArray[np.uint8],
        flow_forward: NDArray[np.float32] | None,
        flow_backward: NDArray[np.float32] | None,
    ) -> Proposals:
        """Propose masks for a video of one frame; see `ProposalBackend.propose`.

        Calls in a row do not hear of each other: frames of one video go to `propose_video` together.
        """
        return next(self.propose_video([(frame, flow_forward, flow_backward)]))

    def propose_video(self, inputs: Iterable[FrameInput]) -> Iterator[Proposals]:
        """Propose masks for frame after frame; see `VideoProposalBackend.propose_video`."""
        first, second = (partial(probability, weights=weights) for weights in self._networks)
        return self._look_twice(inputs, first, second)

    def _look_twice(
        self, inputs: Iterable[FrameInput], first: "Network", second: "Network"
    ) -> Iterator[Proposals]:
        so_far = np.zeros((2, NUM_BINS))
        for run, t in with_neighbours(glances(inputs, first, so_far), REACH):
            here = run[t]
            evidence = here.evidence
            if len(here.pool.scores):
                evidence = survey(run, t, so_far, second)
                last_candidates(here.pool, evidence)
            yield self._proposals(here, evidence)

    def _proposals(self, here: "Glance", evidence: Evidence) -> Proposals:
        superpixels = here.superpixels
        members, scores = here.pool.chosen(self._options.nms_iou, self._options.max_proposals)
        masks = np.zeros((len(members), *here.size), bool)
        for mask, member in zip(masks, members, strict=True):
            mask[:] = upsample(superpixels.labels, member, here.size)
        features = proposal_features(superpixels, evidence, here.work, members)
        return Proposals(masks, mask_boxes(masks), scores, features)


@dataclass(frozen=True)
class Glance:
    """A frame as the first look at it leaves it.

    Parameters
    ----------
    size : (int, int)
        (H, W) of the frame.
    work : WorkFrame
    superpixels : Superpixels
    evidence : Evidence
    pool : Pool
        Its candidates; the second look adds to them.
    view : View
        What other frames hear of it.
    """

    size: tuple[int, int]
    work: WorkFrame
    superpixels: Superpixels
    evidence: Evidence
    pool: "Pool"
    view: View


def glances(
    inputs: Iterable[FrameInput],
    network: Network,
    so_far: NDArray[np.float64],
    score: Scorer = score_candidates,
) -> Iterator[Glance]:
    """Look at each frame of a video with no more than the past in mind.

    Parameters
    ----------
    inputs : iterable of FrameInput
    network : Network
        The first.
    so_far : (2, NUM_BINS) float64
        Counts of the colours inside and outside of what it saw; those of each frame are added.
    score : Scorer
        Of candidates.
    """
    memory, agreed = Memory(), np.zeros((2, NUM_BINS))
    for frame, flow_forward, flow_backward in inputs:
        work = reduce_frame(frame, flow_forward, flow_backward)
        motion = residual_motion(work)
        superpixels = find_superpixels(work.lab, motion.residual)
        evidence = gather_evidence(superpixels, work, motion, memory.recall(superpixels, work.backward))
        pool = first_candidates(superpixels, evidence, score)
        memory.keep(superpixels, pool.best(_REMEMBERED)[0], pool.consensus())
        cues = look(pool, evidence, agreed)
        glance = network(cues)
        evidence = replace(evidence, saliency=saliency(superpixels, glance))
        if len(pool.scores):
            second_candidates(pool, evidence)
        votes = pictures_of(superpixels, votes_of(*pool.best(_VOTERS, 0.85)))
        view = View.of(work, cues, votes, glance)
        so_far += view.inside, view.outside
        yield Glance((frame.shape[0], frame.shape[1]), work, superpixels, evidence, pool, view)


def survey(run: Sequence[Glance], t: int, so_far: NDArray[np.float64], network: Network) -> Evidence:
    """The evidence of frame `t` of a run with the saliency that the second network makes of the run.

    Parameters
    ----------
    run : sequence of Glance
        As `survey_cues` takes their views.
    t : int
    so_far : (2, NUM_BINS) float64
        What `glances` counted up to the run's last frame.
    network : Network
        The second.
    """
    here = run[t]
    picture = network(survey_cues([each.view for each in run], t, (so_far[0], so_far[1])))
    return replace(here.evidence, saliency=saliency(here.superpixels, picture))


def with_neighbours(items: Iterable[T], reach: int) -> Iterator[tuple[list[T], int]]:
    """Every item as a place in a run that holds the `reach` items before and after it, if there are so many.

    A run has at most 2 reach + 1 items.
    """
    run: deque[T] = deque(maxlen=2 * reach + 1)
    waiting = 0
    for item in items:
        run.append(item)
        waiting += 1
        if waiting > reach:
            yield list(run), len(run) - waiting
            waiting -= 1
    for left in range(waiting, 0, -1):
        yield list(run), len(run) - left


def gather_evidence(
    superpixels: Superpixels, work: WorkFrame, motion: Motion, recalled: Recollection
) -> Evidence:
    """Means of colour and motion in every superpixel, and what the past says of it."""
    planar, epipolar = relative(motion.planar), relative(motion.epipolar)
    length = np.linalg.norm(motion.residual, axis=-1)
    direction = motion.residual * (relative(length) / np.maximum(length, 1e-6))[..., None]
    lab = superpixels.mean(work.lab)
    velocity = superpixels.mean(direction)
    steps = np.concatenate([lab / 100, velocity], 1)
    return Evidence(
        lab,
        superpixels.mean(motion.residual) / np.float32(work.diagonal),
        velocity,
        superpixels.mean(planar),
        superpixels.mean(epipolar),
        distance_from_border(superpixels, steps),
        recalled,
    )


def first_candidates(
    superpixels: Superpixels, evidence: Evidence, score: Scorer = score_candidates
) -> "Pool":
    """Candidates that motion, colour and the past suggest, ranked and without near-duplicates."""
    total = float(superpixels.areas.sum())
    smallest, largest = _SMALLEST * total, _LARGEST * total
    pool = Pool(superpixels, evidence, score, smallest, largest)
    if len(superpixels) == 1:
        return pool
    recalled = evidence.recalled
    found = [
        level_sets(superpixels, _maps(evidence), _LEVELS, smallest),
        level_sets(superpixels, recalled.consensus[None], _RECALLED_LEVELS, smallest),
        recalled.coverage > 0.5,
    ]
    for colour, motion in _TREE_WEIGHTS:
        means = np.concatenate([evidence.lab * (colour / 50), evidence.velocity * motion], 1)
        found.append(tree_nodes(superpixels, means.astype(np.float32), smallest, largest))
    pool.add(np.concatenate(found))
    pool.set_aside()
    pool.thin(_SURVIVORS)
    return pool


def look(pool: "Pool", evidence: Evidence, agreed: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the first network sees of a frame with its first candidates.

    Their consensus adds to `agreed`, (2, NUM_BINS) float64, the counts of colours inside and outside of it.
    """
    bins, areas, consensus = colour_bins(evidence.lab), pool.superpixels.areas, pool.consensus()
    agreed += colour_counts(bins, areas * consensus), colour_counts(bins, areas * (1 - consensus))
    colour = colour_posterior(*agreed)[bins]
    return glance_cues(pool.superpixels, evidence, colour, pool.members, pool.scores)


def second_candidates(pool: "Pool", evidence: Evidence) -> None:
    """Add what the first candidates and the saliency suggest; rank all with the saliency."""
    superpixels, recalled = pool.superpixels, evidence.recalled
    assert evidence.saliency is not None
    consensus, salient = pool.consensus()[None], evidence.saliency[None]
    pool.reconsider(evidence)
    pairs = adjacent_pairs(superpixels, pool.best(40)[0], 80)
    guesses = [
        _maps(evidence),
        consensus,
        salient,
        pool.best(12)[0],
        recalled.consensus[None],
        recalled.coverage,
    ]
    guess = np.concatenate(guesses).astype(np.float32).T
    prior = np.clip(3 * (2 * guess - 1), -1.5, 1.5).astype(np.float32)
    soft = relabel(superpixels, evidence.lab, guess, prior)
    again = level_sets(superpixels, soft.T, (0.5,), pool.smallest)
    agreed = level_sets(superpixels, consensus, _LEVELS, pool.smallest)
    seen = level_sets(superpixels, salient, _SALIENT_LEVELS, pool.smallest)
    pool.add(np.concatenate([pairs, again, agreed, seen]))
    pool.thin(_SURVIVORS)


def last_candidates(pool: "Pool", evidence: Evidence) -> None:
    """Add what the second network sees; rank all by it."""
    assert evidence.saliency is not None
    pool.reconsider(evidence)
    pool.add(level_sets(pool.superpixels, evidence.saliency[None], _SALIENT_LEVELS, pool.smallest))


def _maps(evidence: Evidence) -> NDArray[np.float32]:
    return np.stack([evidence.planar, evidence.epipolar, evidence.distance])


class Pool:
    """Candidates found so far with their scores."""

    def __init__(
        self,
        superpixels: Superpixels,
        evidence: Evidence,
        score: Scorer,
        smallest: float,
        largest: float,
    ) -> None:
        self.superpixels, self.smallest = superpixels, smallest
        self._evidence, self._score, self._largest = evidence, score, largest
        self.members = self.still = np.zeros((0, len(superpixels)), bool)
        self.scores = np.zeros(0, np.float32)

    def add(self, members: NDArray[np.bool_]) -> None:
        """Take in new candidates of a fitting size."""
        areas = members @ self.superpixels.areas
        members = members[(areas >= self.smallest) & (areas <= self._largest)]
        if not len(members):
            return
        scores = self._score(self.superpixels, self._evidence, members)
        self.members = np.concatenate([self.members, members])
        self.scores = np.concatenate([self.scores, scores])

    def reconsider(self, evidence: Evidence) -> None:
        """Score all anew on more evidence."""
        self._evidence = evidence
        self.scores = self._score(self.superpixels, evidence, self.members)

    def set_aside(self) -> None:
        """Keep those that look most like an object in `still`, whatever their motion says."""
        if len(self.members):
            looks = score_still(self.superpixels, self._evidence, self.members)
            self.still = self.members[suppress(self.members, self.superpixels.areas, looks, 0.7, _STILL)]

    def chosen(self, overlap: float, most: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Members (N, S) bool and falling scores of the proposals.

        One in five places is for those set aside, the best-scored of them, while there are any.
        """
        self.add(self.still)
        overlap = min(overlap, _SAME)
        areas, scores = self.superpixels.areas, self.scores
        ahead = np.zeros(len(scores), np.float32)
        ahead[len(scores) - len(self.still) :] = 1
        ahead[suppress(self.members, areas, scores, overlap, most - most // 5)] = 2
        kept = suppress(self.members, areas, scores + ahead, overlap, most)
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        return self.members[kept], scores[kept]

    def thin(self, most: int) -> None:
        """Keep the best of them, no near-duplicates."""
        kept = suppress(self.members, self.superpixels.areas, self.scores, _SAME, most)
        self.members, self.scores = self.members[kept], self.scores[kept]

    def best(self, count: int, overlap: float = 0.7) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """The best distinct candidates, (N, S) bool, and their scores, (N,) float32."""
        kept = suppress(self.members, self.superpixels.areas, self.scores, overlap, count)
        return self.members[kept], self.scores[kept]

    def consensus(self) -> NDArray[np.float32]:
        """Share of the scores that hold each superpixel, (S,) float32 in [0, 1]."""
        if not len(self.scores):
            return np.zeros(len(self.superpixels), np.float32)
        weights = np.square(self.scores) ** 2
        votes = weights @ self.members
        return (votes / max(float(votes.max()), 1e-6)).astype(np.float32)
