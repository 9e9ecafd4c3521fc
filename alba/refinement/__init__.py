"""Refinement: what is known of a track at every pixel, for the network that draws its final mask."""

from alba.refinement.cues import CHANNELS, ObjectCues, jitter_colours, join_cues, mirror_cues, shared_cues
from alba.refinement.scene import Scene, View, look, working_size

__all__ = [
    "CHANNELS",
    "ObjectCues",
    "Scene",
    "View",
    "jitter_colours",
    "join_cues",
    "look",
    "mirror_cues",
    "shared_cues",
    "working_size",
]
