"""Weights of networks: found or downloaded once, checked, and read without executing anything.

Only the modules of network backends import this one; it needs torch.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors.torch import load_file
from torch.hub import HASH_REGEX

from alba.errors import BackendError


def select_device(name: str) -> torch.device:
    """Device that a setting names: "auto" (CUDA where there is any), "cpu", "cuda" or "cuda:N".

    Raises
    ------
    BackendError
        There is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter where torch is built without CUDA
        raise BackendError(
            f"device {name!r} cannot be used ({first_line(error)})", "set device to auto, cpu or cuda:N"
        ) from None


def fetch_weights(url: str) -> Path:
    """File of published weights in torch's own cache, downloaded if it is not there yet.

    Parameters
    ----------
    url : str
        Its file name ends in the first digits of its SHA-256, as torch's hub has it.

    Raises
    ------
    BackendError
        The file is absent and cannot be downloaded; says where to put it.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlsplit(url).path).name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=_hash_prefix(path))
    except (OSError, RuntimeError) as error:
        raise BackendError(
            f"weights {path} are missing and cannot be downloaded ({first_line(error)})",
            f"get {url} where there is internet and put it there, or name a local file",
        ) from None
    return path


def read_weights(path: Path) -> Mapping[str, Any]:
    """Content of a safetensors or torch file; pickled code in it is refused, never run.

    Raises
    ------
    BackendError
        The file is missing, damaged, or holds more than plain data.
    """
    if not path.is_file():
        raise BackendError(f"weights {path} are missing", "name a file that exists")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what damaged bytes raise depends on where they are damaged
        raise BackendError(
            f"weights {path} are damaged or hold more than tensors ({first_line(error)})",
            "download them again, or save the state_dict alone as safetensors",
        ) from None
    if not isinstance(content, Mapping):
        raise BackendError(f"weights {path} hold no state_dict", "save the state_dict alone")
    return content


def load_state(model: torch.nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Put weights into a model.

    Raises
    ------
    BackendError
        They belong to another architecture.
    """
    try:
        model.load_state_dict(state)
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
        The digits in the file's name, where it has any, are not those of its hash.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(_hash_prefix(path) or ""):
        raise BackendError(f"weights {path} are damaged (SHA-256 {digest})", "remove the file")
    return {"file": path.name, "sha256": digest}


def _hash_prefix(path: Path) -> str | None:
    found = HASH_REGEX.search(path.name)
    return found.group(1) if found and len(found.group(1)) >= 8 else None


def first_line(error: BaseException) -> str:
    """What an error of another library says, short enough for one line."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".")[:160] if lines else type(error).__name__
