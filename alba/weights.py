"""Weights of networks: found or downloaded once, checked, and read without executing anything.

Only the modules of network backends import this one; it needs torch.
"""

import hashlib
import pickle
import re
import socket
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch.hub import HASH_REGEX
from torch.overrides import TorchFunctionMode

from alba.errors import BackendError, first_line

_PATIENCE = 30.0
"""Seconds without an answer after which a server counts as absent."""


def find_weights(name: str, published: Mapping[str, str], model: str) -> Path | None:
    """File of the weights that a setting names.

    Parameters
    ----------
    name : str
        A local file, one of the published, or "none".
    published : mapping of str to str
        URLs of a model's published weights.
    model : str
        The model, for messages.

    Returns
    -------
    Path or None
        None for random weights.

    Raises
    ------
    BackendError
        The name is unknown, or the file is absent and cannot be downloaded.
    """
    if name == "none":
        return None
    if Path(name).is_file():
        return Path(name)
    if name in published:
        return fetch_weights(published[name])
    known = [*published, "none"]
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BackendError(
        f"{name} is neither a file nor weights of {model}", f"{hint}name a file or one of {', '.join(known)}"
    )


def cache_folder() -> Path:
    """Where published weights are kept: torch's own cache (TORCH_HOME, by default ~/.cache/torch)."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch_weights(url: str) -> Path:
    """File of published weights in the cache, downloaded with a progress bar if it is not there yet.

    Parameters
    ----------
    url : str
        If its file name ends in the first digits of its SHA-256, as torch's hub has it, they are checked.

    Raises
    ------
    BackendError
        The file is absent and cannot be downloaded; says where to put it.
    """
    path = cache_folder() / PurePosixPath(urlsplit(url).path).name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _patience():
            torch.hub.download_url_to_file(url, str(path), hash_prefix=_hash_prefix(path))
    except (OSError, RuntimeError) as error:
        raise BackendError(
            f"weights {path} are missing and cannot be downloaded ({first_line(error)})",
            f"get {url} where there is internet and put it there, or name a local file",
        ) from None
    return path


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def read_weights(path: Path) -> Mapping[str, Any]:
    """Content of a safetensors file, a torch file, or a pickle of NumPy arrays.

    Pickled code in it is refused, never run.

    Raises
    ------
    BackendError
        The file is missing, damaged, or holds more than plain data.
    """
    if not path.is_file():
        raise BackendError(f"weights {path} are missing", "name a file that exists")
    try:
        content = _read(path)
    except Exception as error:  # what damaged bytes raise depends on where they are damaged
        raise BackendError(
            f"weights {path} are damaged or hold more than tensors ({_reason(error)})",
            "download them again, or save the state_dict alone as safetensors",
        ) from None
    if not isinstance(content, Mapping):
        raise BackendError(f"weights {path} hold no state_dict", "save the state_dict alone")
    return content


def _reason(error: Exception) -> str:
    """What a reader stumbled over; torch's own message says it after much advice."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return f"it names {named[1]}"
    return "no file of torch" if "Weights only load failed" in str(error) else first_line(error)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix == ".pkl" and not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _ArrayUnpickler(file, encoding="latin1").load()
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


class _ArrayUnpickler(pickle.Unpickler):
    """Reads the pickles of detectron2's model zoo: NumPy arrays in plain containers, and nothing else."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
            ("collections", "OrderedDict"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


class Unfilled(TorchFunctionMode):
    """While it is on, new parameters keep whatever their memory holds, as weights will take their place.

    Drawing the random weights of a network can take longer than all else that its making needs.
    """

    _DRAWING = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return args[0] if func in self._DRAWING else func(*args, **(kwargs or {}))


def fresh_weights(seed: int | None) -> AbstractContextManager[object]:
    """Where a network is made: with weights drawn from a seed, or with none, which are loaded afterwards."""
    return Unfilled() if seed is None else _seeded(seed)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def load_state(model: torch.nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Put weights into a model.

    Parameters
    ----------
    model : torch.nn.Module
    state : mapping
        Tensors or NumPy arrays by the names of the model's parameters and buffers.
    path : Path
        Where they come from, for messages.

    Raises
    ------
    BackendError
        They belong to another architecture.
    """
    tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        difference = " ".join(str(error).split("\n\t")[1].split())
        raise BackendError(
            f"weights {path} do not fit {type(model).__name__} ({difference[:120]})",
            "name the model that they were trained for",
        ) from None


def weights_record(path: Path) -> dict[str, str]:
    """Name and SHA-256 of a file of weights, for the provenance of what is made with them.

    Raises
    ------
    BackendError
        The file is a published one and the digits in its name are not those of its hash.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    published = path.parent == cache_folder()  # in a user's own file name digits may mean anything
    if published and not digest.startswith(_hash_prefix(path) or ""):
        raise BackendError(f"weights {path} are damaged (SHA-256 {digest})", "remove the file")
    return {"file": path.name, "sha256": digest}


def _hash_prefix(path: Path) -> str | None:
    found = HASH_REGEX.search(path.name)
    return found.group(1) if found and len(found.group(1)) >= 8 else None
