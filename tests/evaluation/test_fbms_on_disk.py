"""FBMS-59 in its official layout: definition file, region images, certainty."""

import json

import numpy as np
import pandas as pd
import pytest
import reference
from PIL import Image

from alba.config import DatasetSettings
from alba.datasets import list_videos, open_video
from alba.errors import DatasetError, EvaluationError
from alba.evaluation import evaluate, results_table
from alba.masks import write_label_map

SIZE = (12, 16)
COLOURS = ((255, 255, 255), (255, 0, 0), (0, 130, 7))
GREYS = (0, 255, 155)
LABELLED = {"cats01": (0, 9, 11), "cars1": (0, 3)}
NUM_FRAMES = {"cats01": 12, "cars1": 4}
FIGURES = ["F-Measure", "Precision", "Recall", "Extracted", "Objects", "Volume-IoU", "Delta-Objects"]


def definition(scales, labelled, num_frames, suffix):
    lines = ["Ground truth definition file; do not change!", "", "Total number of regions:", len(scales)]
    for index, scale in enumerate(scales):
        lines += [f"Scale of region {index}:", scale]
    lines += ["", "Confusion penality matrix", *["0 1 1 "] * len(scales), ""]
    lines += ["Total number of frames in this shot:", num_frames]
    lines += ["Total number of labeled frames for this shot:", len(labelled)]
    for frame in labelled:
        lines += ["Frame number:", frame, "File name:", f"{frame:03}_gt{suffix}"]
        lines += ["Input file name:", f"{frame:03}.ppm"]
    return "\n".join(map(str, lines)) + "\n"


def write_video(root, name, regions, certainty):
    """Frames, region images in colours (cats) or greys (cars), and the definition."""
    truth = root / "GroundTruth"
    truth.mkdir(parents=True)
    for index in range(NUM_FRAMES[name]):
        Image.new("RGB", SIZE[::-1]).save(root / f"{name}_{index + 1}.jpg")  # 2 comes before 10
    suffix = ".ppm" if name.startswith("cats") else ".pgm"
    scales = [r << 16 | g << 8 | b for r, g, b in COLOURS] if suffix == ".ppm" else GREYS
    text = definition(scales, LABELLED[name], NUM_FRAMES[name], suffix)
    (truth / f"{name}Def.dat").write_text(text)
    for frame, labels, sure in zip(LABELLED[name], regions, certainty, strict=True):
        path = truth / f"{frame:03}_gt{suffix}"
        if suffix == ".ppm":
            Image.fromarray(np.array(COLOURS, np.uint8)[labels]).save(path)
            Image.fromarray(sure).save(path.with_suffix(".pgm"))
        else:
            Image.fromarray(np.array(GREYS, np.uint8)[labels]).save(path)


@pytest.fixture
def data(tmp_path):
    """Two videos, predictions of their labelled frames only, and the maps of both."""
    maps = {}
    for seed, (name, labelled) in enumerate(LABELLED.items()):
        rng = np.random.default_rng(seed)
        blocks = rng.integers(0, 3, (2, len(labelled), 3, 4))
        regions, predictions = np.kron(blocks, np.ones((1, 1, 4, 4), int)).astype(np.uint8)
        certainty = rng.integers(0, 256, regions.shape, np.uint8)
        write_video(tmp_path / "FBMS/Testset" / name, name, regions, certainty)
        folder = tmp_path / "predictions" / name
        folder.mkdir(parents=True)
        for frame, prediction in zip(labelled, predictions, strict=True):
            write_label_map(folder / f"{name}_{frame + 1}.png", prediction)
        if name == "cars1":
            certainty[:] = 255  # grey region images have none
        maps[name] = list(zip(regions, certainty, strict=True)), list(predictions)
    return tmp_path, maps


def run(data, **options):
    return evaluate("fbms", data[0] / "FBMS", data[0] / "predictions", data[0] / "out", **options)


def test_equals_the_slow_reference_on_listed_frames(data):
    root, maps = data
    results = run(data)
    rows = results.sequences.set_index("Sequence")
    for name, (truths, predictions) in maps.items():
        outcomes = reference.region_outcomes(reference.region_overlaps(truths, predictions, 3))
        ours = rows.loc[name, ["Precision", "Recall", "F-Measure", "Extracted"]].to_numpy(float)
        assert any(np.allclose(ours, outcome, rtol=0, atol=1e-9) for outcome in outcomes)
        volumes = reference.volume_ious(truths, predictions, 3)
        assert rows.loc[name, "Volume-IoU"] * 2 == pytest.approx(volumes, abs=1e-9)
    precision, recall = results.overall["Precision"], results.overall["Recall"]
    assert precision == pytest.approx(rows["Precision"].mean(), abs=1e-12)
    assert results.overall["F-Measure"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert results.overall["Objects"] == 4

    out = root / "out"
    assert list(pd.read_csv(out / "metrics.csv").columns) == FIGURES
    lines = (out / "per-sequence_results-val.csv").read_text().splitlines()
    assert lines[0] == "Sequence,F-Measure,Precision,Recall,Extracted,Objects"
    assert [line.split(",")[0] for line in lines[1:]] == ["cars1", "cats01"]
    stored = json.loads((out / "results.json").read_text())
    assert list(stored["objects"]) == [f"{name}_{k}" for name in ("cars1", "cats01") for k in range(3)]
    assert stored["objects"]["cats01_0"]["Volume-IoU"] is None
    frames = pd.read_csv(out / "per-frame.csv")
    cats = frames[(frames["sequence"] == "cats01") & (frames["object"] == 1)]
    assert cats["name"].tolist() == ["cats01_1", "cats01_10", "cats01_12"]
    assert cats["frame"].tolist() == [0, 9, 11]
    assert "Ochs" in str(results_table(results).caption)


def test_perfect_predictions(data):
    root, maps = data
    for name, (truths, _) in maps.items():
        for frame, (regions, _) in zip(LABELLED[name], truths, strict=True):
            write_label_map(root / "predictions" / name / f"{name}_{frame + 1}.png", regions)
    results = run(data, jobs=2)
    figures = [results.overall[name] for name in FIGURES]
    assert figures == [1, 1, 1, 4, 4, 1, 0]
    assert set(results.frames["F-Measure"]) == {1}


def test_colours_that_the_definition_does_not_name_are_background(data):
    root, _ = data
    path = root / "FBMS/Testset/cats01/GroundTruth/000_gt.ppm"
    Image.new("RGB", SIZE[::-1], (1, 2, 3)).save(path)
    truths, predictions = data[1]["cats01"]
    truths[0] = (np.zeros(SIZE, np.uint8), truths[0][1])
    outcomes = reference.region_outcomes(reference.region_overlaps(truths, predictions, 3))
    row = run(data).sequences.set_index("Sequence").loc["cats01"]
    assert any(row["F-Measure"] == pytest.approx(outcome[2], abs=1e-9) for outcome in outcomes)


def test_videos_are_found_in_splits_and_without(data):
    root = data[0] / "FBMS"
    dataset = DatasetSettings(layout="fbms", root=str(root))
    assert list_videos(dataset, "val") == list_videos(dataset, "test") == ["cars1", "cats01"]
    video = open_video(dataset, "cats01")
    assert [path.stem for path in video.frame_paths][1::8] == ["cats01_2", "cats01_10"]
    assert video.annotation_paths is None
    alone = DatasetSettings(layout="fbms", root=str(root / "Testset"))
    assert list_videos(alone, "val") == ["cars1", "cats01"]
    assert len(open_video(alone, "cars1")) == 4
    with pytest.raises(DatasetError, match="Trainingset holds no video"):
        list_videos(dataset, "train")


def test_missing_prediction_of_a_listed_frame(data):
    (data[0] / "predictions/cats01/cats01_10.png").unlink()
    with pytest.raises(
        EvaluationError, match=r"cats01_10\.png is missing.* 3 frames that cats01Def\.dat lists"
    ):
        run(data)
    assert not (data[0] / "out").exists()
    assert run(data, allow_missing=True).num_missing == 1


def break_definition(kind, folder):
    path = folder / "cats01Def.dat"
    text = path.read_text()
    if kind == "gone":
        path.unlink()
    elif kind == "cut":
        path.write_text(text[: len(text) // 2])
    elif kind == "regions":
        path.write_text(text.replace("regions:\n3", "regions:\n4"))
    elif kind == "frame":
        path.write_text(text.replace("number:\n11", "number:\n12"))
    elif kind == "image":
        (folder / "009_gt.ppm").unlink()
    elif kind == "certainty":
        (folder / "009_gt.pgm").unlink()
    elif kind == "size":
        Image.new("L", (3, 3)).save(folder / "009_gt.pgm")
    elif kind == "damaged":
        (folder / "009_gt.ppm").write_bytes(b"P6\n16 12")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("gone", r"cats01Def\.dat is missing"),
        ("cut", r"cats01Def\.dat cannot be parsed"),
        ("regions", r"cats01Def\.dat cannot be parsed .*as many as announced"),
        ("frame", r"cats01Def\.dat labels frame 12, but cats01 has 12"),
        ("image", r"009_gt\.ppm is missing"),
        ("certainty", r"009_gt\.pgm is missing"),
        ("size", r"009_gt\.pgm is not of the size of 009_gt\.ppm"),
        ("damaged", r"009_gt\.ppm cannot be decoded"),
    ],
)
def test_damaged_ground_truth(data, kind, message):
    break_definition(kind, data[0] / "FBMS/Testset/cats01/GroundTruth")
    with pytest.raises(DatasetError, match=message):
        run(data)
    assert not (data[0] / "out").exists()
