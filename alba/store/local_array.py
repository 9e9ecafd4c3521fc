"""Rows of an array on this machine, read without Zarr.

Zarr passes every read through an event loop in another thread; that takes longer than to read and decompress
the masks of a frame. An array laid out as `alba.store.publish` lays it out is read here, every other by Zarr.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from numcodecs import blosc, zstd
from numpy.typing import NDArray

_DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"blosc": blosc.decompress, "zstd": zstd.decompress}
_LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
_SINGLE_BYTES = {"name": "bytes"}


@dataclass(frozen=True)
class LocalArray:
    """One array, in chunks along its first axis; nothing of it is kept open or in memory.

    Parameters
    ----------
    folder : Path
        Where its `zarr.json` lies.
    shape : tuple of int
    dtype : str
    chunk_rows : int
        Rows of the first axis in a chunk; the other axes are not divided.
    indexed_chunks : int
        Chunks in one file, which ends with an index of them; 0 where a file is one chunk, without index.
    compressor : str
        ``blosc`` or ``zstd``.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: str
    chunk_rows: int
    indexed_chunks: int
    compressor: str

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` up to `stop`, exclusive, as they are stored.

        Parameters
        ----------
        start, stop : int
            0 <= start <= stop <= the number of rows.

        Returns
        -------
        (stop - start, ...) array

        Raises
        ------
        OSError, ValueError
            A file is missing or damaged.
        """
        rows = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if start == stop:
            return rows
        for number in range(start // self.chunk_rows, (stop - 1) // self.chunk_rows + 1):
            before = number * self.chunk_rows
            first, last = max(start, before), min(stop, before + self.chunk_rows)
            rows[first - start : last - start] = self._chunk(number)[first - before : last - before]
        return rows

    def _chunk(self, number: int) -> NDArray[Any]:
        """All rows of one chunk; the last of an array is filled up."""
        which, position = divmod(number, self.indexed_chunks or 1)
        path = self.folder.joinpath("c", str(which), *("0" for _ in self.shape[1:]))
        with path.open("rb", buffering=0) as file:
            try:
                values = _DECOMPRESS[self.compressor](_bytes_at(file, *self._place(file, position)))
                stored = np.frombuffer(values, np.dtype(self.dtype).newbyteorder("<"))
                return stored.reshape(self.chunk_rows, *self.shape[1:])
            except (RuntimeError, ValueError) as error:
                raise ValueError(f"{path}: {error}") from error

    def _place(self, file: BinaryIO, position: int) -> tuple[int, int]:
        """Where a chunk begins in its file, and its number of bytes."""
        end = file.seek(0, os.SEEK_END)
        if not self.indexed_chunks:
            return 0, end
        start = max(0, end - 16 * self.indexed_chunks - 4)
        index = _bytes_at(file, start, end - start)
        if google_crc32c.value(index[:-4]) != int.from_bytes(index[-4:], "little"):
            raise ValueError("the index does not match its checksum")
        offset, size = np.frombuffer(index, "<u8", 2, 16 * position).tolist()
        if offset + size > start:  # as where the index says that there is no such chunk
            raise ValueError("a chunk is missing")
        return offset, size


def open_local(folder: Path, dtype: str) -> LocalArray | None:
    """The array in `folder`, or None if it is laid out in another way than alba's are.

    Parameters
    ----------
    folder : Path
    dtype : str
        What it should hold.

    Raises
    ------
    OSError, ValueError
        Its `zarr.json` is missing or damaged.
    """
    match json.loads((folder / "zarr.json").read_bytes()):
        case {
            "shape": [num_rows, *row_shape],
            "data_type": data_type,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": file_shape}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": file_codecs,
        } if data_type == dtype and file_shape[1:] == row_shape:
            chunk_shape, codecs, indexed_chunks = _chunks_of_file(file_shape, file_codecs)
        case _:
            return None
    match codecs:
        case [byte_order, {"name": "blosc" | "zstd" as compressor}] if (
            byte_order in (_LITTLE_ENDIAN, _SINGLE_BYTES) and chunk_shape[1:] == row_shape
        ):
            shape = (num_rows, *row_shape)
            return LocalArray(folder, shape, dtype, chunk_shape[0], indexed_chunks, compressor)
    return None


def _chunks_of_file(file_shape: list[int], codecs: Any) -> tuple[list[int], Any, int]:
    """Shape of a file's chunks, their codecs, and how many of them its index lists."""
    match codecs:
        case [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": chunk_shape,
                    "codecs": chunk_codecs,
                    "index_codecs": [byte_order, {"name": "crc32c"}],
                    "index_location": "end",
                },
            }
        ] if byte_order == _LITTLE_ENDIAN:
            return chunk_shape, chunk_codecs, file_shape[0] // chunk_shape[0]
    return file_shape, codecs, 0


def _bytes_at(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
