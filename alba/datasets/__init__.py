"""Data sets: layouts on disk read as `Video`, and the embedded `sprites`."""

from alba.datasets.fbms import RegionTruth
from alba.datasets.layouts import list_videos, open_video
from alba.datasets.video import Video, read_frame
from alba.datasets.youtube_vos import AnnotatedObject, ObjectTruth

__all__ = [
    "AnnotatedObject",
    "ObjectTruth",
    "RegionTruth",
    "Video",
    "list_videos",
    "open_video",
    "read_frame",
]
