"""Trained networks that come in a folder: `models/<name>/{selection,assignment,reinforce,...}/`."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from alba.errors import ConfigError

NETWORK_FILES = ("network.json", "network.safetensors")
"""What a network consists of; the other files of a checkpoint are about its training."""

_SHELVES = (Path("models"), Path(__file__).parents[2] / "models")
"""Where models are looked for by name: below the working directory, and in the repository."""


def find_model(name: str) -> Path:
    """Folder of a model.

    Parameters
    ----------
    name : str
        The folder itself, or its name below `models`.

    Raises
    ------
    ConfigError
        There is none.
    """
    folders = [Path(name), *(shelf / name for shelf in _SHELVES)]
    for folder in folders:
        if folder.is_dir():
            return folder
    known = sorted({path.parent.name for shelf in _SHELVES for path in shelf.glob("*/model.json")})
    raise ConfigError(f"no model {name!r}", f"name a folder or one of: {', '.join(known) or 'none is there'}")


def network_of(model: Path, stage: str) -> Path:
    """Folder of one of a model's networks.

    Raises
    ------
    ConfigError
        The model lacks it.
    """
    for file in NETWORK_FILES:
        if not (model / stage / file).is_file():
            raise ConfigError(f"{model / stage / file} is missing", f"use a model with a network {stage}")
    return model / stage


def networks_digest(model: Path, stages: Iterable[str]) -> str:
    """SHA-256 of some of a model's networks: whatever they decide follows from it."""
    whole = hashlib.sha256()
    for stage in stages:
        for file in NETWORK_FILES:
            whole.update(file_digest(network_of(model, stage) / file))
    return whole.hexdigest()


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file, which is read again only when it has changed."""
    return _digest(path, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, _changed: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
