"""Flow networks of the ptlflow package, by name and checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alba.config.backends import PtlflowOptions
from alba.device import Runner
from alba.errors import BackendError, first_line
from alba.flow.protocol import FramePair
from alba.flow.ptlflow_models import bare_ptlflow, model_modules
from alba.weights import find_weights, fresh_weights, load_state, read_weights, weights_record

MIN_SIDE = 128
"""Pixels; below it the coarsest level of many networks is empty, or a single pixel and so NaN."""

SEED = 0
"""Of random weights."""

_ROUNDING = 0.01
"""Share of the flow by which a batch may change it: half precision does less, a wrong formula more."""


class PtlflowBackend:
    """One network of ptlflow, for pairs of frames.

    Each network pads or resizes its input to its own stride. Frames with a side below `MIN_SIDE` are
    extended at the bottom and the right by repeating their last row and column, and the flow is
    cropped back. A network that takes a single pair, or whose flow depends on how many there are, gets them
    one by one.

    Parameters
    ----------
    options : PtlflowOptions

    Raises
    ------
    BackendError
        The model or the checkpoint is unknown, absent, damaged, or does not fit; or no such device.
    """

    def __init__(self, options: PtlflowOptions) -> None:
        self._name = options.model
        self._takes_batches: bool | None = None  # not known before there is a batch
        self._runner = Runner(options, f"ptlflow's {options.model}")
        with fresh_weights(SEED if options.checkpoint == "none" else None):
            self.model = _make_model(options.model)
        published: Mapping[str, str] = getattr(self.model, "pretrained_checkpoints", {})
        weights = find_weights(options.checkpoint, published, f"ptlflow's {options.model}")
        if weights is not None:
            _restore(self.model, weights)
        self._runner.place(self.model)
        self.provenance: Mapping[str, Any] = {
            "backend": "ptlflow",
            "options": options.model_dump(mode="json"),
            "package": f"ptlflow {version('ptlflow')}",
            "weights": None if weights is None else weights_record(weights),
        }

    @property
    def batch_size(self) -> int:
        """Pairs that fit into the device's memory at once."""
        return self._runner.batch_size

    def flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Flow from the first frame to the second, as `FlowBackend.flow` says."""
        return next(self.flow_batch([(first, second)]))

    def flow_batch(self, pairs: Sequence[FramePair]) -> Iterator[NDArray[np.float32]]:
        """Flow of each pair, as `BatchFlowBackend.flow_batch` says."""
        return self._runner.run(pairs, self._run)

    def _run(self, pairs: Sequence[FramePair]) -> Sequence[NDArray[np.float32]]:
        if len(pairs) == 1:
            return self._infer(pairs)
        if self._takes_batches is None:
            self._takes_batches = self._try_batch(pairs[:2])
        if self._takes_batches:
            return self._infer(pairs)
        self._runner.batch_size = 1
        return [flow for pair in pairs for flow in self._infer([pair])]

    def _try_batch(self, pairs: Sequence[FramePair]) -> bool:
        """Whether the network takes several pairs, and gives what it gives for each of them alone."""
        (alone,) = self._infer(pairs[:1])
        try:
            together = self._infer(pairs)[0]
        except BackendError:
            return False
        return bool(np.abs(together - alone).mean() <= _ROUNDING * np.abs(alone).mean())

    def _infer(self, pairs: Sequence[FramePair]) -> Sequence[NDArray[np.float32]]:
        height, width = pairs[0][0].shape[:2]
        images = to_model_input(pairs).to(self._runner.device)
        try:
            flows = self.model({"images": images})["flows"]
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # frames too few or too small for the network
            raise BackendError(
                f"ptlflow's {self._name} fails on two frames of {images.shape[-2]} x {images.shape[-1]} "
                f"pixels ({first_line(error)})",
                "choose another model or device",
            ) from error
        if flows.shape != (len(pairs), 1, 2, *images.shape[-2:]):
            raise BackendError(
                f"ptlflow's {self._name} gives {tuple(flows.shape)} for {len(pairs)} pairs of frames",
                "choose a model that takes two frames",
            )
        return list(flows[:, 0, :, :height, :width].float().contiguous().cpu().numpy())


def to_model_input(pairs: Sequence[FramePair]) -> torch.Tensor:
    """Frames as ptlflow's models take them; the same as its `IOAdapter` makes of images read by OpenCV.

    Parameters
    ----------
    pairs : sequence of B pairs of (H, W, 3) uint8
        RGB.

    Returns
    -------
    (B, 2, 3, max(H, 128), max(W, 128)) float32 in [0, 1]
        BGR; a model that wants RGB flips the channels itself.
    """
    images = np.stack([np.stack(pair) for pair in pairs])[..., ::-1]
    bottom, right = (max(0, MIN_SIDE - side) for side in images.shape[2:4])
    images = np.pad(images, ((0, 0), (0, 0), (0, bottom), (0, right), (0, 0)), mode="edge")
    return torch.from_numpy(images.transpose(0, 1, 4, 2, 3).astype(np.float32) / 255.0)


def _make_model(name: str) -> torch.nn.Module:
    modules = model_modules()
    if name not in modules:
        near = ", ".join(get_close_matches(name, modules, n=3, cutoff=0.0))
        raise BackendError(f"ptlflow has no model {name!r}", f"nearest are {near}")
    try:
        with bare_ptlflow():
            return _instantiate(getattr(import_module(modules[name]), name))
    except Exception as error:  # a network may want compiled parts, other packages or a download
        reason = error.__cause__ or error  # the parser of its arguments wraps what the network says
        raise BackendError(
            f"ptlflow's {name} cannot be made ({type(reason).__name__}: {first_line(reason)})",
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
