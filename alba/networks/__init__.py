"""The networks: selection and relational assignment."""

from alba.networks.relation import EarlyRelation, LateRelation
from alba.networks.selection import NUM_PICTURE_CHANNELS, SelectionNetwork, crop_proposals

__all__ = [
    "NUM_PICTURE_CHANNELS",
    "EarlyRelation",
    "LateRelation",
    "SelectionNetwork",
    "crop_proposals",
]
