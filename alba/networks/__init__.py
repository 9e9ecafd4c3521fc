"""The networks: selection, pairwise and relational assignment, refinement."""

from alba.networks.pairwise import PairwiseNetwork
from alba.networks.refinement import RefinementNetwork
from alba.networks.relation import EarlyRelation, LateRelation
from alba.networks.selection import NUM_PICTURE_CHANNELS, SelectionNetwork, crop_proposals

__all__ = [
    "NUM_PICTURE_CHANNELS",
    "EarlyRelation",
    "LateRelation",
    "PairwiseNetwork",
    "RefinementNetwork",
    "SelectionNetwork",
    "crop_proposals",
]
