"""Light modules in the place of heavy ones, while a package that hardly uses them is imported.

Start-up is paid once per video and stage, thousands of times on a large data set, and some packages import
seconds of code that inference never runs.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """A module that holds what it is given; whoever asks it for more gets the true module's.

    Parameters
    ----------
    name : str
        Name of the module in whose place it stands.
    **attributes
        What is asked of it in the common case.
    """

    def __init__(self, name: str, **attributes: object) -> None:
        super().__init__(name)
        vars(self).update(attributes)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        parts = self.__name__.split(".")
        for name in (".".join(parts[:n]) for n in range(1, len(parts) + 1)):
            if isinstance(sys.modules.get(name), StandIn):
                del sys.modules[name]
        return getattr(import_module(self.__name__), attribute)


def bare_package(name: str, folder: Path) -> ModuleType:
    """A package whose modules can be imported, without what its `__init__` does."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    return package


@contextmanager
def stand_ins(modules: Iterable[ModuleType]) -> Iterator[None]:
    """While it lasts, imports find these modules; afterwards they find the true ones again.

    Modules that have been imported already are left alone.
    """
    placed = [module for module in modules if module.__name__ not in sys.modules]
    sys.modules.update({module.__name__: module for module in placed})
    try:
        yield
    finally:
        for module in placed:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
