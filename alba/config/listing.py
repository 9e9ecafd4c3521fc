"""The backends that can be named in the configuration, as text: ``alba backends``."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import get_args

from alba import __version__
from alba.config.backends import EMBEDDED, BackendSpec, Kind
from alba.config.defaults import settings_lines
from alba.config.plugins import find_backend, plugins
from alba.errors import BackendError


def backends_text() -> str:
    """Every backend, the package it comes from, what it lacks, and its settings with their defaults.

    No implementation is imported for it. The settings are written as they stand below ``options`` in
    `config.yaml`.
    """
    return "\n".join(line for kind in get_args(Kind) for line in _of_kind(kind)) + "\n"


def _of_kind(kind: Kind) -> Iterator[str]:
    yield f"{kind}:"
    for name, spec in EMBEDDED[kind].items():
        yield f"  {name}:  # alba {__version__}{_lack(spec)}"
        yield from _settings(spec)
    for name, point in plugins(kind).items():
        try:
            spec = find_backend(kind, name)
        except BackendError as error:
            yield f"  # {error}"
        else:
            yield f"  {name}:  # {_owner(point)}{_lack(spec)}"
            yield from _settings(spec)


def _settings(spec: BackendSpec) -> Iterator[str]:
    summary = (spec.options.__doc__ or "").splitlines()
    if summary:
        yield f"    # {summary[0]}"
    yield from settings_lines(spec.options(), 2)


def _lack(spec: BackendSpec) -> str:
    if not spec.requires or find_spec(spec.requires) is not None:
        return ""
    return f"; {spec.requires} is not installed: {spec.installation}"


def _owner(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"
