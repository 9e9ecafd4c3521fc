"""Reading of stores, lazily, by frame, window or proposal."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import GroupNotFoundError

from alba.errors import StoreError
from alba.masks import unpack_masks
from alba.store.publish import ready_path
from alba.store.schema import FLOW_STEP, SCHEMAS


class Store:
    """One published store, open for reading.

    Index it by an array's name for the plain Zarr array.
    """

    schema_name: ClassVar[str]
    frame_array: ClassVar[str]
    """An array whose first axis is the frames."""

    def __init__(self, path: Path, group: zarr.Group) -> None:
        self.path = path
        self.group = group
        self.attributes: dict[str, Any] = dict(group.attrs)

    def __getitem__(self, name: str) -> "zarr.Array[Any]":
        array = self.group[name]
        assert isinstance(array, zarr.Array)
        return array

    def __len__(self) -> int:
        """Number of frames."""
        return int(self[self.frame_array].shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the video in pixels."""
        return int(self.attributes["height"]), int(self.attributes["width"])

    @property
    def digest(self) -> str:
        """Hash of everything the store holds, as its marker states it."""
        return str(json.loads(ready_path(self.path).read_text())["digest"])


class FlowStore(Store):
    """Optical flow of one video."""

    schema_name = "flow"
    frame_array = "forward"

    def forward(self, frames: int | slice) -> NDArray[np.float32]:
        """Flow t -> t + 1: (2, H, W) float32, (dx, dy) in pixels; (n, 2, H, W) for a slice."""
        return self["forward"][frames] * np.float32(FLOW_STEP)

    def backward(self, frames: int | slice) -> NDArray[np.float32]:
        """Flow t -> t - 1: (2, H, W) float32, (dx, dy) in pixels; (n, 2, H, W) for a slice."""
        return self["backward"][frames] * np.float32(FLOW_STEP)


class ProposalStore(Store):
    """Mask proposals of one video; N_t of them in frame t."""

    schema_name = "proposals"

    def __init__(self, path: Path, group: zarr.Group) -> None:
        super().__init__(path, group)
        self.offsets: NDArray[np.int64] = self["frame_offsets"][:]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.offsets) - 1

    def rows(self, t: int) -> slice:
        """Where the proposals of frame `t` stand on the proposal axis."""
        return slice(int(self.offsets[t]), int(self.offsets[t + 1]))

    def masks(self, rows: slice) -> NDArray[np.bool_]:
        """Masks of a range of proposals: (n, H, W) bool."""
        return unpack_masks(self["masks"][rows], self.size[1])

    def frame_masks(self, t: int) -> NDArray[np.bool_]:
        """Masks of frame `t`: (N_t, H, W) bool, by falling score."""
        return self.masks(self.rows(t))


class LabelStore(Store):
    """What the greedy oracle says of one annotated video."""

    schema_name = "labels"
    frame_array = "ground_truth"


class SegmentationStore(Store):
    """A segmentation of one video and the decisions behind it."""

    schema_name = "segmentation"
    frame_array = "label_maps"


_CLASSES: dict[str, type[Store]] = {
    kind.schema_name: kind for kind in (FlowStore, ProposalStore, LabelStore, SegmentationStore)
}


def open(path: str | Path) -> Store:
    """Open a published store for reading.

    Parameters
    ----------
    path : str or Path
        ``<video>.zarr``.

    Returns
    -------
    FlowStore, ProposalStore, LabelStore or SegmentationStore
        By what the store says it is.

    Raises
    ------
    StoreError
        There is no such store, it is no store of alba's, or its schema is another version.
    """
    path = Path(path)
    remedy = "let the workflow make it again, or remove it"
    try:
        group = zarr.open_group(path, mode="r")
    except (GroupNotFoundError, FileNotFoundError):
        raise StoreError(f"{path} is missing or no Zarr group", remedy) from None
    name = group.attrs.get("schema")
    schema = SCHEMAS.get(str(name))
    if schema is None:
        raise StoreError(f"{path} is no store of alba (schema {name!r})", remedy)
    if group.attrs["schema_version"] != schema.version:
        raise StoreError(
            f"{path} has {name} schema {group.attrs['schema_version']}, this version reads {schema.version}",
            remedy,
        )
    return _CLASSES[schema.name](path, group)
