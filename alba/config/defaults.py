"""Writes `config.yaml` and its JSON schema from the typed settings: ``python -m alba.config.defaults``."""

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from alba.config.backends import EMBEDDED
from alba.config.settings import (
    CompositesSettings,
    Configuration,
    DatasetSettings,
    FlowSettings,
    MirroredSettings,
    SpritesSettings,
    Stages,
)

DATASETS: dict[str, tuple[str, dict[str, Any]]] = {
    "sprites": (
        "embedded: made by a rule, without any download; the demo",
        {
            "generate": SpritesSettings(),
            "licence": "made by alba, free of rights",
            "stages": {
                "grouping": {"working_height": 72},
                "refinement": {"apply": False},
                "ablation": {"seeds": [0]},
            },
        },
    ),
    "davis17": (
        "DAVIS 2017, several objects a video",
        {"layout": "davis17", "root": "DAVIS", "licence": "CC BY-NC 4.0"},
    ),
    "davis16": (
        "DAVIS 2016, one object a video",
        {
            "layout": "davis16",
            "root": "DAVIS-2016",
            "licence": "CC BY-NC 4.0",
            "stages": {
                "reinforce": {"decision_discount": 0.7},
                "segment": {"tracks": "main"},
                "evaluation": {"protocol": "davis16"},
            },
        },
    ),
    "davis16-mirrored": (
        "more to train on: add it to train_with of davis16",
        {"generate": MirroredSettings(kind="mirrored", source="davis16")},
    ),
    "davis16-composites": (
        "likewise: objects of one training video, moving as they do, in another one",
        {"generate": CompositesSettings(kind="composites", source="davis16")},
    ),
}
"""Data sets of the default configuration, each with its comment and what differs from the defaults."""

_WIDTH = 110
_HEADER = """\
# yaml-language-server: $schema=workflow/schemas/config.schema.json
# Every setting with its default. Written by `python -m alba.config.defaults`.
# Change values here, or put those that differ into a file of the same shape and add it to the command:
#   snakemake --cores 8 results/davis17/metrics.csv --configfile mine.yaml
"""


def config_text() -> str:
    """`config.yaml`: every setting, its default value, and its description as a comment."""
    roots = {name: field for name, field in Configuration.model_fields.items() if field.default != {}}
    roots.pop("stages")
    lines = [_HEADER]
    for name, field in roots.items():
        lines += _entry(name, field.default, field, 0)
    lines += ["", *_datasets(), "", "# Settings of all data sets; datasets.<name>.stages overrides them."]
    lines += ["stages:", *settings_lines(Stages(), 1)]
    return "\n".join(lines) + "\n"


def schema_text() -> str:
    """JSON schema of the configuration, for editors; the workflow validates by the models themselves."""
    return json.dumps(Configuration.model_json_schema(), indent=1) + "\n"


def _datasets() -> Iterator[str]:
    yield "# Each data set may set:"
    for name, field in DatasetSettings.model_fields.items():
        default = "" if field.default in ("", {}, (), None) else f" (default {field.default})"
        yield from _comment(f"{name}: {field.description}{default}", "  ", 1)
    yield "datasets:"
    for name, (comment, values) in DATASETS.items():
        yield f"  {name}:  # {comment}"
        for key, value in values.items():
            if isinstance(value, BaseModel):
                yield f"    {key}:"
                yield from settings_lines(value, 3)
            else:
                yield from _plain(key, value, 2)


def _plain(key: str, value: Any, level: int) -> Iterator[str]:
    indent = "  " * level
    if isinstance(value, dict):
        yield f"{indent}{key}:"
        for inner, part in value.items():
            yield from _plain(inner, part, level + 1)
    else:
        yield f"{indent}{key}: {_scalar(value)}"


def settings_lines(settings: BaseModel, level: int) -> Iterator[str]:
    """The lines of one model as YAML; a nested model is indented, with its own summary as comment."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            summary = field.description or (type(value).__doc__ or "").splitlines()[0].rstrip(".")
            yield from _comment(summary, "  " * level, 0)
            yield f"{'  ' * level}{name}:"
            yield from settings_lines(value, level + 1)
        elif name == "options":
            yield from _options(settings, level)
        else:
            yield from _entry(name, value, field, level)


def _options(settings: BaseModel, level: int) -> Iterator[str]:
    """A backend's options stay empty, so that an overlay that names another backend inherits none."""
    known = EMBEDDED["flow" if isinstance(settings, FlowSettings) else "proposals"]
    indent = "  " * level
    yield f"{indent}options: {{}}  # the backend's own settings; those not given here are:"
    for backend, spec in known.items():
        yield f"{indent}#   {backend}:"
        for line in settings_lines(spec.options(), 0):
            yield f"{indent}#     {line}"


def _entry(name: str, value: Any, field: FieldInfo, level: int) -> Iterator[str]:
    text = f"{'  ' * level}{name}: {_scalar(value)}"
    comment = field.description or ""
    if not comment:
        raise ValueError(f"setting {name} has no description")
    if len(text) + len(comment) + 4 <= _WIDTH:
        yield f"{text}  # {comment}"
    else:
        yield from _comment(comment, "  " * level, 0)
        yield text


def _comment(text: str, indent: str, hang: int) -> Iterator[str]:
    lead = f"{indent}# "
    yield from wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=lead + "  " * hang)


def _scalar(value: Any) -> str:
    """YAML of a plain value on one line; JSON is YAML, and bare words read better."""
    bare = isinstance(value, str) and value != "" and yaml.safe_load(value) == value
    return value if bare else json.dumps(value)


def main(root: Path = Path()) -> None:
    """Write both files below the repository's root."""
    (root / "config.yaml").write_text(config_text())
    (root / "workflow/schemas/config.schema.json").write_text(schema_text())


if __name__ == "__main__":
    main()
