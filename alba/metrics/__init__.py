"""J, F, matching and statistics by the rules of the benchmarks; `alba.metrics.reward` has them in torch."""

from alba.metrics.davis import (
    PROTOCOLS,
    STATISTICS,
    Protocol,
    VideoScores,
    evaluate_video,
    frame_rewards,
    match_tracks,
    summarise,
)
from alba.metrics.fbms import RegionScores, evaluate_regions
from alba.metrics.similarity import pair_similarity
from alba.metrics.youtube_vos import SEEN_CATEGORIES, choose_tracks, evaluate_objects

__all__ = [
    "PROTOCOLS",
    "SEEN_CATEGORIES",
    "STATISTICS",
    "Protocol",
    "RegionScores",
    "VideoScores",
    "choose_tracks",
    "evaluate_objects",
    "evaluate_regions",
    "evaluate_video",
    "frame_rewards",
    "match_tracks",
    "pair_similarity",
    "summarise",
]
