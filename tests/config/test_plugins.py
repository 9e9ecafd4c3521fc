"""Backends of other packages: a toy package that is installed for the tests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alba.store
from alba.config import Configuration, FlowSettings, ProposalSettings, parse_settings, stage_key
from alba.config.listing import backends_text
from alba.config.plugins import find_backend, make_backend, plugins
from alba.errors import AlbaError, BackendError, ConfigError
from alba.store import FlowStore, ProposalStore

SPECS = """
from typing import ClassVar
from pydantic import Field
from alba.config.backends import BackendOptions, BackendSpec

class ShiftOptions(BackendOptions):
    '''The same flow everywhere.'''
    dx: float = Field(1.0, description="pixels to the right")

class BoxOptions(BackendOptions):
    '''One box.'''
    uses_flow: ClassVar[bool] = True
    side: int = Field(4, ge=1, description="pixels")

class BareOptions(BackendOptions):
    size: int = 1

SHIFT = BackendSpec(ShiftOptions, "toy_networks:Shift")
BOX = BackendSpec(BoxOptions, "toy_networks:Box", "missing_part", "pip install missing-part")
LOST = BackendSpec(ShiftOptions, "toy_nowhere:Shift", "toy_nowhere", "pip install toy-nowhere")
BARE = BackendSpec(BareOptions, "toy_networks:Bare")
"""
NETWORKS = """
import numpy as np
from alba.proposals import Proposals

class Shift:
    def __init__(self, options):
        self.dx = options.dx
        self.provenance = {"backend": "toy-shift", "weights": None}

    def flow(self, first, second):
        field = np.zeros((2, *first.shape[:2]), np.float32)
        field[0] = self.dx
        return field

class Box:
    num_features = 1
    feature_names = ("dx",)
    provenance = {"backend": "toy-box", "weights": None}
    batch_size = 2

    def __init__(self, options):
        self.side = options.side

    def begin_video(self, name):
        pass

    def propose(self, frame, flow_forward, flow_backward):
        return next(self.propose_batch([(frame, flow_forward, flow_backward)]))

    def propose_batch(self, inputs):
        assert len(inputs) <= self.batch_size
        for frame, flow_forward, _ in inputs:
            masks = np.zeros((1, *frame.shape[:2]), bool)
            masks[:, : self.side, : self.side] = True
            box = np.float32([[0, 0, self.side, self.side]])
            yield Proposals(masks, box, np.float32([1]), np.float32([[flow_forward[0].mean()]]))
"""
ENTRY_POINTS = """
[alba.flow]
toy-shift = toy_backends:SHIFT
dis = toy_backends:SHIFT
lost = toy_backends:LOST

[alba.proposals]
toy-box = toy_backends:BOX
no-module = toy_gone:SPEC
no-spec = toy_backends:BoxOptions
bare = toy_backends:BARE
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """Folder on the path that holds the toy package as an installer leaves it."""
    folder = tmp_path / "site"
    metadata = folder / "toy_alba-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-alba\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "toy_backends.py").write_text(SPECS)
    (folder / "toy_networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(str(folder))
    plugins.cache_clear()
    yield folder
    plugins.cache_clear()
    for name in ("toy_backends", "toy_networks"):
        sys.modules.pop(name, None)


def test_plugin_is_found_with_its_settings_and_without_its_implementation(toy: Path):
    settings = FlowSettings(backend="toy-shift")
    assert settings.options == {"dx": 1.0}
    assert ProposalSettings(backend="toy-box").uses_flow
    assert "toy_networks" not in sys.modules
    assert make_backend("flow", "toy-shift", {"dx": 2.0}).dx == 2


def test_settings_of_a_plugin_are_checked_like_alba_s_own(toy: Path):
    with pytest.raises(ConfigError, match="options of toy-box: unknown key 'sied': did you mean 'side'"):
        parse_settings(ProposalSettings, {"backend": "toy-box", "options": {"sied": 3}}, "mine.yaml")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*options of toy-box: side = 0: Input should be"):
        parse_settings(ProposalSettings, {"backend": "toy-box", "options": {"side": 0}}, "mine.yaml")


def test_settings_of_a_plugin_stand_in_the_key_of_what_it_makes(toy: Path):
    def key(**options: float) -> str:
        values = {
            "datasets": {"d": {"root": "d"}},
            "stages": {"flow": {"backend": "toy-shift", "options": options}},
        }
        return stage_key(parse_settings(Configuration, values, "config.yaml"), "d", "flow")

    assert key() == key(dx=1) != key(dx=2)


def test_weights_of_one_s_own_stand_in_the_key_by_what_they_hold(tmp_path: Path):
    weights = tmp_path / "mine.pth"

    def key(stage: str) -> str:
        proposals = {"backend": "torchvision", "options": {"weights": str(weights)}}
        values = {"datasets": {"d": {"root": "d"}}, "stages": {"proposals": proposals}}
        return stage_key(parse_settings(Configuration, values, "config.yaml"), "d", stage)

    keys = []
    for content in ("one", "other", "one"):
        weights.write_text(content)
        keys.append((key("proposals"), key("labels"), key("flow")))
    assert keys[0] == keys[2]
    assert [first == second for first, second in zip(*keys[:2], strict=True)] == [False, False, True]


def test_names_of_alba_s_own_backends_cannot_be_taken(toy: Path):
    assert find_backend("flow", "dis").implementation == "alba.flow.dis:DisBackend"
    assert list(plugins("flow")) == ["lost", "toy-shift"]


def test_unknown_backend_names_the_nearest_of_all_that_are_installed(toy: Path):
    with pytest.raises(ConfigError, match=r"unknown flow backend 'toy_shift': nearest is 'toy-shift' of dis"):
        parse_settings(FlowSettings, {"backend": "toy_shift"}, "config.yaml")
    with pytest.raises(BackendError, match=r"unknown proposals backend 'regoins': nearest is 'regions'"):
        find_backend("proposals", "regoins")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-module", "ModuleNotFoundError: No module named 'toy_gone'"),
        ("no-spec", "toy_backends:BoxOptions is no BackendSpec"),
        ("bare", "option size lacks a default or a description"),
    ],
)
def test_broken_plugin_names_its_package_and_leaves_the_others_alone(toy: Path, name, reason):
    with pytest.raises(AlbaError) as caught:
        parse_settings(ProposalSettings, {"backend": name}, "config.yaml")
    assert f"backend {name} of package toy-alba is broken ({reason})" in str(caught.value)
    assert ProposalSettings(backend="toy-box").options == {"side": 4}


def test_plugin_whose_part_is_missing_says_how_to_get_it(toy: Path):
    with pytest.raises(
        BackendError, match=r"lost cannot be imported .*toy_nowhere.*: pip install toy-nowhere"
    ):
        make_backend("flow", "lost", {})


def test_listing_shows_every_backend_with_package_lack_and_settings(toy: Path):
    lines = backends_text().splitlines()
    assert lines[0] == "flow:"
    assert "  toy-shift:  # toy-alba 1.2" in lines
    assert "    dx: 1.0  # pixels to the right" in lines
    assert "    # One box." in lines
    assert "  toy-box:  # toy-alba 1.2; missing_part is not installed: pip install missing-part" in lines
    assert any("no-module of package toy-alba is broken" in line for line in lines)
    assert "    max_proposals: 40  # most proposals a frame" in lines


def test_stages_run_a_plugin_and_loading_starts_no_torch(toy: Path, tmp_path: Path):
    frames = tmp_path / "data/clip"
    frames.mkdir(parents=True)
    for t in range(3):
        Image.fromarray(np.full((9, 12, 3), 50 * t, np.uint8)).save(frames / f"{t:05}.png")
    dataset = json.dumps({"layout": "folder", "root": str(tmp_path / "data")})
    flow, proposals = tmp_path / "flow/clip.zarr", tmp_path / "proposals/clip.zarr"

    def alba_(verb: str, settings: object, *words: object) -> None:
        script = (
            f"import sys; sys.path.insert(0, {str(toy)!r}); import alba.cli; alba.cli.app(standalone_mode="
            "False); sys.exit('torch' in sys.modules)"
        )
        common = ["--dataset", dataset, "--video", "clip", "--settings", json.dumps(settings)]
        command = [sys.executable, "-c", script, verb, *common, *map(str, words)]
        assert subprocess.run(command, check=False).returncode == 0

    alba_("flow", {"backend": "toy-shift", "options": {"dx": 3.0}}, "--output", flow)
    alba_("propose", {"backend": "toy-box"}, "--flow", flow, "--output", proposals)
    flow_store, proposal_store = alba.store.open(flow), alba.store.open(proposals)
    assert isinstance(flow_store, FlowStore)
    assert isinstance(proposal_store, ProposalStore)
    assert (flow_store.forward(0)[0] == 3).all()
    assert proposal_store["features"][:, 0].tolist() == [3, 3, -3]
    assert proposal_store.frame_masks(2).sum() == 16
    assert proposal_store.attributes["provenance"]["backend"]["backend"] == "toy-box"


def test_command_lists_backends_without_torch():
    script = "import sys, alba.cli; alba.cli.app(['backends'], standalone_mode=False)"
    script += "; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("dis", "ptlflow", "regions", "torchvision", "detectron2"):
        assert f"  {name}:  # alba" in done.stdout
