"""The stores of a video."""

from pathlib import Path
from typing import TypeVar

import alba.store
from alba.datasets.video import Video
from alba.errors import StoreError
from alba.store import Store

Kind = TypeVar("Kind", bound=Store)


def open_as(kind: type[Kind], path: Path, video: Video) -> Kind:
    """Open a store of one kind and check that it belongs to a video.

    Raises
    ------
    StoreError
        It is of another kind, size or number of frames, or was made from a video of another name.
    """
    store = alba.store.open(path)
    if isinstance(store, kind) and store.size == video.size and len(store) == len(video):
        made_from = store.attributes["provenance"].get("inputs", {}).get("video", video.name)
        if made_from == video.name:
            return store
    raise StoreError(
        f"{path} is no {kind.schema_name} store of the {len(video)} frames of {video.name}",
        "make it again from this video",
    )
