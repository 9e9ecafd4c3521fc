"""Reading of settings; every mistake becomes one line that names the key and the nearest right one."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from alba.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def parse_settings(model: type[Model], values: Mapping[str, Any], source: str) -> Model:
    """Validate plain values.

    Parameters
    ----------
    model : type of Settings
    values : mapping
    source : str
        What the values came from, for the message.

    Raises
    ------
    ConfigError
        Names the first wrong key, an unknown one before others and with the nearest known key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors()
        # A misspelt key is told before the one that is missing for it.
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields_at(model, first["loc"][:-1])
            near = get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}?" if near else "remove it"
            raise ConfigError(f"{source}: unknown key {where!r}", hint) from None
        message = first["msg"].removeprefix("Value error, ")
        value = (
            f"{where} = {first['input']!r}" if isinstance(first["input"], str | int | float | None) else where
        )
        raise ConfigError(f"{source}: {value or 'settings'}", message) from None


def load_settings(model: type[Model], text_or_path: str, option: str) -> Model:
    """Read settings from a JSON or YAML file, or from JSON text (starts with ``{``).

    Parameters
    ----------
    model : type of Settings
    text_or_path : str
    option : str
        What the text was given by, for the message.

    Raises
    ------
    ConfigError
        As `parse_settings`, and where the file or text cannot be read.
    """
    source = option if _is_text(text_or_path) else text_or_path
    return parse_settings(model, load_mapping(text_or_path, option), source)


def load_mapping(text_or_path: str, option: str) -> Mapping[str, Any]:
    """Read plain values likewise, without a model."""
    if _is_text(text_or_path):
        return _mapping(text_or_path, option)
    remedy = f"name a JSON or YAML file by {option}, or give JSON text"
    return _mapping(_text_of(Path(text_or_path), remedy), text_or_path)


def _is_text(text_or_path: str) -> bool:
    return text_or_path.lstrip().startswith("{")


def read_words(path: Path) -> frozenset[str]:
    """Words of a text file, such as a category a line."""
    return frozenset(_text_of(path, "give a text file with a word a line").split())


def _text_of(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing", remedy) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8", "name another file, or save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{str(path)[:80]} cannot be read ({error.strerror})", remedy) from None


def _mapping(text: str, source: str) -> Mapping[str, Any]:
    try:
        values = json.loads(text) if _is_text(text) else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        first_line = str(error).splitlines()[0]
        raise ConfigError(f"{source} cannot be parsed ({first_line})", "correct it") from None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source} holds no settings", "write 'key: value' lines")
    return values


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Known keys of the model that a location inside a validation error points to."""
    models = [model]
    for part in location:
        tagged = [kind for kind in models if len(models) > 1 and part in _tags(kind)]
        fields = [kind.model_fields[str(part)] for kind in models if str(part) in kind.model_fields]
        # Neither: a dictionary's key, and the model stays.
        models = tagged or [kind for field in fields for kind in _models_in(field.annotation)] or models
    return [name for kind in models for name in kind.model_fields]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """What the kinds of a union are told apart by."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
