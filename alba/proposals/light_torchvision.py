"""torchvision, and detectron2, without the compiler of torch, whose import takes longer than that of torch.

torchvision imports it to ask whether a device can compile, which it does when an operator without a
deterministic kernel runs on a GPU that was told to be deterministic. detectron2 imports it to keep functions
from being compiled. Nothing is compiled here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from alba.stand_ins import StandIn, stand_ins

Function = TypeVar("Function", bound=Callable[..., object])


def light_torchvision() -> AbstractContextManager[None]:
    """While it lasts, both can be imported without torch's compiler, which is loaded when asked."""
    utils = StandIn("torch._dynamo.utils", is_compile_supported=_is_compile_supported)
    return stand_ins([StandIn("torch._dynamo", utils=utils, disable=_disable), utils])


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


def _disable(function: Function, *_args: object, **_options: object) -> Function:
    return function
