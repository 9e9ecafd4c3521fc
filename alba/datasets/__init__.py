"""Data sets: layouts on disk read as `Video`, and those that alba makes."""

from alba.datasets.fbms import RegionTruth
from alba.datasets.layouts import list_videos, open_video
from alba.datasets.stores import open_as
from alba.datasets.video import Video, read_frame
from alba.datasets.youtube_vos import AnnotatedObject, ObjectTruth

__all__ = [
    "AnnotatedObject",
    "ObjectTruth",
    "RegionTruth",
    "Video",
    "list_videos",
    "open_as",
    "open_video",
    "read_frame",
]
