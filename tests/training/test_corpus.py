"""Learning from several data sets at once."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from alba.config import DatasetSettings, LabelSettings, SpritesSettings
from alba.datasets.generated import GeneratedFolder
from alba.datasets.sprites import write_sprites
from alba.errors import TrainingError
from alba.store import LABELS, StoreWriter
from alba.training import selection
from alba.training.corpus import Corpus, store_of
from alba.training.holdout import folds_of, leave_out

FOLDERS = {
    name: tuple(Path(name, stage) for stage in ("proposals", "flow", "labels")) for name in ("real", "made")
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Three videos, and two made from the first and the last of them."""
    root = tmp_path_factory.mktemp("corpora")
    for name, num in (("real", 3), ("made", 2)):
        write_sprites(
            SpritesSettings(num_train=num, num_val=1, num_frames=1, height=72, width=128), root / name
        )
    made = GeneratedFolder(root / "made")
    for kind in ("JPEGImages", "Annotations_unsupervised"):
        for k in range(2):
            (root / "made" / kind / f"480p/train-00{k}").rename(root / "made" / kind / f"480p/mirror-{k}")
    made.add_list("train", ["mirror-0", "mirror-1"])
    made.add_origins({f"mirror-{k}": {"video": f"train-00{origin}"} for k, origin in enumerate((0, 2))})
    return {
        name: Corpus.of(DatasetSettings(root=str(root / name)), "train", *folders)
        for name, folders in FOLDERS.items()
    }


def test_stores_are_found_where_their_data_set_keeps_them(corpora):
    joined = Corpus.join(list(corpora.values()))
    names = [video.name for video in joined.videos]
    assert names == ["train-000", "train-001", "train-002", "mirror-0", "mirror-1"]
    assert store_of(joined.flow, joined.videos[1]) == Path("real/flow/train-001.zarr")
    assert store_of(joined.labels, joined.videos[4]) == Path("made/labels/mirror-1.zarr")
    assert Corpus.join([corpora["real"]]) is corpora["real"]


def test_videos_of_one_name_are_refused(corpora):
    with pytest.raises(TrainingError, match="two data sets have a video train-000"):
        Corpus.join([corpora["real"], corpora["real"]])


def test_cross_fitting_holds_back_whatever_was_made_from_a_video(corpora, monkeypatch):
    joined = Corpus.join(list(corpora.values()))
    folds = folds_of(joined, 3)
    assert folds == [0, 1, 2, 0, 2]
    videos = [SimpleNamespace(index=v, boxes=np.zeros((1, 4))) for v in range(5)]
    hardware = SimpleNamespace(share=list, gather=lambda shares, _=None: list(shares))
    run = SimpleNamespace(load_best=lambda: None, hardware=hardware)

    def fit(title, folds, num_epochs):
        return [list(fold.learnt) for fold in folds], run

    monkeypatch.setattr(selection, "select", lambda trained_on, video: np.array(trained_on))
    outputs = selection._cross_fit(videos, folds, fit, 3)[0]
    assert sorted(outputs) == list(range(5))
    for v, trained_on in outputs.items():
        assert trained_on.size
        assert joined.videos[v].backdrop not in {joined.videos[other].backdrop for other in trained_on}


def test_origins_are_names_whatever_the_lists_they_come_from(corpora):
    """A data set may learn beside mirror images of another one that has some of the same videos."""
    joined = Corpus.join(list(corpora.values()))
    reordered = replace(joined, videos=[joined.videos[v] for v in (2, 1, 0, 3, 4)])
    assert folds_of(reordered, 3) == [0, 1, 2, 2, 0]
    assert folds_of(reordered, 2) == [0, 1, 0, 0, 0]
    unrelated = replace(joined.videos[0], name="other")
    assert folds_of(replace(joined, videos=[*joined.videos, unrelated]), 9) == [0, 1, 2, 0, 2, 3]


def test_composites_of_several_folds_are_refused(corpora):
    joined = Corpus.join(list(corpora.values()))
    mixed = replace(joined.videos[4], name="mixed", made_from=("train-002", "train-001"))
    pair = replace(joined, videos=[*joined.videos, mixed])
    with pytest.raises(TrainingError, match=r"mixed shows train-001, which belongs to another fold"):
        folds_of(pair, 3)
    assert folds_of(pair, 1) == [0] * 6


@pytest.mark.parametrize("seed", range(6))
def test_what_is_made_from_a_video_is_left_out_with_it_and_no_other(corpora, seed):
    joined = Corpus.join(list(corpora.values()))
    [alone] = leave_out(corpora["real"], 0.34, seed)
    left_out = leave_out(joined, 0.34, seed)
    made = {"train-000": ["mirror-0"], "train-002": ["mirror-1"]}
    assert left_out == [alone, *made.get(alone, [])]


def test_videos_of_a_single_origin_are_all_learned_from(corpora):
    joined = Corpus.join(list(corpora.values()))
    alike = [replace(video, made_from=("one",)) for video in joined.videos]
    assert leave_out(replace(joined, videos=alike), 0.5, 0) == []


def test_labels_of_several_settings_are_refused(corpora, tmp_path):
    folders = {}
    for video, precision in zip(corpora["real"].videos, (0.5, 0.5, 0.7), strict=True):
        folder = tmp_path / str(precision)
        folders[video.name] = folder
        with StoreWriter(folder / f"{video.name}.zarr", LABELS, (4, 6), provenance(precision)) as writer:
            for name, values in NO_LABELS.items():
                writer.append(name, values)
    corpus = replace(corpora["real"], labels=folders)
    assert replace(corpus, videos=corpus.videos[:2]).label_settings().join_min_precision == 0.5
    with pytest.raises(TrainingError, match=r"train-002.zarr were labelled under different settings"):
        corpus.label_settings()


def provenance(precision):
    return {"settings": LabelSettings(join_min_precision=precision).model_dump(mode="json")}


NO_LABELS = {
    "object_ids": np.array([1], np.uint8),
    "iou": np.zeros((0, 1), np.float32),
    "selected": np.zeros(0, bool),
    "oracle_object": np.zeros(0, np.uint8),
    "oracle_segmentation": np.zeros((1, 4, 6), np.uint8),
    "ground_truth": np.zeros((1, 4, 6), np.uint8),
}
