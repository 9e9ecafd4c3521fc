"""Light modules in the place of heavy ones leave no trace."""

import subprocess
import sys
from pathlib import Path

import pytest

from alba.stand_ins import StandIn, stand_ins


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch) -> str:
    """A package that notes when it is executed."""
    folder = tmp_path / "heavy_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "part.py").write_text("answer = 42\nother = 43\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "heavy_package.part"
    for name in ("heavy_package", "heavy_package.part"):
        sys.modules.pop(name, None)


def test_what_it_holds_is_found_without_the_true_module(heavy: str):
    with stand_ins([StandIn("heavy_package"), StandIn(heavy, answer=7)]):
        from heavy_package.part import answer
    assert answer == 7
    assert "heavy_package" not in sys.modules


def test_what_it_does_not_hold_comes_from_the_true_module(heavy: str):
    with stand_ins([StandIn("heavy_package"), StandIn(heavy, answer=7)]):
        from heavy_package.part import other
    assert other == 43
    assert sys.modules[heavy].answer == 42


def test_afterwards_imports_find_the_true_module(heavy: str):
    with stand_ins([StandIn("heavy_package"), StandIn(heavy, answer=7)]):
        pass
    from heavy_package.part import answer

    assert answer == 42


def test_what_is_imported_already_is_left_alone(heavy: str):
    import heavy_package.part as true

    with stand_ins([StandIn(heavy, answer=7)]):
        assert sys.modules[heavy] is true
    assert sys.modules[heavy] is true


def test_also_when_the_block_fails_nothing_is_left(heavy: str):
    with pytest.raises(KeyError), stand_ins([StandIn(heavy)]):
        raise KeyError
    assert heavy not in sys.modules


def test_torchvision_starts_without_the_compiler_and_gets_it_when_it_asks():
    script = """
import sys
import alba.proposals.torchvision_backend
assert "torch._dynamo" not in sys.modules
from torchvision.ops import roi_align
asked = sys.modules["torchvision.ops.roi_align"].is_compile_supported
assert asked("cpu") in (True, False)
assert "torch._dynamo" in sys.modules
import torch._dynamo.utils
assert asked("cpu") == torch._dynamo.utils.is_compile_supported("cpu")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
