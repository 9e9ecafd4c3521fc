"""Scoring of PNGs on disk by the DAVIS rules; what a user can do wrong."""

import json
import os
import signal
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from alba.config import DatasetSettings
from alba.errors import ConfigError, DatasetError, EvaluationError
from alba.evaluation import COLUMNS, evaluate, results_table
from alba.evaluation.evaluate import _score_all
from alba.evaluation.request import Predictions
from alba.masks import write_label_map
from alba.metrics import evaluate_video

FILES = {
    "global_results-val.csv",
    "per-sequence_results-val.csv",
    "metrics.csv",
    "per-object.csv",
    "per-frame.csv",
    "protocol.json",
    "results.json",
}
SIZE = (20, 30)
NUM_FRAMES = {"bear": 5, "camel": 4}
UNSUPERVISED = "davis17-unsupervised"


def label_maps(seed, num_frames, num_labels):
    labels = np.random.default_rng(seed).integers(0, num_labels + 1, (num_frames, 4, 5))
    maps = np.kron(labels, np.ones((1, 5, 6), int)).astype(np.uint8)
    maps[0, 0, 0] = num_labels
    return maps


def write_maps(folder, maps):
    folder.mkdir(parents=True)
    for t, label_map in enumerate(maps):
        write_label_map(folder / f"{t:05d}.png", label_map)


def write_list(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def data(tmp_path):
    """DAVIS 2017 with two videos of two objects, predictions of three tracks, and the maps of both."""
    maps, truth_root = {}, tmp_path / "truth"
    for seed, (name, num_frames) in enumerate(NUM_FRAMES.items()):
        truth, prediction = label_maps(seed, num_frames, 2), label_maps(seed + 10, num_frames, 3)
        frames = truth_root / "JPEGImages/480p" / name
        frames.mkdir(parents=True)
        for t in range(num_frames):
            Image.new("RGB", SIZE[::-1]).save(frames / f"{t:05d}.jpg")
        write_maps(truth_root / "Annotations_unsupervised/480p" / name, truth)
        write_maps(truth_root / "Annotations/480p" / name, truth[::-1])
        write_maps(tmp_path / "predictions" / name, prediction)
        maps[name] = truth, prediction
    write_list(truth_root / "ImageSets/2017/val.txt", "bear\ncamel\n")
    return tmp_path, maps


def run(data, protocol=UNSUPERVISED, **options):
    root, _ = data
    return evaluate(protocol, root / "truth", root / "predictions", root / "out", **options)


def annotations(data, name="bear", kind="Annotations_unsupervised"):
    return sorted((data[0] / "truth" / kind / "480p" / name).iterdir())


def test_tables_tell_what_was_measured(data):
    root, maps = data
    results = run(data)
    out = root / "out"
    assert {path.name for path in out.iterdir()} == FILES

    stored = json.loads((out / "results.json").read_text())
    assert list(stored["global"]) == list(COLUMNS)
    assert list(stored["objects"]) == ["bear_1", "bear_2", "camel_1", "camel_2"]
    for name, (truth, prediction) in maps.items():
        scores = evaluate_video(truth, prediction, UNSUPERVISED)
        for k in (1, 2):
            row = stored["objects"][f"{name}_{k}"]
            assert row["J-Mean"] == scores.J[:, k - 1].mean()
            assert row["F-Recall"] == (scores.F[:, k - 1] > 0.5).mean()
    for column in COLUMNS[1:]:
        values = [row[column] for row in stored["objects"].values()]
        assert stored["global"][column] == pytest.approx(np.mean(values), abs=1e-12)
    mean = (stored["global"]["J-Mean"] + stored["global"]["F-Mean"]) / 2
    assert stored["global"]["J&F-Mean"] == pytest.approx(mean, abs=1e-12)

    lines = (out / "global_results-val.csv").read_text().splitlines()
    assert lines[0] == "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay"
    assert lines[1] == ",".join(f"{stored['global'][column]:.3f}" for column in COLUMNS)
    lines = (out / "per-sequence_results-val.csv").read_text().splitlines()
    bear = stored["objects"]["bear_1"]
    assert lines[:2] == ["Sequence,J-Mean,F-Mean", f"bear_1,{bear['J-Mean']:.3f},{bear['F-Mean']:.3f}"]
    assert list(pd.read_csv(out / "metrics.csv").columns) == list(COLUMNS)
    frames = pd.read_csv(out / "per-frame.csv", dtype={"name": str})
    assert list(frames.columns) == ["sequence", "object", "frame", "name", "J", "F"]
    assert len(frames) == 2 * (5 + 4)
    assert frames["name"][:6].tolist() == ["00000", "00001", "00002", "00003", "00004", "00000"]
    assert frames["frame"][:6].tolist() == [0, 1, 2, 3, 4, 0]
    means = frames.groupby(["sequence", "object"])["F"].mean()
    np.testing.assert_allclose(means, results.objects["F-Mean"], atol=1e-6)
    tracks = pd.read_csv(out / "per-object.csv")["track"]
    assert set(tracks) <= {1, 2, 3}
    rules = json.loads((out / "protocol.json").read_text())
    assert rules["protocol"] == UNSUPERVISED
    assert rules["annotations"] == "Annotations_unsupervised/480p"


def test_processes_change_nothing(data):
    alone, together = run(data), run(data, jobs=2)
    pd.testing.assert_frame_equal(alone.frames, together.frames)
    assert alone.overall == together.overall


def test_files_that_do_not_count(data):
    root = data[0]
    (root / "predictions/bear/notes.txt").write_text("")
    (root / "predictions/zebra").mkdir()
    assert len(run(data).objects) == 4


PAIRS = "/JPEGImages/480p/bear/{t:05}.jpg /Annotations/480p/bear/{t:05}.png\n"


@pytest.mark.parametrize("protocol", [UNSUPERVISED, "davis16"])
@pytest.mark.parametrize("list_name", ["480p/val", "2016/val", "2017/val"])
@pytest.mark.parametrize("text", ["bear\n", "".join(PAIRS.format(t=t) for t in range(5))])
def test_every_official_form_of_the_list(data, protocol, list_name, text):
    (data[0] / "truth/ImageSets/2017/val.txt").unlink()
    write_list(data[0] / f"truth/ImageSets/{list_name}.txt", text)
    assert run(data, protocol).objects["sequence"].unique().tolist() == ["bear"]


def test_protocols_prefer_the_list_of_their_year(data):
    write_list(data[0] / "truth/ImageSets/2016/val.txt", "camel\n")
    assert run(data, "davis16").objects["sequence"].tolist() == ["camel"]
    assert len(run(data).objects) == 4
    assert run(data, year="2016").objects["sequence"].tolist() == ["camel"] * 2
    with pytest.raises(DatasetError, match=r"ImageSets/2019/val\.txt is missing"):
        run(data, year="2019")


def test_unsupervised_test_sets_have_the_list_of_2019(data):
    write_list(data[0] / "truth/ImageSets/2017/test-dev.txt", "bear\n")
    with pytest.raises(DatasetError, match=r"2019/test-dev\.txt is missing"):
        run(data, split="test-dev")
    write_list(data[0] / "truth/ImageSets/2019/test-dev.txt", "camel\n")
    assert run(data, split="test-dev").objects["sequence"].unique().tolist() == ["camel"]
    assert (data[0] / "out/global_results-test-dev.csv").is_file()


def test_a_list_of_ones_own(data):
    write_list(data[0] / "mine.txt", "camel\n")
    assert run(data, split=str(data[0] / "mine.txt")).objects["sequence"].unique().tolist() == ["camel"]
    assert (data[0] / "out/global_results-mine.csv").is_file()
    with pytest.raises(DatasetError, match=r"none\.txt is missing"):
        run(data, split=str(data[0] / "none.txt"))


def test_semisupervised_reads_the_other_annotations_and_scores_track_k_for_object_k(data):
    root, maps = data
    for name, (truth, prediction) in maps.items():
        for t, label_map in enumerate(np.minimum(prediction, 2)):
            write_label_map(root / "predictions" / name / f"{t:05d}.png", label_map)
        for end in (0, len(truth) - 1):
            (root / "predictions" / name / f"{end:05d}.png").unlink()
    results = run(data, "davis17-semisupervised")
    truth, prediction = maps["bear"]
    expected = evaluate_video(truth[::-1], np.minimum(prediction, 2), "davis17-semisupervised")
    ours = results.objects[results.objects["sequence"] == "bear"]
    assert ours["J-Mean"].tolist() == expected.J.mean(0).tolist()
    assert ours["track"].tolist() == [1, 2]
    assert sorted(results.frames["frame"].unique()) == [1, 2, 3]


def test_unsupervised_falls_back_on_the_only_annotations_and_says_so(data):
    (data[0] / "truth/Annotations_unsupervised").rename(data[0] / "gone")
    results = run(data)
    assert "Annotations/480p" in str(results_table(results).caption)


def test_images_are_not_needed(data):
    whole = run(data)
    (data[0] / "truth/JPEGImages").rename(data[0] / "gone")
    alone = run(data)
    pd.testing.assert_frame_equal(alone.frames, whole.frames)
    annotations(data)[2].unlink()
    with pytest.raises(DatasetError, match=r"bear/00002\.png is missing"):
        run(data)


def test_the_call_takes_a_data_set_too(data):
    root = data[0]
    dataset = DatasetSettings(layout="davis17", root=str(root / "truth"))
    again = evaluate(UNSUPERVISED, dataset, str(root / "predictions"), str(root / "out"))
    assert again.overall == run(data).overall


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "davis2017"}, "unknown protocol 'davis2017'.*davis17-unsupervised"),
        ({"tracks": "first-frame"}, "does not choose tracks"),
        ({"tracks": "best"}, "unknown way to choose tracks 'best'"),
        ({"protocol": "fbms", "year": "2016"}, "fbms has no lists by year"),
    ],
)
def test_options_that_do_not_fit(data, options, message):
    with pytest.raises(ConfigError, match=message):
        run(data, **options)


def test_layout_that_does_not_fit(data):
    with pytest.raises(ConfigError, match="fbms cannot score layout davis17"):
        evaluate("fbms", DatasetSettings(), data[0] / "predictions", data[0] / "out")


def test_davis16_needs_no_first_and_last_frame(data):
    root = data[0]
    for frame in ("00000", "00004"):
        (root / "predictions" / "bear" / f"{frame}.png").unlink()
    results = run(data, "davis16")
    assert results.objects["sequence"].tolist() == ["bear", "camel"]
    assert len(results.frames) == 3 + 2
    assert results.num_missing == 0


def test_missing_predictions_may_be_allowed(data):
    root = data[0]
    (root / "predictions" / "bear" / "00002.png").unlink()
    for path in (root / "predictions" / "camel").iterdir():
        path.unlink()
    results = run(data, allow_missing=True)
    assert results.num_missing == 1 + 4
    camel = results.objects[results.objects["sequence"] == "camel"]
    assert sorted(camel["track"]) == [1, 2]
    assert "5 missing frames" in str(results_table(results).caption)
    assert json.loads((root / "out/protocol.json").read_text())["num_missing"] == 5


def damage(kind, folder):
    path = folder / "00002.png"
    if kind == "sequence":
        folder.rename(folder.with_name("beer"))
    elif kind == "frame":
        path.unlink()
    elif kind == "size":
        write_label_map(path, np.zeros((20, 31), np.uint8))
    elif kind == "colour":
        Image.new("RGB", SIZE[::-1]).save(path)
    elif kind == "void":
        write_label_map(path, np.full(SIZE, 255, np.uint8))
    elif kind == "tracks":
        write_label_map(path, np.full(SIZE, 21, np.uint8))
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:60])
    elif kind == "no image":
        path.write_text("frame")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("sequence", r"bear is missing, and davis17-unsupervised scores every frame"),
        ("frame", r"bear/00002.png is missing"),
        ("size", r"bear/00002.png is 20 x 31 pixels, the ground truth 20 x 30"),
        ("colour", r"bear/00002.png holds colours"),
        ("void", r"bear/00002.png holds 255"),
        ("tracks", r"bear/00002.png holds id 21.*at most 20 tracks"),
        ("truncated", r"bear/00002.png cannot be decoded"),
        ("no image", r"bear/00002.png cannot be decoded"),
    ],
)
def test_bad_predictions_are_one_line_and_nothing_is_written(data, kind, message):
    root = data[0]
    damage(kind, root / "predictions" / "bear")
    with pytest.raises(EvaluationError, match=message) as caught:
        run(data)
    assert "\n" not in str(caught.value)
    assert not (root / "out").exists()


def test_errors_cross_processes(data):
    damage("truncated", data[0] / "predictions" / "bear")
    with pytest.raises(EvaluationError, match=r"bear/00002.png cannot be decoded"):
        run(data, jobs=2)
    assert not (data[0] / "out").exists()


@dataclass
class Killed:
    """A task whose process the system ends, as it does when memory runs out."""

    predictions = Predictions(UNSUPERVISED, (), frozenset(), 0)

    def score(self):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_in_a_line():
    with pytest.raises(EvaluationError, match="process of the evaluation was killed: give it more memory"):
        _score_all([Killed(), Killed()], jobs=2)


def test_missing_folders(data):
    root, _ = data
    with pytest.raises(EvaluationError, match="nowhere does not exist"):
        evaluate("davis16", root / "truth", root / "nowhere", root / "out")
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        evaluate("davis16", root / "nowhere", root / "predictions", root / "out")


def test_ground_truth_must_be_there(data):
    root, _ = data
    annotations(data)[1].unlink()
    with pytest.raises(DatasetError, match=r"bear/00001.png is missing"):
        run(data)
    (root / "truth/Annotations").rename(root / "gone")
    with pytest.raises(EvaluationError, match="bear has no ground truth in Annotations"):
        run(data, "davis16")


def test_videos_without_any_object_cannot_be_scored(data):
    for name in NUM_FRAMES:
        for path in annotations(data, name):
            write_label_map(path, np.zeros(SIZE, np.uint8))
    with pytest.raises(EvaluationError, match="no video has an object"):
        run(data)


def test_unwritable_output_leaves_nothing(data):
    root = data[0]
    (root / "out").write_text("a file stands in the way")
    with pytest.raises(EvaluationError, match="cannot be written"):
        run(data)


def test_failed_publication_leaves_nothing_half_written(data):
    out = data[0] / "out"
    (out / "results.json").mkdir(parents=True)
    with pytest.raises(EvaluationError, match="cannot be written"):
        run(data)
    assert not (out / "metrics.csv").exists()
    assert not (out / ".partial").exists()


def test_a_later_evaluation_replaces_the_tables(data):
    run(data)
    first = (data[0] / "out" / "metrics.csv").read_text()
    assert run(data, "davis16").overall["J&F-Mean"] != pytest.approx(
        float(first.split("\n")[1].split(",")[0])
    )
    assert (data[0] / "out" / "metrics.csv").read_text() != first


def test_console_table_ends_with_the_global_row(data):
    console = Console(width=120, record=True)
    results = run(data)
    console.print(results_table(results))
    text = console.export_text()
    assert "camel_2" in text
    last = next(line for line in reversed(text.splitlines()) if "global" in line)
    assert f"{results.overall['J&F-Mean']:.3f}" in last
