"""YouTube-VOS in its official layout, and the archive for its server."""

import json
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest
import reference
from PIL import Image

from alba.config import DatasetSettings
from alba.datasets import list_videos, open_video
from alba.errors import DatasetError, EvaluationError
from alba.evaluation import evaluate, results_table, write_submission
from alba.masks import PALETTE, write_label_map

SIZE = (12, 16)
STEMS = ["00000", "00005", "00010", "00015"]
CATEGORIES = {"0a1b": {1: "person", 3: "okapi"}, "ff00": {1: "zebra"}}
FIRST = {"0a1b": {1: "00005", 3: "00010"}, "ff00": {1: "00000"}}


def write_split(root, maps):
    videos = {}
    for name, truth in maps.items():
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / name).mkdir(parents=True)
        for stem, label_map in zip(STEMS, truth, strict=True):
            Image.new("RGB", SIZE[::-1]).save(root / f"JPEGImages/{name}/{stem}.jpg")
            write_label_map(root / f"Annotations/{name}/{stem}.png", label_map)
        videos[name] = {
            "objects": {
                str(k): {"category": category, "frames": [s for s in STEMS if s >= FIRST[name][k]]}
                for k, category in CATEGORIES[name].items()
            }
        }
    (root / "meta.json").write_text(json.dumps({"videos": videos}))


@pytest.fixture
def data(tmp_path):
    """A training split of two videos, with predictions that use the objects' ids."""
    truths, predictions = {}, {}
    for seed, name in enumerate(CATEGORIES):
        blocks = np.random.default_rng(seed).choice([0, *CATEGORIES[name]], (2, 4, 3, 4))
        maps = np.kron(blocks, np.ones((1, 1, 4, 4), int)).astype(np.uint8)
        for k, first in FIRST[name].items():
            maps[0][: STEMS.index(first)][maps[0][: STEMS.index(first)] == k] = 0
            maps[0][STEMS.index(first), 0, k] = k
        truths[name], predictions[name] = maps
        folder = tmp_path / "predictions" / name
        folder.mkdir(parents=True)
        for stem, prediction in zip(STEMS, predictions[name], strict=True):
            if stem >= min(FIRST[name].values()):
                write_label_map(folder / f"{stem}.png", prediction)
    write_split(tmp_path / "YouTube-VOS/train", truths)
    return tmp_path, truths, predictions


def run(data, **options):
    root = data[0]
    options = {"split": "train", **options}
    return evaluate("youtube-vos", root / "YouTube-VOS", root / "predictions", root / "out", **options)


def expected_scores(data, name):
    _, truths, predictions = data
    ids = list(CATEGORIES[name])
    first = [STEMS.index(FIRST[name][k]) for k in ids]
    return reference.objects_from_first_frame(truths[name], predictions[name], ids, first, ids)


def test_equals_the_slow_reference(data):
    results = run(data)
    means = {"person": [], "okapi": [], "zebra": []}
    for name, categories in CATEGORIES.items():
        for category, (J, F) in zip(categories.values(), expected_scores(data, name), strict=True):
            means[category] = [np.mean(J), np.mean(F)]
    rows = results.objects.set_index("category")
    for category, (J, F) in means.items():
        assert rows.loc[category, "J-Mean"] == pytest.approx(J, abs=1e-9)
        assert rows.loc[category, "F-Mean"] == pytest.approx(F, abs=1e-9)
    seen = np.mean([means["person"], means["zebra"]], axis=0)
    overall = {"J-Seen": seen[0], "F-Seen": seen[1]}
    overall |= {"J-Unseen": means["okapi"][0], "F-Unseen": means["okapi"][1]}
    for column, value in overall.items():
        assert results.overall[column] == pytest.approx(value, abs=1e-9)
    assert results.overall["Overall"] == pytest.approx(np.mean(list(overall.values())), abs=1e-9)
    stored = json.loads((data[0] / "out/results.json").read_text())
    assert list(stored["objects"]) == ["0a1b_1", "0a1b_3", "ff00_1"]
    frames = results.frames
    assert frames.loc[frames["object"] == 3, "name"].tolist() == ["00010", "00015"]


def test_a_group_without_objects_is_empty(data):
    results = run(data, seen={"person", "okapi", "zebra"})
    assert json.loads((data[0] / "out/results.json").read_text())["global"]["J-Unseen"] is None
    header, line = (data[0] / "out/metrics.csv").read_text().splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True))["Overall"] == ""
    assert results.overall["J-Seen"] > 0


def test_only_every_fifth_frame_counts(data):
    root = data[0] / "YouTube-VOS/train"
    for stem in ("00006", "00012"):
        write_label_map(root / f"Annotations/ff00/{stem}.png", np.ones(SIZE, np.uint8))
    assert run(data).frames["name"].unique().tolist() == ["00005", "00010", "00015", "00000"]


def test_tracks_chosen_by_the_first_frame(data):
    root, truths, _ = data
    names = {1: 7, 3: 4}  # what a method without annotation may call the objects
    for name, truth in truths.items():
        for stem, label_map in zip(STEMS, truth, strict=True):
            renamed = np.full(SIZE, 2, np.uint8)
            for k, other in names.items():
                renamed[label_map == k] = other
            write_label_map(root / f"predictions/{name}/{stem}.png", renamed)
    with pytest.raises(EvaluationError, match=r"00005\.png holds id 2; youtube-vos scores ids 1, 3 only"):
        run(data)
    results = run(data, tracks="first-frame")
    assert results.overall["Overall"] == 1
    assert results.objects["track"].tolist() == [7, 4, 7]
    assert "first annotated frame" in str(results_table(results).caption)
    assert "first annotated frame" in json.loads((root / "out/protocol.json").read_text())["tracks"]


def test_layout(data):
    root = data[0] / "YouTube-VOS"
    dataset = DatasetSettings(layout="youtube-vos", root=str(root))
    assert list_videos(dataset, "train") == ["0a1b", "ff00"]
    assert open_video(dataset, "0a1b").annotation(3).max() <= 3
    inside = DatasetSettings(layout="youtube-vos", root=str(root / "train"))
    assert list_videos(inside, "val") == ["0a1b", "ff00"]
    (root / "train/Annotations/0a1b/00015.png").unlink()
    assert open_video(dataset, "0a1b").annotation_paths is None
    with pytest.raises(DatasetError, match="holds no video zz"):
        open_video(dataset, "zz")
    with pytest.raises(DatasetError, match=r"meta\.json is missing"):
        list_videos(dataset, "val")


def test_held_out_part_of_train(data):
    (data[0] / "held-out.txt").write_text("ff00\n")
    results = run(data, split=str(data[0] / "held-out.txt"))
    assert results.objects["sequence"].tolist() == ["ff00"]


def test_missing_predictions(data):
    (data[0] / "predictions/ff00/00010.png").unlink()
    with pytest.raises(
        EvaluationError, match=r"ff00/00010\.png is missing, and youtube-vos scores every fifth"
    ):
        run(data)
    assert run(data, allow_missing=True).num_missing == 1


def break_truth(kind, root):
    meta = json.loads((root / "meta.json").read_text())
    if kind == "cut":
        (root / "meta.json").write_text('{"videos": {')
        return
    if kind == "first":
        (root / "Annotations/0a1b/00010.png").unlink()
        return
    if kind == "later":
        (root / "Annotations/0a1b/00015.png").unlink()
        return
    if kind == "category":
        del meta["videos"]["0a1b"]["objects"]["3"]["category"]
    elif kind == "frames":
        meta["videos"]["0a1b"]["objects"]["3"]["frames"] = []
    elif kind == "bare":
        meta["videos"]["0a1b"]["objects"] = {}
    elif kind == "numbers":
        meta["videos"]["0a1b"]["objects"]["3"]["frames"] = [10, 15]
    elif kind in ("0", "300"):
        objects = meta["videos"]["0a1b"]["objects"]
        objects[kind] = objects.pop("3")
    elif kind == "video":
        del meta["videos"]["0a1b"]
        meta["videos"]["9"] = {}
    (root / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("cut", DatasetError, r"meta\.json cannot be parsed"),
        ("first", DatasetError, r"00010\.png is missing, where object 3 appears"),
        ("later", EvaluationError, r"00015\.png is missing: this split is scored on the official server"),
        ("category", EvaluationError, r"no category of object 3 of 0a1b"),
        ("frames", DatasetError, r"meta\.json does not describe 0a1b"),
        ("video", DatasetError, r"no video 9"),
        ("bare", DatasetError, r"meta\.json does not describe 0a1b .*there is no object"),
        ("0", DatasetError, r"meta\.json does not describe 0a1b .*object 0 is not within 1\.\.254"),
        ("300", DatasetError, r"meta\.json does not describe 0a1b .*object 300 is not within"),
        ("numbers", DatasetError, r"10\.png is missing, where object 3 appears"),
    ],
)
def test_damaged_ground_truth(data, kind, error, message):
    break_truth(kind, data[0] / "YouTube-VOS/train")
    with pytest.raises(error, match=message):
        run(data)
    assert not (data[0] / "out").exists()


@pytest.fixture
def valid(data):
    """The same as a validation split: annotations only where an object appears."""
    root = data[0] / "YouTube-VOS"
    (root / "train").rename(root / "valid")
    for path in (root / "valid/Annotations").glob("*/*.png"):
        if path.stem not in FIRST[path.parent.name].values():
            path.unlink()
    return data


def submit(data, **options):
    root = data[0]
    return write_submission(root / "YouTube-VOS", root / "predictions", root / "out/results.zip", **options)


def archived(path):
    with ZipFile(path) as archive:
        return {name: Image.open(BytesIO(archive.read(name))) for name in archive.namelist()}


def test_submission_has_every_frame_from_the_first_object_on(valid):
    root, _, predictions = valid
    assert submit(valid) == 0
    images = archived(root / "out/results.zip")
    expected = [f"Annotations/0a1b/{stem}.png" for stem in STEMS[1:]]
    assert list(images) == expected + [f"Annotations/ff00/{stem}.png" for stem in STEMS]
    image = images["Annotations/0a1b/00010.png"]
    assert image.mode == "P"
    assert image.getpalette()[:9] == PALETTE[:3].ravel().tolist()
    np.testing.assert_array_equal(np.asarray(image), predictions["0a1b"][2])
    first = (root / "out/results.zip").read_bytes()
    submit(valid)
    assert (root / "out/results.zip").read_bytes() == first
    assert [path.name for path in (root / "out").iterdir()] == ["results.zip"]


def test_submission_renumbers_chosen_tracks(valid):
    root, truths, _ = valid
    for stem, label_map in zip(STEMS, truths["0a1b"], strict=True):
        renamed = np.where(label_map == 3, 9, np.where(label_map == 1, 3, 8)).astype(np.uint8)
        write_label_map(root / f"predictions/0a1b/{stem}.png", renamed)
    submit(valid, tracks="first-frame")
    images = archived(root / "out/results.zip")
    np.testing.assert_array_equal(np.asarray(images["Annotations/0a1b/00015.png"]), truths["0a1b"][3])


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (np.full(SIZE, 2, np.uint8), "holds id 2"),
        (np.full(SIZE, 255, np.uint8), "holds 255"),
        (np.zeros((3, 3), np.uint8), "3 x 3 pixels"),
    ],
)
def test_bad_predictions_leave_no_archive(valid, label_map, message):
    write_label_map(valid[0] / "predictions/0a1b/00015.png", label_map)
    with pytest.raises(EvaluationError, match=r"0a1b/00015\.png .*" + message.split(" ", 1)[1]):
        submit(valid)
    assert not list((valid[0] / "out").iterdir())


def test_missing_predictions_of_a_submission(valid):
    (valid[0] / "predictions/0a1b/00015.png").unlink()
    with pytest.raises(EvaluationError, match=r"00015\.png is missing"):
        submit(valid)
    assert submit(valid, allow_missing=True) == 1
    assert not np.asarray(archived(valid[0] / "out/results.zip")["Annotations/0a1b/00015.png"]).any()


def test_unwritable_archive(valid):
    (valid[0] / "out").write_text("a file stands in the way")
    with pytest.raises(EvaluationError, match="cannot be written"):
        submit(valid)
