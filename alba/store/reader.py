"""Reading of stores, lazily, by frame, window or proposal."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import zarr
from numpy.typing import NDArray

from alba.errors import StoreError
from alba.masks import unpack_masks
from alba.store.local_array import LocalArray, open_local
from alba.store.location import MAKE_AGAIN, Location, first_line
from alba.store.publish import content_digest
from alba.store.schema import SCHEMAS, ArraySpec, StoreSchema

if TYPE_CHECKING:
    import xarray

Rows = int | slice | NDArray[np.integer]


class Store:
    """One published store, open for reading; nothing is read before it is asked for.

    Index it by an array's name for the plain Zarr array, as it is stored. `read`, `frame`, `window` and
    `proposals` give decoded arrays: masks as bool, flow in pixels.

    Parameters
    ----------
    location : Location
    group : zarr.Group
    digest : str
        Hash of everything the store holds, as its marker states it.
    """

    schema_name: ClassVar[str]
    frame_array: ClassVar[str]
    """An array whose first axis is the frames."""

    def __init__(self, location: Location, group: zarr.Group, digest: str) -> None:
        self.address = location.address
        self.folder = location.folder
        self.group = group
        self.digest = digest
        self.attributes: dict[str, Any] = dict(group.attrs)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._local_arrays: dict[str, LocalArray | None] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def __getitem__(self, name: str) -> "zarr.Array[Any]":
        """The plain Zarr array.

        Raises
        ------
        KeyError
            Stores of this kind have no such array.
        StoreError
            They have, but this one is damaged.
        """
        if name not in self._arrays:
            self._spec(name)
            try:
                array = self.group[name]
            except (KeyError, ValueError, OSError) as error:
                raise self._damaged(name, error) from error
            assert isinstance(array, zarr.Array)
            self._arrays[name] = array
        return self._arrays[name]

    def __len__(self) -> int:
        """Number of frames."""
        return int(self[self.frame_array].shape[0])

    @property
    def schema(self) -> StoreSchema:
        """What stores of this kind hold."""
        return SCHEMAS[self.schema_name]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the video in pixels."""
        return int(self.attributes["height"]), int(self.attributes["width"])

    def read(self, name: str, rows: Rows = slice(None)) -> NDArray[Any]:
        """Rows of one array, decoded; reads the chunks that hold them and no others.

        Parameters
        ----------
        name : str
        rows : int, slice or (n,) integers
            Along the first axis.

        Returns
        -------
        array
            As `docs/stores.md` documents it, but masks are (..., H, W) bool instead of bits, and what
            carries a ``scale_factor`` is float32 in its units.

        Raises
        ------
        IndexError
            There is no such row.
        StoreError
            The array is damaged.
        """
        return self._decode(self._spec(name), self.stored(name, rows))

    def stored(self, name: str, rows: Rows = slice(None)) -> NDArray[Any]:
        """The same rows as they are stored: masks as bits, flow in steps.

        Raises
        ------
        IndexError
            There is no such row.
        StoreError
            The array is damaged.
        """
        try:
            return self._stored(name, rows)
        except IndexError:
            raise
        except (RuntimeError, ValueError, OSError) as error:  # what the codecs say to damaged bytes
            raise self._damaged(name, error) from error

    def window(self, start: int, stop: int, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Decoded arrays of frames `start` up to `stop`, exclusive.

        Parameters
        ----------
        start, stop : int
            0 <= start <= stop <= T.
        names : iterable of str, optional
            Which arrays; all that have a value per frame if left out.

        Returns
        -------
        dict
            (stop - start, ...) each.

        Raises
        ------
        IndexError
            The window reaches beyond the video.
        KeyError
            An array has no value per frame.
        StoreError
            The store is damaged.
        """
        self._check_window(start, stop)
        return {name: self.read(name, slice(start, stop)) for name in self._chosen("frame", names)}

    def frame(self, t: int, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Decoded arrays of frame `t`, without the frame axis; otherwise as `window`."""
        return {name: values[0] for name, values in self.window(t, t + 1, names).items()}

    def proposals(self, rows: Rows, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Decoded arrays of some proposals.

        Parameters
        ----------
        rows : int, slice or (n,) integers
            On the proposal axis, which all stores of a video share; `ProposalStore.rows` gives the
            proposals of a frame.
        names : iterable of str, optional
            Which arrays; all that have a value per proposal if left out.
        """
        return {name: self.read(name, rows) for name in self._chosen("proposal", names)}

    def verify(self) -> None:
        """Read everything and compare it with the digests that the writer left.

        Raises
        ------
        StoreError
            An array is missing, cannot be decoded or holds other values than were written.
        """
        stated = self.attributes["digests"]
        for name in self.schema.arrays:
            array, found = self[name], hashlib.sha256()
            step = (array.shards or array.chunks)[0]
            try:
                for start in range(0, array.shape[0], step):
                    found.update(np.ascontiguousarray(array[start : start + step]).tobytes())
            except (RuntimeError, ValueError, OSError) as error:
                raise self._damaged(name, error) from error
            if found.hexdigest() != stated[name]:
                raise StoreError(f"array {name} of {self.address} is not what was written", MAKE_AGAIN)

    def to_xarray(self) -> "xarray.Dataset":
        """The store as a Dataset that reads lazily; see `alba.store.xarray_view.to_xarray`."""
        from alba.store.xarray_view import to_xarray

        return to_xarray(self)

    def _check_window(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"frames {start}..{stop} of {self.address}, which has {len(self)}")

    def _chosen(self, axis: str, names: Iterable[str] | None) -> list[str]:
        along = [name for name, spec in self.schema.arrays.items() if spec.axes[0] == axis]
        chosen = along if names is None else list(names)
        for name in chosen:
            if name not in along:
                raise KeyError(f"{name!r} of a {self.schema_name} store has no value per {axis}, but {along}")
        return chosen

    def _spec(self, name: str) -> ArraySpec:
        if name not in self.schema.arrays:
            raise KeyError(f"a {self.schema_name} store has no {name!r}, but {[*self.schema.arrays]}")
        return self.schema.arrays[name]

    def _stored(self, name: str, rows: Rows) -> NDArray[Any]:
        """Rows as they are stored: by Zarr, unless they are neighbours in an array that needs no Zarr."""
        array = self._local_array(name)
        if array is not None and isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(array.shape[0])
            return array.read(start, max(start, stop))
        if array is not None and isinstance(rows, int | np.integer):
            row = int(np.arange(array.shape[0])[rows])
            return np.asarray(array.read(row, row + 1)[0])
        return np.asarray(self[name].oindex[rows])

    def _local_array(self, name: str) -> LocalArray | None:
        if name not in self._local_arrays:
            spec = self._spec(name)
            self._local_arrays[name] = open_local(self.folder / name, spec.dtype) if self.folder else None
        return self._local_arrays[name]

    def _decode(self, spec: ArraySpec, stored: NDArray[Any]) -> NDArray[Any]:
        if spec.axes[-1] == "packed_column":
            return unpack_masks(stored, self.size[1])
        if "scale_factor" in spec.attributes:
            return stored * np.float32(spec.attributes["scale_factor"])
        return stored

    def _damaged(self, name: str, error: Exception) -> StoreError:
        return StoreError(f"array {name} of {self.address} is damaged ({first_line(error)})", MAKE_AGAIN)


class FlowStore(Store):
    """Optical flow of one video."""

    schema_name = "flow"
    frame_array = "forward"

    def forward(self, frames: Rows) -> NDArray[np.float32]:
        """Flow t -> t + 1: (2, H, W) float32, (dx, dy) in pixels; (n, 2, H, W) for a slice."""
        return self.read("forward", frames)

    @property
    def has_backward(self) -> bool:
        """Whether the backward flow was stored (setting `backward` of the flow stage)."""
        return "backward" in self.attributes["digests"]

    @property
    def schema(self) -> StoreSchema:
        """What this store holds: the flow both ways, or forward alone."""
        whole = super().schema
        return whole if self.has_backward else replace(whole, arrays={"forward": whole.arrays["forward"]})

    def backward(self, frames: Rows) -> NDArray[np.float32]:
        """Flow t -> t - 1: (2, H, W) float32, (dx, dy) in pixels; (n, 2, H, W) for a slice.

        Raises
        ------
        StoreError
            The store was made without it.
        """
        if not self.has_backward:
            raise StoreError(f"{self.address} holds no backward flow", "make it with flow.backward: true")
        return self.read("backward", frames)


class ProposalStore(Store):
    """Mask proposals of one video; N_t of them in frame t."""

    schema_name = "proposals"

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.offsets) - 1

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Proposals of frame t are rows offsets[t] up to offsets[t + 1], exclusive: (T + 1,)."""
        return self.read("frame_offsets")

    def rows(self, t: int) -> slice:
        """Where the proposals of frame `t` stand on the proposal axis."""
        self._check_window(t, t + 1)
        return slice(int(self.offsets[t]), int(self.offsets[t + 1]))

    def masks(self, rows: slice) -> NDArray[np.bool_]:
        """Masks of a range of proposals: (n, H, W) bool."""
        return self.read("masks", rows)

    def frame_masks(self, t: int) -> NDArray[np.bool_]:
        """Masks of frame `t`: (N_t, H, W) bool, by falling score."""
        return self.masks(self.rows(t))

    def window(self, start: int, stop: int, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Decoded arrays of all proposals of frames `start` up to `stop`, exclusive.

        Returns
        -------
        dict
            (n, ...) each, and ``frame_offsets`` (stop - start + 1,) int64 that starts at 0: the proposals of
            the window's frame i are rows frame_offsets[i] up to frame_offsets[i + 1].
        """
        self._check_window(start, stop)
        edges = self.offsets[start : stop + 1]
        rows = slice(int(edges[0]), int(edges[-1]))
        return {"frame_offsets": edges - edges[0], **self.proposals(rows, names)}

    def frame(self, t: int, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Decoded arrays of the proposals of frame `t`, (N_t, ...) each, by falling score."""
        return self.proposals(self.rows(t), names)

    def proposal(self, index: int, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Decoded arrays of one proposal: ``masks`` (H, W), ``boxes`` (4,), ``scores``, ``features`` (D,)."""
        return self.proposals(index, names)

    def frame_of(self, index: int) -> int:
        """The frame that a proposal stands in."""
        if not 0 <= index < self.offsets[-1]:
            raise IndexError(f"proposal {index} of {self.address}, which has {self.offsets[-1]}")
        return int(np.searchsorted(self.offsets, index, side="right")) - 1


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


def open(path: str | Path, storage_options: Mapping[str, Any] | None = None) -> Store:
    """Open a published store for reading; its arrays are read when they are asked for.

    Parameters
    ----------
    path : str or Path
        ``<video>.zarr``: a local path, or a URL of any file system of fsspec, such as
        ``s3://bucket/bear.zarr`` (needs the extra ``alba[s3]``). The marker ``<video>.ready.json`` must
        stand beside it.
    storage_options : mapping, optional
        For the URL's file system, such as ``{"anon": True}``.

    Returns
    -------
    FlowStore, ProposalStore, LabelStore or SegmentationStore
        By what the store says it is.

    Raises
    ------
    StoreError
        There is no such store, it is half-written or no store of alba's, its schema is of another version,
        or its place cannot be reached.
    """
    location = Location(path, storage_options)
    group = location.open_group()
    schema = _checked_schema(location, group)
    marker = location.read_marker()
    if marker["digest"] != content_digest(group.attrs.get("digests", {})):
        raise StoreError(f"{location} is not the store that its marker announces", MAKE_AGAIN)
    return _CLASSES[schema.name](location, group, marker["digest"])


def open_xarray(path: str | Path, storage_options: Mapping[str, Any] | None = None) -> "xarray.Dataset":
    """Open a published store as an xarray Dataset that reads lazily: ``open(...).to_xarray()``."""
    return open(path, storage_options).to_xarray()


def _checked_schema(location: Location, group: zarr.Group) -> StoreSchema:
    name, version = group.attrs.get("schema"), group.attrs.get("schema_version")
    schema = SCHEMAS.get(str(name))
    if schema is None:
        raise StoreError(f"{location} is no store of alba (schema {name!r})", "name a store, or remove it")
    if version != schema.version:
        raise StoreError(
            f"{location} has {name} schema {version}, this version of alba reads {schema.version}",
            f"let the workflow make it again, or read it with alba {group.attrs.get('package_version')}",
        )
    return schema
