"""The backend `regions`: proposals from motion and colour."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alba.config.backends import RegionsOptions
from alba.masks import mask_boxes
from alba.proposals.protocol import Proposals
from alba.proposals.regions.candidates import adjacent_pairs, distance_from_border, level_sets
from alba.proposals.regions.features import FEATURE_NAMES, proposal_features
from alba.proposals.regions.frame import WorkFrame, reduce_frame
from alba.proposals.regions.memory import Memory, Recollection
from alba.proposals.regions.motion import Motion, relative, residual_motion
from alba.proposals.regions.ranking import Evidence, Scorer, discount_loose, score_candidates
from alba.proposals.regions.relabel import relabel
from alba.proposals.regions.saliency import ColourModel, saliency, saliency_cues, saliency_networks
from alba.proposals.regions.superpixels import Superpixels, find_superpixels, upsample
from alba.proposals.regions.suppression import suppress
from alba.proposals.regions.tree import tree_nodes

_SMALLEST, _LARGEST = 4e-4, 0.7  # shares of the frame that a proposal may cover
_SURVIVORS = 150  # candidates that go on to the next round
_LEVELS = (0.2, 0.35, 0.5, 0.65, 0.8)  # thresholds on the maps, all in [0, 1]
_RECALLED_LEVELS = (0.3, 0.5, 0.7)
_SALIENT_LEVELS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
REMEMBERED = 8  # proposals that the next frame is told of
_TREE_WEIGHTS = (
    (0.5, 4.0),
    (1.0, 1.0),
)  # of colour and motion: one tree of things that move as one, one of both


class RegionsBackend:
    """Embedded proposals; the same frames, flow and name of a video always give the same proposals.

    The proposals of the frame before, moved along the flow, are candidates again.

    Parameters
    ----------
    options : RegionsOptions
    """

    def __init__(self, options: RegionsOptions) -> None:
        self._options = options
        self.provenance = {"backend": "regions", "weights": None}  # its settings tell the whole of it
        self.begin_video("")

    @property
    def num_features(self) -> int:
        """Length of a feature vector."""
        return len(FEATURE_NAMES)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name per feature."""
        return FEATURE_NAMES

    def begin_video(self, name: str) -> None:
        """Forget the frames so far; ask the networks that were not trained on a video of this name."""
        self._networks = saliency_networks(name)
        self._memory, self._colours = Memory(), ColourModel()

    def propose(
        self,
        frame: NDArray[np.uint8],
        flow_forward: NDArray[np.float32] | None,
        flow_backward: NDArray[np.float32] | None,
    ) -> Proposals:
        """Propose masks for one frame; see `ProposalBackend.propose`."""
        work = reduce_frame(frame, flow_forward, flow_backward)
        motion = residual_motion(work)
        superpixels = find_superpixels(work.lab, motion.residual)
        recalled = self._memory.recall(superpixels, work.backward)
        evidence = gather_evidence(superpixels, work, motion, recalled)
        pool = first_candidates(superpixels, evidence)
        if len(pool.scores):
            cues = look(pool, evidence, self._colours)
            evidence = replace(evidence, saliency=saliency(superpixels, cues, self._networks))
            second_candidates(pool, evidence)
        self._memory.keep(superpixels, pool.best(REMEMBERED), pool.consensus())
        members, scores = self._choose(pool, evidence)
        regions = upsample(superpixels, evidence.lab, frame)
        masks = np.empty((len(members), *regions.shape), bool)
        for mask, member in zip(masks, members, strict=True):
            member.take(regions, out=mask, mode="clip")  # unlike others, this mode needs no buffer
        features = proposal_features(superpixels, evidence, work, members)
        return Proposals(masks, mask_boxes(masks), scores, features)

    def _choose(self, pool: "Pool", evidence: Evidence) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Members (K, S) and scores (K,) of what is proposed, by falling score."""
        options, areas = self._options, pool.superpixels.areas
        kept = suppress(pool.members, areas, pool.scores, options.nms_iou, options.max_proposals)
        members = pool.members[kept]
        scores = discount_loose(pool.superpixels, evidence, members, pool.scores[kept])
        order = np.argsort(-scores, kind="stable")
        return members[order], scores[order]


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
    pool.thin(_SURVIVORS)
    return pool


def look(pool: "Pool", evidence: Evidence, colours: ColourModel) -> NDArray[np.float32]:
    """What the saliency's networks see of a frame with its first candidates, from whose colours it learns."""
    colours.learn(pool.superpixels, evidence.lab, pool.consensus())
    colour = colours.posterior(evidence.lab)
    return saliency_cues(pool.superpixels, evidence, colour, pool.members, pool.scores)


def second_candidates(pool: "Pool", evidence: Evidence) -> None:
    """Add what the first candidates and the saliency suggest; rank all with the saliency."""
    superpixels, recalled = pool.superpixels, evidence.recalled
    assert evidence.saliency is not None
    consensus, salient = pool.consensus()[None], evidence.saliency[None]
    pool.reconsider(evidence)
    pairs = adjacent_pairs(superpixels, pool.best(40), 80)
    guesses = [
        _maps(evidence),
        consensus,
        salient,
        pool.best(12),
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
        self.members = np.zeros((0, len(superpixels)), bool)
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

    def thin(self, most: int) -> None:
        """Keep the best of them, no near-duplicates."""
        kept = suppress(self.members, self.superpixels.areas, self.scores, 0.95, most)
        self.members, self.scores = self.members[kept], self.scores[kept]

    def best(self, count: int) -> NDArray[np.bool_]:
        """The best distinct candidates, (N, S) bool."""
        return self.members[suppress(self.members, self.superpixels.areas, self.scores, 0.7, count)]

    def consensus(self) -> NDArray[np.float32]:
        """Share of the scores that hold each superpixel, (S,) float32 in [0, 1]."""
        if not len(self.scores):
            return np.zeros(len(self.superpixels), np.float32)
        weights = np.square(self.scores) ** 2
        votes = weights @ self.members
        return (votes / max(float(votes.max()), 1e-6)).astype(np.float32)
