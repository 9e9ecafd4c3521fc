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
from alba.metrics.similarity import pair_similarity

__all__ = [
    "PROTOCOLS",
    "STATISTICS",
    "Protocol",
    "VideoScores",
    "evaluate_video",
    "frame_rewards",
    "match_tracks",
    "pair_similarity",
    "summarise",
]
