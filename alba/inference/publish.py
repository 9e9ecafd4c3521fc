"""What a segmentation leaves behind: indexed PNGs and a store."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alba.datasets import Video
from alba.errors import StoreError
from alba.masks import write_label_map
from alba.store import (
    SEGMENTATION,
    STORE_SIGN,
    StoreWriter,
    check_place,
    make_ready,
    publish_folder,
    ready_path,
)


def check_places(output: Path, masks: Path) -> None:
    """Raise `StoreError` unless a segmentation may be published there: to be asked before it is computed.

    Parameters
    ----------
    output, masks : Path
        As for `publish_segmentation`.
    """
    if output.resolve() == masks.resolve():
        raise StoreError(f"{output} cannot hold the store and the masks", "name a folder for each")
    check_place(masks)
    check_place(output, STORE_SIGN)


def publish_segmentation(
    video: Video,
    label_maps: NDArray[np.uint8],
    selection: NDArray[np.float32],
    slots: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    output: Path,
    masks: Path,
) -> None:
    """Publish indexed PNGs, then the store that announces them; where one cannot be written, neither is left.

    Parameters
    ----------
    video : Video
    label_maps : (T, H, W) uint8
        0 background, 1..20 tracks.
    selection : (N,) float32
        Selection network's output of every proposal; 1 where there was no network.
    slots : (N,) uint8
        Track that each proposal was joined to, 0 for none.
    provenance : mapping
    output : Path
        Segmentation store.
    masks : Path
        Folder of the PNGs, named like the frames.

    Raises
    ------
    StoreError
        One of them cannot be written or holds something else.
    """
    with ExitStack() as undone_by_failure:
        with StoreWriter(output, SEGMENTATION, video.size, dict(provenance)) as writer:
            writer.append("label_maps", label_maps)
            writer.append("selection", selection)
            writer.append("slot", slots)
            with publish_folder(masks) as folder:
                for path, label_map in zip(video.frame_paths, label_maps, strict=True):
                    write_label_map(folder / f"{path.stem}.png", label_map)
            undone_by_failure.callback(shutil.rmtree, masks, ignore_errors=True)
        undone_by_failure.pop_all()
    if ready_path(masks) != ready_path(output):
        make_ready(masks, {"store": output.name})
