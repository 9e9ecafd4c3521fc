"""Where a store lies: a local path or an fsspec URL."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import zarr
from fsspec import AbstractFileSystem
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.errors import GroupNotFoundError
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from alba.errors import StoreError
from alba.store.publish import ready_path

MAKE_AGAIN = "let the workflow make it again, or copy it again from where it is whole"
"""What to do about a store that is not whole."""

_CHECK_ADDRESS = "check the address, its storage_options, permissions and the connection"


class Location:
    """The place of one store.

    Parameters
    ----------
    address : str or Path
        ``<video>.zarr``: a local path, or a URL that fsspec knows (``s3://bucket/bear.zarr``).
    storage_options : mapping, optional
        For the URL's file system, such as ``{"anon": True}``.
    """

    def __init__(self, address: str | Path, storage_options: Mapping[str, Any] | None = None) -> None:
        self.is_url = isinstance(address, str) and ("://" in address or "::" in address)
        self.address = str(address).rstrip("/")
        self.storage_options = dict(storage_options or {})

    def __str__(self) -> str:
        return self.address

    @property
    def folder(self) -> Path | None:
        """The store's folder, where that is one of this machine."""
        return None if self.is_url else Path(self.address)

    def open_group(self) -> zarr.Group:
        """The store's Zarr group, for reading.

        Raises
        ------
        StoreError
            There is none, or the place cannot be reached.
        """
        if self.is_url:
            self._file_system()  # where the URL cannot be served, this says why
        try:
            inner = self._remote() if self.is_url else LocalStore(self.address, read_only=True)
            return zarr.open_group(_WholeStore(inner), mode="r", zarr_format=3, use_consolidated=False)
        except (GroupNotFoundError, FileNotFoundError, NotADirectoryError):
            raise StoreError(
                f"{self} is missing or no Zarr group", "check the path, or let the workflow make the store"
            ) from None
        except StoreError:
            raise
        except Exception as error:  # damaged JSON raises several
            raise self._unreadable(error) from error

    def read_marker(self) -> dict[str, Any]:
        """What the ``<video>.ready.json`` beside the store says.

        Raises
        ------
        StoreError
            It is missing or damaged: the store may be half-written.
        """
        marker = ready_path(Path(self.address)).name
        try:
            content = json.loads(self._read_beside())
        except FileNotFoundError:
            raise StoreError(
                f"{self} has no {marker} beside it, so it may be half-written",
                f"{MAKE_AGAIN}, {marker} last",
            ) from None
        except Exception as error:
            raise self._unreadable(error, f"{marker} of ") from error
        if not isinstance(content, dict) or "digest" not in content:
            raise StoreError(f"{marker} beside {self} is no marker of a store", MAKE_AGAIN)
        return content

    def _read_beside(self) -> bytes:
        if not self.is_url:
            return ready_path(Path(self.address)).read_bytes()
        files, path = self._file_system()
        return files.cat_file(path.rstrip("/").removesuffix(".zarr") + ".ready.json")

    def _remote(self) -> FsspecStore:
        return FsspecStore.from_url(self.address, self.storage_options, read_only=True)

    def _file_system(self) -> tuple[AbstractFileSystem, str]:
        try:
            files, path = fsspec.url_to_fs(self.address, **self.storage_options)
        except ImportError as error:
            raise StoreError(
                f"{self} needs a package that is not installed ({error})",
                "for s3:// run pip install 'alba[s3]', for other URLs install what fsspec asks for",
            ) from None
        except Exception as error:  # each file system checks its options in its own way
            raise self._unreadable(error) from error
        return files, path

    def _unreadable(self, error: Exception, what: str = "") -> StoreError:
        return StoreError(
            f"{what}{self} cannot be read ({first_line(error)})",
            f"{_CHECK_ADDRESS}; if it is damaged, {MAKE_AGAIN}",
        )


class _WholeStore(WrapperStore[Any]):  # type: ignore[misc]  # zarr is not followed
    """Refuses what Zarr would take for zeros: alba writes every chunk, so a missing one is damage."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if isinstance(self._store, LocalStore):
            # At once: LocalStore.get hands it to another thread, which takes longer than so short a read.
            value = self._store.get_sync(key, prototype=prototype, byte_range=byte_range)
        else:
            value = await self._get_remote(key, prototype, byte_range)
        if value is None and "/c/" in key:
            raise StoreError(f"{key} is missing from {self._store}", MAKE_AGAIN)
        return value

    async def _get_remote(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None
    ) -> Buffer | None:
        try:
            return await super().get(key, prototype, byte_range)
        except Exception as error:  # each file system has errors of its own for a lost connection
            raise StoreError(
                f"{key} of {self._store} cannot be read ({first_line(error)})",
                _CHECK_ADDRESS,
            ) from error


def first_line(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
