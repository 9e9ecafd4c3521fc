"""Data sets: layouts on disk read as `Video`, and the embedded `sprites`."""

from alba.datasets.layouts import list_videos, open_video
from alba.datasets.video import Video, read_frame

__all__ = ["Video", "list_videos", "open_video", "read_frame"]
