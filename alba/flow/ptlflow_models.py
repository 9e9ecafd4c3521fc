"""Models of the installed ptlflow, found without importing any, and one of them imported alone."""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from alba.stand_ins import StandIn, bare_package, stand_ins

_REGISTERED = re.compile(r"^@register_model\s+(?:@\w+\s+)*class (\w+)", re.MULTILINE)


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
    """While it lasts, one module of ptlflow can be imported without what only training and listing use.

    Its own packages do not import their hundred models, Lightning and the metrics are stand-ins, and
    SciPy's interpolation is loaded when it is first used. Whoever imports ptlflow later gets the whole
    of it.
    """
    if "ptlflow" in sys.modules:
        yield
        return
    root = _package_folder()
    lightning = StandIn("lightning.pytorch", LightningModule=_Module)
    light = [
        bare_package("ptlflow", root),
        bare_package("ptlflow.models", root / "models"),
        StandIn("ptlflow.utils.flow_metrics", FlowMetrics=_NoMetrics),
        StandIn("lightning", pytorch=lightning),
        lightning,
        StandIn("scipy.interpolate"),
    ]
    try:
        with stand_ins(light):
            yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "ptlflow"]:
            del sys.modules[name]


class _Module(torch.nn.Module):
    """What the networks use of a LightningModule when they are not trained."""

    def save_hyperparameters(self, *_args: object, **_options: object) -> None:
        """Keep the arguments of the constructors that are at work: CRAFT's parts are configured by them."""
        self._hparams: dict[str, Any] = {}
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_name == "__init__":
            code = frame.f_code
            names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
            self._hparams |= {name: frame.f_locals[name] for name in names}
            frame = frame.f_back

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


class _NoMetrics(torch.nn.Module):
    """In the place of metrics of training, which have no part in the state_dict."""

    def __init__(self, **_options: object) -> None:
        super().__init__()


def _package_folder() -> Path:
    spec = find_spec("ptlflow")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
