"""Data sets that alba makes: written in the layout of DAVIS 2017, each video with what it was made from."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alba.errors import DatasetError
from alba.masks import write_label_map
from alba.progress import progress
from alba.store import make_ready, publish_folder
from alba.workers import worker_processes

JPEG_QUALITY = 95

_ORIGINS = "origins.json"


@dataclass(frozen=True)
class GeneratedFolder:
    """The folder of a generated data set while it is filled.

    Parameters
    ----------
    root : Path
        Gets ``JPEGImages/480p/<video>/00000.jpg``, ``Annotations_unsupervised/480p/<video>/00000.png``,
        ``ImageSets/2017/<split>.txt`` and, where other videos are the source, ``origins.json``.
    """

    root: Path

    def add_frame(self, video: str, t: int, frame: NDArray[np.uint8], label_map: NDArray[np.uint8]) -> None:
        """Write frame `t` of a video, (H, W, 3) RGB, and its ground truth, (H, W)."""
        frames = self.root / "JPEGImages" / "480p" / video
        annotations = self.root / "Annotations_unsupervised" / "480p" / video
        for folder in (frames, annotations):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(frames / f"{t:05d}.jpg", quality=JPEG_QUALITY)
        write_label_map(annotations / f"{t:05d}.png", label_map)

    def add_list(self, split: str, videos: Sequence[str]) -> None:
        """Write the list of a split's videos."""
        lists = self.root / "ImageSets" / "2017"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("".join(f"{video}\n" for video in videos))

    def add_origins(self, origins: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what each video was made from: plain values, for `read_made_from`."""
        (self.root / _ORIGINS).write_text(json.dumps(origins, indent=1) + "\n")

    def digest(self) -> str:
        """SHA-256 of the names and contents of all files."""
        whole = hashlib.sha256()
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            whole.update(path.relative_to(self.root).as_posix().encode() + b"\0")
            whole.update(hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()


def write_from_source(
    write_video: Callable[[GeneratedFolder, int], dict[str, Any]],
    names: Sequence[str],
    output: Path,
    jobs: int,
    description: str,
) -> None:
    """Write a data set of training videos that are made from those of another one, and announce it.

    Parameters
    ----------
    write_video : callable
        Writes the frames of the video of an index and returns what it was made from; can be pickled.
    names : sequence of str
        Of the videos.
    output : Path
        Folder of the data set; one that is there already is replaced.
    jobs : int
        Processes.
    description : str
        Name of the progress bar.

    Raises
    ------
    StoreError
        The folder cannot be written.
    DatasetError
        What `write_video` raises, or a process was killed.
    """
    with publish_folder(output) as root:
        folder = GeneratedFolder(root)
        origins = _map(partial(write_video, folder), len(names), jobs, description)
        folder.add_list("train", names)
        folder.add_origins(dict(zip(names, origins, strict=True)))
        digest = folder.digest()
    make_ready(output, {"num_videos": len(names), "digest": digest})


def _map(write: Callable[[int], Any], num: int, jobs: int, description: str) -> list[Any]:
    if jobs == 1:
        return [write(index) for index in progress(range(num), description, unit="video")]
    with worker_processes(min(jobs, num)) as pool:
        try:
            return list(progress(pool.map(write, range(num)), description, num, unit="video"))
        except BrokenProcessPool:
            raise DatasetError("a process was killed", "give it more memory, or fewer jobs") from None


def read_made_from(root: Path) -> dict[str, tuple[str, ...]]:
    """Names of the source's videos that each video shows, first that which fills its frames.

    Returns
    -------
    dict of str to tuple of str
        Empty for a data set that was made from no other.

    Raises
    ------
    DatasetError
        The file is damaged.
    """
    path = root / _ORIGINS
    if not path.is_file():
        return {}
    try:
        return {video: _shown(entry) for video, entry in json.loads(path.read_text()).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} cannot be parsed ({error})", "make the data set again") from None


def _shown(entry: Mapping[str, Any]) -> tuple[str, ...]:
    pasted = [layer["video"] for layer in entry.get("back_to_front", ()) if layer != "own objects"]
    return tuple(dict.fromkeys([str(entry["video"]), *pasted]))
