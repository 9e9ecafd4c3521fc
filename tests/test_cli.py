"""A user's mistake is one line on standard error and exit status 1; nothing half-made is left."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ALBA = Path(sys.executable).parent / "alba"


@pytest.fixture
def folder(tmp_path):
    """A data set of the folder layout with one video of two frames."""
    (tmp_path / "data/clip").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for t in range(2):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / f"data/clip/{t:05}.png")
    return tmp_path


def dataset(folder):
    return json.dumps({"layout": "folder", "root": str(folder / "data")})


def alba(*arguments):
    return subprocess.run([ALBA, *map(str, arguments)], capture_output=True, text=True)


def assert_one_line(done, *words):
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("alba: error:")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in errors[0]


def test_flow_and_proposals_of_a_folder(folder):
    flow, proposals = folder / "flow/clip.zarr", folder / "proposals/clip.zarr"
    common = ["--dataset", dataset(folder), "--video", "clip"]
    assert alba("flow", *common, "--output", flow).returncode == 0
    assert alba("propose", *common, "--flow", flow, "--output", proposals).returncode == 0
    assert (folder / "proposals/clip.ready.json").is_file()


def test_truncated_frame_names_the_file_and_leaves_nothing(folder):
    frame = folder / "data/clip/00001.png"
    frame.write_bytes(frame.read_bytes()[:500])
    done = alba(
        "flow", "--dataset", dataset(folder), "--video", "clip", "--output", folder / "flow/clip.zarr"
    )
    assert_one_line(done, "00001.png", "cannot be decoded")
    assert not any((folder / "flow").iterdir())


def test_misspelt_setting_names_the_nearest(folder):
    out = folder / "flow/clip.zarr"
    settings = '{"bakend": "dis"}'
    done = alba(
        "flow", "--dataset", dataset(folder), "--video", "clip", "--settings", settings, "--output", out
    )
    assert_one_line(done, "bakend", "did you mean 'backend'")


def test_missing_checkpoint_and_unknown_row(folder):
    common = ["--dataset", dataset(folder), "--video", "clip", "--proposals", folder / "p.zarr"]
    common += ["--output", folder / "s.zarr", "--masks", folder / "s"]
    assert_one_line(alba("segment", *common, "--row", "reinforce"), "unknown row", "reinforced")
    assert_one_line(alba("segment", *common), "p.zarr", "missing")


def test_unwritable_output(folder):
    (folder / "file").write_text("")
    out = folder / "file/clip.zarr"
    done = alba("flow", "--dataset", dataset(folder), "--video", "clip", "--output", out)
    assert_one_line(done, "cannot be written")


def test_help_loads_no_torch():
    code = "import sys, alba.cli; sys.exit('torch' in sys.modules or 'zarr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_ablation_compares_rows(tmp_path):
    columns = "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay"
    for row, mean in (("proposals", 0.25), ("reinforced", 0.5)):
        (tmp_path / f"{row}.csv").write_text(f"{columns}\n{mean},0,0,0,0,0,0\n")
    pairs = [f"{row}={tmp_path / row}.csv" for row in ("proposals", "reinforced")]
    table, figure = tmp_path / "out/ablation.csv", tmp_path / "out/ablation.png"
    assert alba("ablation", "--output", table, "--figure", figure, *pairs).returncode == 0
    lines = table.read_text().splitlines()
    assert lines[0] == f"row,{columns}"
    assert [line.split(",")[:2] for line in lines[1:]] == [["proposals", "0.25"], ["reinforced", "0.5"]]
    assert Image.open(figure).size[0] > 500
    assert_one_line(alba("ablation", "--output", table, "--figure", figure, "oracle=none.csv"), "none.csv")
