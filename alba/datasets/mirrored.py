"""The training videos of a data set, left and right exchanged.

The selection network mirrors half of its samples while it learns, and early fusion half of its frames. What
late fusion and policy gradient learn from, whole videos with their proposals, is not mirrored on the fly:
for them, and for the proposals' own features, a mirrored video is a video of its own.
"""

from functools import partial
from pathlib import Path
from typing import Any

from alba.config import DatasetSettings, MirroredSettings
from alba.datasets.clip import Clip
from alba.datasets.generated import GeneratedFolder, write_from_source
from alba.datasets.layouts import list_videos, open_video


def write_mirrored(
    settings: MirroredSettings, source: DatasetSettings, split: str, output: Path, jobs: int = 1
) -> None:
    """Write the data set, in the layout of DAVIS 2017, and announce it by `<output>.ready.json`.

    Parameters
    ----------
    settings : MirroredSettings
    source : DatasetSettings
        The data set that is mirrored.
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
        The source is missing, damaged or not annotated.
    """
    sources = list_videos(source, split)
    names = settings.video_names(sources)
    write_video = partial(_write_video, source, tuple(sources), tuple(names))
    write_from_source(write_video, names, output, jobs, "mirror")


def _write_video(
    source: DatasetSettings,
    sources: tuple[str, ...],
    names: tuple[str, ...],
    folder: GeneratedFolder,
    index: int,
) -> dict[str, Any]:
    video = open_video(source, sources[index])
    clip = Clip(video, 0, len(video), mirrored=True)
    for t in range(len(video)):
        folder.add_frame(names[index], t, clip.frame(t), clip.annotation(t))
    return {"video": video.name}
