"""Publication: an output is complete and valid, or absent.

Everything is written to a `.partial` sibling, checked, renamed into place, and only then announced by
a `.ready.json` beside it. A process killed at any moment leaves at most a `.partial`, which the next
start removes.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from alba import __version__
from alba.errors import StoreError
from alba.store.schema import ArraySpec, StoreSchema

STORE_SIGN = "zarr.json"
"""File by which a store is known where no marker stands beside it."""

_SHARD_CHUNKS = 16
_SHARD_BYTES = 64 * 1024**2
"""A shard file holds at most so many chunks and so many bytes before compression, but one chunk at least;
the writer keeps one shard per array in memory."""


def ready_path(path: Path) -> Path:
    """The marker beside an output: ``bear.zarr`` has ``bear.ready.json``."""
    return path.with_name(path.name.removesuffix(".zarr") + ".ready.json")


def make_ready(path: Path, content: Mapping[str, Any]) -> None:
    """Announce an output: deterministic JSON, written whole or not at all."""
    marker = ready_path(path)
    partial = marker.with_name(marker.name + ".partial")
    partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    partial.replace(marker)


def content_digest(digests: Mapping[str, str]) -> str:
    """Hash of everything a store holds, from the hashes of its arrays."""
    return hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


@contextmanager
def publish_folder(path: Path, sign: str = "") -> Iterator[Path]:
    """Yield an empty folder that becomes `path` if the block succeeds; if it fails, neither is left.

    An output that is there is no longer announced from the start, and replaced at the end of the block: until
    then it can be read.

    Parameters
    ----------
    path : Path
    sign : str, optional
        File by which such an output is known where no marker stands beside it.

    Raises
    ------
    StoreError
        The place cannot be written, or holds what is no output.
    """
    partial = _partial(path)
    check_place(path, sign)
    try:
        ready_path(path).unlink(missing_ok=True)
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    except BaseException as error:
        for folder in (partial, path):
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def check_place(path: Path, sign: str = "") -> None:
    """Raise `StoreError` unless an output may be published there: nothing else is lost by it.

    Parameters
    ----------
    path, sign
        As for `publish_folder`.
    """
    if not path.name:
        raise StoreError(f"{path} names no folder", "name a new one")
    try:
        if not _is_output(path, sign):
            raise StoreError(f"{path} is there and was not made by alba", "name another folder, or remove it")
    except OSError as error:
        raise _unwritable(path, error) from None


def _is_output(path: Path, sign: str) -> bool:
    """Whether a place is free or holds an output; of hidden files nobody's work is made."""
    if not path.is_dir():
        return not path.exists()
    if ready_path(path).is_file() or (sign and (path / sign).is_file()):
        return True
    return all(entry.name.startswith(".") for entry in path.iterdir())


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written ({error.strerror or error})",
        "check permissions and free space, or set another cache_root",
    )


class StoreWriter:
    """Writes one store, block by block, and publishes it when its `with` block ends well.

    Parameters
    ----------
    path : Path
        ``<video>.zarr``.
    schema : StoreSchema
    size : tuple of int
        (H, W) of the video in pixels.
    provenance : mapping
        Plain values: settings, revision, backend, weights, digest of the inputs.
    """

    def __init__(
        self, path: Path, schema: StoreSchema, size: tuple[int, int], provenance: Mapping[str, Any]
    ) -> None:
        self.path = path
        self.schema = schema
        self.attributes = {
            "schema": schema.name,
            "schema_version": schema.version,
            "height": size[0],
            "width": size[1],
            "package_version": __version__,
            "provenance": dict(provenance),
        }
        self._columns = {name: _Appender(name, spec) for name, spec in schema.arrays.items()}

    def __enter__(self) -> Self:
        self._publication = publish_folder(self.path, STORE_SIGN)
        self._group = zarr.open_group(self._publication.__enter__(), mode="w-", zarr_format=3)
        return self

    def append(self, name: str, rows: NDArray[Any]) -> None:
        """Add rows along the first axis of an array.

        Parameters
        ----------
        name : str
        rows : (n, ...) array
            Of the dtype that the schema names.
        """
        self._columns[name].append(self._group, rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                self._finish()
            except BaseException as failure:
                self._publication.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._publication.__exit__(kind, error, trace)
        if error is None:
            make_ready(self.path, self._ready)

    def _finish(self) -> None:
        for column in self._columns.values():
            column.finish(self._group)
        lengths: dict[str, tuple[int, str]] = {}
        for name, column in self._columns.items():
            for axis, length in zip(column.spec.axes, column.shape, strict=True):
                known, owner = lengths.setdefault(axis, (length, name))
                if known != length:
                    raise StoreError(
                        f"{self.path}: axis {axis} has {known} entries in {owner}, {length} in {name}",
                        "this is a defect of the stage that wrote it; report it",
                    )
        digests = {name: column.digest for name, column in self._columns.items()}
        shapes = {name: list(column.shape) for name, column in self._columns.items()}
        self._group.attrs.update({**self.attributes, "digests": digests})
        self._ready = {
            "schema": self.schema.name,
            "schema_version": self.schema.version,
            "shapes": shapes,
            "digest": content_digest(digests),
        }


class _Appender:
    """One growing array; rows wait until a whole shard is full, so that no shard is written twice."""

    def __init__(self, name: str, spec: ArraySpec) -> None:
        self.name = name
        self.spec = spec
        self.shape: tuple[int, ...] = ()
        self._hash = hashlib.sha256()
        self._waiting: list[NDArray[Any]] = []
        self._num_waiting = 0
        self._array: zarr.Array[Any] | None = None

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def append(self, group: zarr.Group, rows: NDArray[Any]) -> None:
        if rows.dtype != np.dtype(self.spec.dtype) or rows.ndim != len(self.spec.axes):
            raise TypeError(
                f"{self.name} takes {self.spec.dtype} {self.spec.axes}, got {rows.dtype} {rows.shape}"
            )
        rows = np.ascontiguousarray(rows)
        if self._array is None:
            self._array = self._create(group, rows)
            self.shape = (0, *rows.shape[1:])
        self.shape = (self.shape[0] + len(rows), *self.shape[1:])
        self._hash.update(rows.tobytes())
        self._waiting.append(rows)
        self._num_waiting += len(rows)
        shard_rows = (self._array.shards or self._array.chunks)[0]
        if self._num_waiting >= shard_rows:
            block = np.concatenate(self._waiting)
            whole = len(block) - len(block) % shard_rows
            self._array.append(block[:whole])
            self._waiting = [block[whole:]]
            self._num_waiting = len(block) - whole

    def finish(self, group: zarr.Group) -> None:
        if self._array is None:
            raise StoreError(
                f"array {self.name} was never written",
                "this is a defect of the stage that writes it; report it",
            )
        if self._num_waiting:
            self._array.append(np.concatenate(self._waiting))

    def _create(self, group: zarr.Group, rows: NDArray[Any]) -> "zarr.Array[Any]":
        row_bytes = max(1, int(np.prod(rows.shape[1:])) * rows.dtype.itemsize)
        chunk_rows = max(1, min(self.spec.chunk_rows, self.spec.chunk_bytes // row_bytes))
        chunk = (chunk_rows, *(max(1, n) for n in rows.shape[1:]))
        shard_chunks = max(1, min(_SHARD_CHUNKS, _SHARD_BYTES // (chunk_rows * row_bytes)))
        return group.create_array(
            self.name,
            shape=(0, *rows.shape[1:]),
            dtype=rows.dtype,
            chunks=chunk,
            shards=(chunk_rows * shard_chunks, *chunk[1:]) if self.spec.sharded else None,
            compressors=self.spec.compressor,
            dimension_names=self.spec.axes,
            attributes={
                "units": self.spec.units,
                "description": self.spec.description,
                **self.spec.attributes,
            },
            fill_value=0,
            config={"write_empty_chunks": True},
        )
