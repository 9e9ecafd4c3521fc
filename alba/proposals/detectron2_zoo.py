"""Configurations and weights of detectron2's model zoo, found without importing it."""

import ast
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alba.errors import BackendError


def find_config(name: str) -> Path:
    """File of a configuration: a local one, or one of the installed detectron2's model zoo.

    Raises
    ------
    BackendError
        There is no such configuration; names the nearest.
    """
    if Path(name).is_file():
        return Path(name)
    known = _configs()
    if name in known:
        return known[name]
    near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.0))
    raise BackendError(
        f"{name} is neither a file nor a configuration of detectron2's model zoo", f"nearest are {near}"
    )


def published_weights(config: str) -> Mapping[str, str]:
    """URL of the weights that the model zoo has for a configuration, as "published"; or nothing.

    The table stands in a module that needs a package of old, so it is read and not imported.
    """
    found: dict[str, Any] = {}
    tree = ast.parse((_package_folder() / "model_zoo/model_zoo.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("S3_PREFIX", "CONFIG_PATH_TO_URL_SUFFIX"):
                found[name] = ast.literal_eval(node.value)
    model = str(Path(config).with_suffix(""))
    suffixes = found.get("CONFIG_PATH_TO_URL_SUFFIX", {})
    return {"published": f"{found['S3_PREFIX']}{model}/{suffixes[model]}"} if model in suffixes else {}


def _configs() -> Mapping[str, Path]:
    folder = _package_folder() / "model_zoo/configs"
    paths = [path for suffix in ("yaml", "py") for path in sorted(folder.rglob(f"*.{suffix}"))]
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _package_folder() -> Path:
    spec = find_spec("detectron2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'detectron2'")
    return Path(spec.origin).parent
