"""A user's mistake is one line on standard error and exit status 1; nothing half-made is left."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alba.cli import show

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


def test_mistakes_in_json_are_told_by_their_option(folder):
    common = ["--video", "clip", "--output", folder / "f.zarr"]
    assert_one_line(alba("flow", *common, "--dataset", "{"), "--dataset cannot be parsed")
    assert_one_line(alba("flow", *common, "--dataset", '{"rot": "x"}'), "--dataset: unknown key 'rot'")
    assert_one_line(alba("flow", *common, "--dataset", f"layout: {'x' * 300}"), "cannot be read", "JSON text")
    assert_one_line(alba("flow", *common, "--dataset", folder), "cannot be read")
    common = ["--dataset", dataset(folder), *common, "--proposals", "p", "--masks", folder / "m"]
    assert_one_line(alba("segment", *common, "--grouping", '{"slots": 3}'), "--grouping: unknown key 'slots'")


def test_missing_checkpoint_and_unknown_row(folder):
    common = ["--dataset", dataset(folder), "--video", "clip", "--proposals", folder / "p.zarr"]
    common += ["--output", folder / "s.zarr", "--masks", folder / "s"]
    assert_one_line(alba("segment", *common, "--row", "reinforce"), "unknown row", "reinforced")
    assert_one_line(alba("segment", *common), "p.zarr", "missing")


def test_refine_names_what_is_missing_or_misspelt(folder):
    common = ["--dataset", dataset(folder), "--video", "clip", "--proposals", folder / "p.zarr"]
    common += ["--flow", folder / "f.zarr", "--segmentation", folder / "s.zarr"]
    common += ["--refinement", folder / "net", "--output", folder / "r.zarr", "--masks", folder / "r"]
    assert_one_line(alba("refine", *common), "net/network.json is missing", "train the network first")
    assert_one_line(
        alba("refine", *common, "--model", "davis16-regions"), "give either --refinement or --model"
    )
    given = [word for word in common if word not in ("--refinement", folder / "net")]
    assert_one_line(alba("refine", *given), "no refinement network, or two")
    assert_one_line(alba("refine", *given, "--model", folder), "refinement/network.json is missing")
    assert_one_line(alba("refine", *given, "--model", "davis16-regions"), "s.zarr")
    assert_one_line(alba("segment", *common[:6], *common[-4:], "--row", "refined"), "unknown row 'refined'")


def test_unwritable_output(folder):
    (folder / "file").write_text("")
    out = folder / "file/clip.zarr"
    done = alba("flow", "--dataset", dataset(folder), "--video", "clip", "--output", out)
    assert_one_line(done, "cannot be written")


def test_help_loads_no_torch():
    code = "import sys, alba.cli; sys.exit('torch' in sys.modules or 'zarr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def metrics_of(folder, **means):
    columns = "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay"
    for name, mean in means.items():
        (folder / f"{name}.csv").write_text(f"{columns}\n{mean},0,0,0,0,0,0\n")
    return [f"{name}={folder / name}.csv" for name in means]


def test_peers_are_compared_the_best_first(tmp_path):
    table, figure = tmp_path / "out/peers.csv", tmp_path / "out/peers.png"
    pairs = metrics_of(tmp_path, alba=0.5, cut=0.25, ags=0.75)
    done = alba("peers", "--output", table, "--figure", figure, *pairs)
    assert done.returncode == 0
    lines = table.read_text().splitlines()
    assert lines[0].startswith("method,J&F-Mean,J-Mean")
    assert [line.split(",")[0] for line in lines[1:]] == ["ags", "alba", "cut"]
    assert Image.open(figure).size[0] > 500
    assert "0.750" in done.stdout
    assert_one_line(alba("peers", "--output", table, "--figure", figure, "nlc=none.csv"), "none.csv")


def test_compared_files_have_a_name_each_and_the_same_figures(tmp_path):
    table, figure = tmp_path / "out/peers.csv", tmp_path / "out/peers.png"
    command = ["peers", "--output", table, "--figure", figure]
    pairs = metrics_of(tmp_path, alba=0.5, cut=0.25)
    (tmp_path / "fbms.csv").write_text("F-measure,N-objects\n0.5,3\n")
    assert_one_line(alba(*command, *pairs, f"fbms={tmp_path}/fbms.csv"), "fbms.csv has other figures than")
    assert_one_line(alba(*command, *pairs, f"cut={tmp_path}/alba.csv"), "are both called cut")
    assert_one_line(alba(*command, f"{tmp_path}/alba.csv"), "alba.csv' is not name=path")
    assert_one_line(alba(*command, f"={tmp_path}/alba.csv"), "is not name=path")
    assert not (tmp_path / "out").exists()
    assert alba(*command, *pairs).returncode == 0
    assert_one_line(alba(*command, f"alba={table}"), "peers.csv is no metrics.csv")


def test_results_go_to_files_that_can_be_written_or_nowhere(tmp_path):
    pairs = metrics_of(tmp_path, alba=0.5, cut=0.25)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.png").mkdir()
    for table, figure, words in (
        ("folder.csv", "f.png", ["folder.csv cannot be written"]),
        ("t.csv", "folder.png", ["folder.png cannot be written"]),
        ("t.csv", "f.table", ["f.table has the ending of no picture", "png"]),
    ):
        command = ["peers", "--output", tmp_path / table, "--figure", tmp_path / figure]
        assert_one_line(alba(*command, *pairs), *words)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"alba.csv", "cut.csv", "t.csv", "folder.csv", "folder.png"}


def test_overlay_needs_masks_of_the_videos_size(folder):
    (folder / "masks").mkdir()
    for t in range(2):
        Image.fromarray(np.ones((40, 60), np.uint8)).save(folder / f"masks/{t:05}.png")
    command = ["overlay", "--dataset", dataset(folder), "--video", "clip", "--masks", folder / "masks"]
    assert alba(*command, "--output", folder / "out/clip.png").returncode == 0
    assert Image.open(folder / "out/clip.png").size == (640, 213)
    assert_one_line(alba(*command, "--output", folder / "out/clip"), "ending of no picture")
    Image.fromarray(np.ones((20, 30), np.uint8)).save(folder / "masks/00001.png")
    done = alba(*command, "--output", folder / "out/other.png")
    assert_one_line(done, "masks/00001.png is 20 x 30 pixels", "40 x 60")
    assert [path.name for path in (folder / "out").iterdir()] == ["clip.png"]


def davis16(folder):
    """DAVIS 2016 with one video of three frames, and a prediction of the only frame that counts."""
    truth, predictions = folder / "DAVIS", folder / "theirs"
    label_map = np.zeros((40, 60), np.uint8)
    label_map[10:20, 10:30] = 255
    for path in (truth / "JPEGImages/480p/clip", truth / "Annotations/480p/clip", predictions / "clip"):
        path.mkdir(parents=True)
    for t in range(3):
        Image.fromarray(label_map).convert("RGB").save(truth / f"JPEGImages/480p/clip/{t:05}.jpg")
        Image.fromarray(label_map).save(truth / f"Annotations/480p/clip/{t:05}.png")
    Image.fromarray(label_map).save(predictions / "clip/00001.png")
    (truth / "ImageSets/2016").mkdir(parents=True)
    (truth / "ImageSets/2016/val.txt").write_text("clip\n")
    common = ["--protocol", "davis16", "--ground-truth", truth, "--predictions", predictions]
    return ["evaluate", *common, "--output", folder / "scores"]


def test_evaluate_scores_any_methods_masks(tmp_path):
    done = alba(*davis16(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "clip_1" in done.stdout
    assert "global" in done.stdout
    stored = json.loads((tmp_path / "scores/results.json").read_text())
    assert stored["global"]["J&F-Mean"] == 1
    assert list(stored) == ["global", "objects"]
    assert list(stored["objects"]["clip_1"]) == list(stored["global"])[1:]


def test_evaluate_refuses_what_breaks_the_rules(tmp_path):
    command = davis16(tmp_path)
    (tmp_path / "theirs/clip/00001.png").unlink()
    assert_one_line(alba(*command), "clip/00001.png is missing", "davis16 scores all frames but")
    assert not (tmp_path / "scores").exists()
    done = alba(*command, "--allow-missing")
    assert done.returncode == 0
    assert "1 missing frames scored as empty" in done.stdout
    assert_one_line(alba(*command[:-1], tmp_path / "x", "--protocol", "davis"), "unknown protocol 'davis'")
    assert_one_line(alba(*command, "--year", "2017"), "2017/val.txt is missing")
    assert_one_line(alba(*command, "--seen", tmp_path / "none"), "davis16 knows no seen categories")
    youtube = [*command, "--protocol", "youtube-vos", "--seen", tmp_path / "none"]
    assert_one_line(alba(*youtube), "none is missing")
    assert_one_line(alba("evaluate", "--predictions", "x", "--output", "y"), "no ground truth")


def test_submission_verb(tmp_path):
    root = tmp_path / "YouTube-VOS/valid"
    for path in (root / "JPEGImages/ab", root / "Annotations/ab", tmp_path / "ours/ab"):
        path.mkdir(parents=True)
    label_map = np.ones((8, 8), np.uint8)
    Image.fromarray(label_map).save(root / "Annotations/ab/00000.png")
    Image.fromarray(label_map).save(tmp_path / "ours/ab/00000.png")
    objects = {"1": {"frames": ["00000", "00005"]}}
    (root / "meta.json").write_text(json.dumps({"videos": {"ab": {"objects": objects}}}))
    command = ["submission", "--ground-truth", root.parent, "--predictions", tmp_path / "ours"]
    command += ["--output", tmp_path / "results.zip"]
    assert_one_line(alba(*command), "ab/00005.png is missing")
    done = alba(*command, "--allow-missing")
    assert "1 missing frames" in done.stdout
    assert (tmp_path / "results.zip").stat().st_size > 0


def test_ablation_compares_rows(tmp_path):
    pairs = metrics_of(tmp_path, proposals=0.25, reinforced=0.5)
    table, figure = tmp_path / "out/ablation.csv", tmp_path / "out/ablation.png"
    command = ["ablation", "--output", table, "--figure", figure, "--runs", tmp_path / "out/runs.csv"]
    assert alba(*command, *pairs).returncode == 0
    lines = table.read_text().splitlines()
    assert lines[0] == "row,J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay"
    assert [line.split(",")[:2] for line in lines[1:]] == [["proposals", "0.25"], ["reinforced", "0.5"]]
    assert Image.open(figure).size[0] > 500
    assert_one_line(alba(*command, "oracle=none.csv"), "none.csv")


def test_table_of_the_ablation_fits_a_terminal_of_80_columns(tmp_path, monkeypatch, capsys):
    names = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
    table = tmp_path / "ablation.csv"
    table.write_text(f"row,{','.join(names)}\nreinforced,{','.join(['-0.1234'] * len(names))}\n")
    monkeypatch.setenv("COLUMNS", "80")
    show(table)
    header = next(line for line in capsys.readouterr().out.splitlines() if "row" in line)
    assert header.split() == ["row", *names]


def test_names_are_shown_as_they_are(tmp_path, monkeypatch, capsys):
    table = tmp_path / "peers.csv"
    table.write_text("method,J&F-Mean\ntheirs [coco],0.5\nx[/a],0.4\n")
    monkeypatch.setenv("COLUMNS", "80")
    show(table)
    printed = capsys.readouterr().out
    assert "theirs [coco]" in printed
    assert "x[/a]" in printed


@pytest.mark.parametrize("content", [b"", b"row,J&F-Mean\n", b"a,b\n1,2,3\n4,5,6,7\n", b"\xff\xfe\x00"])
def test_what_is_no_table_is_named(tmp_path, content):
    (tmp_path / "bad.csv").write_bytes(content)
    assert_one_line(alba("show", tmp_path / "bad.csv"), "bad.csv")


def test_settings_that_are_no_text_or_hold_a_negative_seed_are_named(folder):
    (folder / "latin.yaml").write_bytes("layout: f\xfcr".encode("latin-1"))
    done = alba("flow", "--dataset", folder / "latin.yaml", "--video", "clip", "--output", folder / "f.zarr")
    assert_one_line(done, "latin.yaml", "UTF-8")
    assert_one_line(alba("sprites", "--settings", '{"seed": -5}', "--output", folder / "s"), "seed = -5")


def test_masks_do_not_go_over_the_frames_or_into_the_store(folder):
    common = ["--dataset", dataset(folder), "--video", "clip"]
    stores = {stage: folder / stage / "clip.zarr" for stage in ("flow", "proposals")}
    alba("flow", *common, "--output", stores["flow"])
    alba("propose", *common, "--flow", stores["flow"], "--output", stores["proposals"])
    segment = ["segment", *common, "--row", "proposals", "--proposals", stores["proposals"], "--output"]
    before = [path.read_bytes() for path in sorted((folder / "data/clip").iterdir())]
    done = alba(*segment, folder / "out/clip.zarr", "--masks", folder / "data/clip")
    assert_one_line(done, "was not made by alba")
    done = alba(*segment, folder / "out/clip.zarr", "--masks", folder / "data/clip", "--proposals", "none")
    assert_one_line(done, "was not made by alba")  # before anything is read
    assert [path.read_bytes() for path in sorted((folder / "data/clip").iterdir())] == before
    assert_one_line(alba(*segment, folder / "out/same", "--masks", folder / "out/same"), "cannot hold")
    assert not (folder / "out").exists()
