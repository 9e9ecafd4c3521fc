"""Flow networks of the ptlflow package, by name and checkpoint."""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alba.config.backends import PtlflowOptions
from alba.errors import BackendError
from alba.weights import fetch_weights, first_line, load_state, read_weights, select_device, weights_record

MIN_SIDE = 128
"""Pixels; below it the coarsest level of many networks is empty, or a single pixel and so NaN."""

SEED = 0
"""Of random weights."""

_REGISTERED = re.compile(r"^@register_model\s+(?:@\w+\s+)*class (\w+)", re.MULTILINE)


class PtlflowBackend:
    """One network of ptlflow, for a pair of frames.

    Each network pads or resizes its input to its own stride. Frames with a side below `MIN_SIDE` are
    extended at the bottom and the right by repeating their last row and column, and the flow is
    cropped back.

    Parameters
    ----------
    options : PtlflowOptions

    Raises
    ------
    BackendError
        The model or the checkpoint is unknown, absent, damaged, or does not fit; or no such device.
    """

    def __init__(self, options: PtlflowOptions) -> None:
        self.device = select_device(options.device)
        self._name = options.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            self.model = _make_model(options.model)
        weights = _find_checkpoint(self.model, options)
        if weights is not None:
            _restore(self.model, weights)
        self.model.eval().to(self.device)
        self.provenance: Mapping[str, Any] = {
            "backend": "ptlflow",
            "options": options.model_dump(mode="json"),
            "package": f"ptlflow {version('ptlflow')}",
            "weights": None if weights is None else weights_record(weights),
        }

    def flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Flow from the first frame to the second, as `FlowBackend.flow` says."""
        height, width = first.shape[:2]
        images = to_model_input(first, second).to(self.device)
        flows = self._run(images)
        if flows.shape != (1, 1, 2, *images.shape[-2:]):
            raise BackendError(
                f"ptlflow's {self._name} gives {tuple(flows.shape)} for two frames",
                "choose a model that takes two frames",
            )
        return flows[0, 0, :, :height, :width].float().contiguous().cpu().numpy()

    def _run(self, images: torch.Tensor) -> torch.Tensor:
        try:
            with torch.inference_mode():
                flows: torch.Tensor = self.model({"images": images})["flows"]
        except RuntimeError as error:  # frames too few or too small for the network, or no memory left
            raise BackendError(
                f"ptlflow's {self._name} fails on two frames of {images.shape[-2]} x {images.shape[-1]} "
                f"pixels ({first_line(error)})",
                "choose another model or device",
            ) from error
        return flows


def to_model_input(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> torch.Tensor:
    """Frames as ptlflow's models take them; the same as its `IOAdapter` makes of images read by OpenCV.

    Parameters
    ----------
    first, second : (H, W, 3) uint8
        RGB.

    Returns
    -------
    (1, 2, 3, max(H, 128), max(W, 128)) float32 in [0, 1]
        BGR; a model that wants RGB flips the channels itself.
    """
    pair = np.stack([first, second])[..., ::-1]
    bottom, right = (max(0, MIN_SIDE - side) for side in first.shape[:2])
    pair = np.pad(pair, ((0, 0), (0, bottom), (0, right), (0, 0)), mode="edge")
    return torch.from_numpy(pair.transpose(0, 3, 1, 2).astype(np.float32) / 255.0)[None]


@cache
def model_modules() -> Mapping[str, str]:
    """Models of the installed ptlflow and the modules that define them; nothing is imported for it."""
    root = _package_folder()
    found = {}
    for path in sorted((root / "models").rglob("*.py")):
        module = ".".join((root.name, *path.relative_to(root).with_suffix("").parts))
        for name in _REGISTERED.findall(path.read_text(encoding="utf-8")):
            found[name] = module
    return found


@contextmanager
def bare_ptlflow() -> Iterator[None]:
    """While it lasts, one module of ptlflow can be imported without the hundred of its `__init__`.

    Empty stand-ins take the place of the two packages whose `__init__` is slow, and are taken away
    again, so that whoever imports ptlflow later gets the whole of it.
    """
    if "ptlflow" in sys.modules:
        yield
        return
    root = _package_folder()
    packages = {"ptlflow": root, "ptlflow.models": root / "models"}
    for name, folder in packages.items():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in packages:
            del sys.modules[name]


def _package_folder() -> Path:
    spec = find_spec("ptlflow")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _make_model(name: str) -> torch.nn.Module:
    modules = model_modules()
    if name not in modules:
        near = ", ".join(get_close_matches(name, modules, n=3, cutoff=0.0))
        raise BackendError(f"ptlflow has no model {name!r}", f"nearest are {near}")
    try:
        with bare_ptlflow():
            return _instantiate(getattr(import_module(modules[name]), name))
    except Exception as error:  # a network may want compiled parts, other packages or a download
        raise BackendError(
            f"ptlflow's {name} cannot be made ({type(error).__name__}: {first_line(error)})",
            "install what it names, or choose another model",
        ) from error


def _instantiate(kind: type[torch.nn.Module]) -> torch.nn.Module:
    """As `ptlflow.get_model` does: some networks cannot take their own defaults unless parsed so."""
    from jsonargparse import ArgumentParser

    defaults = ArgumentParser()
    defaults.add_class_arguments(kind, "model")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=kind)
    configuration = parser.parse_object({"model": defaults.parse_args([]).model})
    return parser.instantiate(configuration).model


def _find_checkpoint(model: torch.nn.Module, options: PtlflowOptions) -> Path | None:
    """The checkpoint's file; None for random weights."""
    if options.checkpoint == "none":
        return None
    if Path(options.checkpoint).is_file():
        return Path(options.checkpoint)
    published: dict[str, str] = getattr(model, "pretrained_checkpoints", {})
    if options.checkpoint not in published:
        raise BackendError(
            f"{options.checkpoint} is neither a file nor a checkpoint of ptlflow's {options.model}",
            f"name a file or one of {', '.join([*published, 'none'])}",
        )
    return fetch_weights(published[options.checkpoint])


def _restore(model: torch.nn.Module, path: Path) -> None:
    """Load a checkpoint of ptlflow's, or a bare state_dict."""
    content = read_weights(path)
    parameters = content.get("hyper_parameters", {})
    if "train_size" in parameters:  # some networks tile their input by the size they were trained at
        model.train_size = parameters["train_size"]
    if "train_avg_length" in parameters:
        model.train_avg_length = parameters["train_avg_length"]
    for name, value in parameters.get("extra_params", {}).items():
        model.add_extra_param(name, value)  # type: ignore[operator]
    load_state(model, content.get("state_dict", content), path)
