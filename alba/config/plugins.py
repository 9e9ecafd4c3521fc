"""Backends by name: those that alba brings, and those that installed packages register.

A package registers a backend by an entry point of group ``alba.flow`` or ``alba.proposals`` whose name is
the backend's and whose object is a `BackendSpec`. The names that alba brings cannot be taken.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from alba.config.backends import EMBEDDED, BackendSpec, Kind
from alba.config.load import parse_settings
from alba.errors import AlbaError, BackendError, first_line


@cache
def plugins(kind: Kind) -> Mapping[str, EntryPoint]:
    """Entry points of other packages' backends by name; none of them is loaded for it."""
    found = {point.name: point for point in entry_points(group=f"alba.{kind}")}
    return {name: point for name, point in sorted(found.items()) if name not in EMBEDDED[kind]}


def find_backend(kind: Kind, name: str) -> BackendSpec:
    """What is known of a backend without its implementation.

    Raises
    ------
    BackendError
        No package registers it, or what its package registers is broken.
    """
    if name in EMBEDDED[kind]:
        return EMBEDDED[kind][name]
    if name in plugins(kind):
        return _load(plugins(kind)[name])
    known = [*EMBEDDED[kind], *plugins(kind)]
    near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise BackendError(f"unknown {kind} backend {name!r}", f"nearest is {near!r} of {', '.join(known)}")


def make_backend(kind: Kind, name: str, options: Mapping[str, Any]) -> Any:
    """Make a backend with its options; imports its implementation and no other.

    Raises
    ------
    BackendError
        It is unknown; a package, its model, weights or device is missing.
    """
    spec = find_backend(kind, name)
    module, _, attribute = spec.implementation.partition(":")
    with _no_collection():
        try:
            implementation = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise BackendError(
                f"{kind} backend {name} cannot be imported ({first_line(error)})",
                spec.installation or "install what it names",
            ) from None
        return implementation(spec.options.model_validate(options))


def resolve_options(values: Any, kind: Kind, default: str) -> Any:
    """Fill in and validate ``options`` by the model of the named backend."""
    if not isinstance(values, dict):
        return values
    try:
        name = str(values.get("backend", default))
        spec = find_backend(kind, name)
        options = parse_settings(spec.options, values.get("options", {}), f"options of {name}")
    except AlbaError as error:
        raise ValueError(str(error)) from None  # pydantic then adds where it stands
    return {**values, "options": options.model_dump(mode="json")}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Imports make hundreds of thousands of objects that stay; looking for garbage among them takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _load(point: EntryPoint) -> BackendSpec:
    try:
        spec = point.load()
    except Exception as error:  # whatever a foreign module raises when it is imported
        raise _broken(point, f"{type(error).__name__}: {first_line(error)}") from None
    if not isinstance(spec, BackendSpec):
        raise _broken(point, f"{point.value} is no BackendSpec")
    for name, field in spec.options.model_fields.items():
        if field.is_required() or not field.description:
            raise _broken(point, f"option {name} lacks a default or a description")
    return spec


def _broken(point: EntryPoint, reason: str) -> BackendError:
    owner = point.value if point.dist is None else point.dist.name
    return BackendError(
        f"backend {point.name} of package {owner} is broken ({reason})", f"update or remove {owner}"
    )
