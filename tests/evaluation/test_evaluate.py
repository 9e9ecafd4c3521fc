import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from alba.datasets import Video
from alba.errors import DatasetError, EvaluationError
from alba.evaluation import COLUMNS, evaluate, results_table
from alba.masks import write_label_map
from alba.metrics import evaluate_video

FILES = {
    "global_results-val.csv",
    "per-sequence_results-val.csv",
    "metrics.csv",
    "per-object.csv",
    "per-frame.csv",
    "results.json",
}
SIZE = (20, 30)


def label_maps(seed, num_frames, num_labels):
    labels = np.random.default_rng(seed).integers(0, num_labels + 1, (num_frames, 4, 5))
    maps = np.kron(labels, np.ones((1, 5, 6), int)).astype(np.uint8)
    maps[0, 0, 0] = num_labels
    return maps


def write_video(folder, maps):
    folder.mkdir(parents=True)
    for t, label_map in enumerate(maps):
        write_label_map(folder / f"{t:05d}.png", label_map)
    return tuple(sorted(folder.iterdir()))


@pytest.fixture
def data(tmp_path):
    """Two videos of two objects, with predictions of three tracks."""
    videos, maps = [], {}
    for seed, (name, num_frames) in enumerate({"bear": 5, "camel": 4}.items()):
        truth, prediction = label_maps(seed, num_frames, 2), label_maps(seed + 10, num_frames, 3)
        frames = tmp_path / "images" / name
        frames.mkdir(parents=True)
        for t in range(num_frames):
            Image.new("RGB", SIZE[::-1]).save(frames / f"{t:05d}.jpg")
        annotations = write_video(tmp_path / "truth" / name, truth)
        write_video(tmp_path / "predictions" / name, prediction)
        videos.append(Video(name, tuple(sorted(frames.iterdir())), annotations))
        maps[name] = truth, prediction
    return tmp_path, videos, maps


def run(data, protocol="davis17-unsupervised", **options):
    root, videos, _ = data
    return evaluate(protocol, videos, root / "predictions", root / "out", **options)


def test_tables_tell_what_was_measured(data):
    root, _, maps = data
    results = run(data)
    out = root / "out"
    assert {path.name for path in out.iterdir()} == FILES

    stored = json.loads((out / "results.json").read_text())
    assert list(stored["global"]) == list(COLUMNS)
    assert list(stored["objects"]) == ["bear_1", "bear_2", "camel_1", "camel_2"]
    for name, (truth, prediction) in maps.items():
        scores = evaluate_video(truth, prediction, "davis17-unsupervised")
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
    frames = pd.read_csv(out / "per-frame.csv")
    assert len(frames) == 2 * (5 + 4)
    means = frames.groupby(["sequence", "object"])["F"].mean()
    np.testing.assert_allclose(means, results.objects["F-Mean"], atol=1e-6)
    tracks = pd.read_csv(out / "per-object.csv")["track"]
    assert set(tracks) <= {1, 2, 3}


def test_processes_change_nothing(data):
    alone, together = run(data), run(data, num_jobs=2)
    pd.testing.assert_frame_equal(alone.frames, together.frames)
    assert alone.overall == together.overall


def test_other_split_and_files_that_do_not_count(data):
    root = data[0]
    (root / "predictions" / "bear" / "notes.txt").write_text("")
    (root / "predictions" / "zebra").mkdir()
    run(data, split="test-dev")
    assert (root / "out" / "global_results-test-dev.csv").is_file()


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
    assert results.videos["camel"].tracks.tolist() in ([1, 2], [2, 1])
    assert "5 missing frames" in str(results_table(results).title)


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
        run(data, num_jobs=2)
    assert not (data[0] / "out").exists()


def test_missing_folder_of_predictions(data):
    root, videos, _ = data
    with pytest.raises(EvaluationError, match="nowhere does not exist"):
        evaluate("davis16", videos, root / "nowhere", root / "out")


def test_ground_truth_must_be_there(data):
    root, videos, _ = data
    bare = [Video("bear", videos[0].frame_paths)]
    with pytest.raises(EvaluationError, match="bear has no ground truth"):
        evaluate("davis16", bare, root / "predictions", root / "out")
    videos[0].annotation_paths[1].unlink()
    with pytest.raises(DatasetError, match=r"truth/bear/00001.png is missing"):
        run(data)


def test_videos_without_any_object_cannot_be_scored(data):
    for video in data[1]:
        for path in video.annotation_paths:
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
