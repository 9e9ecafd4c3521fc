"""Composites: annotated objects of training videos, moving as they do there, in other training videos.

Everything that is seen was filmed, and what belongs to which object is known at every pixel: ground truth
of several objects, with occlusion, on real texture, out of a data set that has one object a video.
"""

from functools import partial
from pathlib import Path
from typing import Any

from alba.config import CompositesSettings, DatasetSettings
from alba.datasets.composite_plan import Composite, plan_composite
from alba.datasets.composite_render import render_composite
from alba.datasets.generated import GeneratedFolder, write_from_source
from alba.datasets.layouts import list_videos, open_video
from alba.datasets.video import Video


def write_composites(
    settings: CompositesSettings, source: DatasetSettings, split: str, output: Path, jobs: int = 1
) -> None:
    """Write the data set, in the layout of DAVIS 2017, and announce it by `<output>.ready.json`.

    The same settings give the same bytes, in however many processes.

    Parameters
    ----------
    settings : CompositesSettings
    source : DatasetSettings
        The data set that they are made from.
    split : str
        Its list of training videos; no other video is looked at.
    output : Path
        Folder of the data set; one that is there already is replaced.
    jobs : int
        Processes.

    Raises
    ------
    StoreError
        The folder cannot be written.
    DatasetError
        The source is missing, damaged or not annotated, or has too few videos.
    """
    sources = list_videos(source, split)
    names = settings.video_names(sources)
    videos = [open_video(source, name) for name in sources]
    write_video = partial(_write_video, settings, videos, tuple(names))
    write_from_source(write_video, names, output, jobs, "compose")


def _write_video(
    settings: CompositesSettings,
    videos: list[Video],
    names: tuple[str, ...],
    folder: GeneratedFolder,
    index: int,
) -> dict[str, Any]:
    composite = plan_composite(settings, videos, index)
    for t in range(composite.target.num_frames):
        folder.add_frame(names[index], t, *render_composite(composite, t))
    return _description(composite)


def _description(composite: Composite) -> dict[str, Any]:
    """What a composite was made from, as plain values."""
    target = composite.target
    return {
        "video": target.video.name,
        "start": target.start,
        "num_frames": target.num_frames,
        "mirrored": target.mirrored,
        "back_to_front": [
            "own objects"
            if layer is None
            else {
                "label": layer.label,
                "video": layer.clip.video.name,
                "object_id": layer.object_id,
                "start": layer.clip.start,
                "mirrored": layer.clip.mirrored,
                "scale": round(layer.scale, 4),
                "offset": [round(shift, 1) for shift in layer.offset],
            }
            for layer in composite.layers
        ],
    }
