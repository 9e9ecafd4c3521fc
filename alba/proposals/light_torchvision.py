"""torchvision without the compiler of torch, whose import takes longer than that of torch itself.

torchvision imports it to ask whether a device can compile, which it does when an operator without a
deterministic kernel runs on a GPU that was told to be deterministic.
"""

from contextlib import AbstractContextManager

from alba.stand_ins import StandIn, stand_ins


def light_torchvision() -> AbstractContextManager[None]:
    """While it lasts, torchvision can be imported without torch's compiler, which is loaded when asked."""
    utils = StandIn("torch._dynamo.utils", is_compile_supported=_is_compile_supported)
    return stand_ins([StandIn("torch._dynamo", utils=utils), utils])


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)
