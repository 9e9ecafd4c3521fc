"""The whole chain on a tiny `sprites`: every stage's output is the next one's input."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import alba.store
from alba.config import (
    REFINED,
    ROWS,
    AssignmentSettings,
    DatasetSettings,
    FlowSettings,
    GroupingSettings,
    LabelSettings,
    ProposalSettings,
    RefinementSettings,
    ReinforceSettings,
    SegmentSettings,
    SelectionSettings,
    SpritesSettings,
)
from alba.datasets import open_video
from alba.datasets.sprites import write_sprites
from alba.errors import CheckpointError, StoreError
from alba.evaluation import evaluate
from alba.flow import compute_flow
from alba.inference import segment_video
from alba.inference.decisions import Sources
from alba.inference.refine import refine_video
from alba.masks import read_label_map
from alba.oracle import label_video
from alba.proposals import compute_proposals
from alba.store import StoreWriter
from alba.training.assignment import load_training_videos, train_assignment
from alba.training.checkpoint import build_assignment, load_held_out, load_selection
from alba.training.corpus import Corpus, store_of
from alba.training.loading import load_selection_video
from alba.training.refinement import train_refinement
from alba.training.reinforce import reinforce
from alba.training.selection import select, train_selection

SPRITES = SpritesSettings(num_train=2, num_val=1, num_frames=5, height=72, width=128)
GROUPING = GroupingSettings(working_height=36)


def train(corpus: Corpus, root: Path, fusion: str) -> None:
    selection, assignment = root / "selection", root / f"assignment-{fusion}"
    if not selection.exists():
        train_selection(corpus, SelectionSettings(epochs=1, working_height=36), selection)
    settings = AssignmentSettings(
        epochs=1, fusion=fusion, encoder={"input_size": 32, "widths": [[4], [4]]}, hidden=(8,)
    )
    grouping = GROUPING.model_copy(update={"none_action": fusion == "late"})
    train_assignment(corpus, selection, settings, grouping, assignment)
    simple = settings.model_copy(update={"network": "pairwise"})
    if fusion == "late":
        train_assignment(corpus, selection, simple, grouping, root / "pairwise")
    settings = ReinforceSettings(epochs=1, rollouts=2, videos_per_update=2, steps_per_update=2)
    reinforce(corpus, selection, assignment, settings, root / f"reinforce-{fusion}")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("chain")
    write_sprites(SPRITES, root / "data")
    dataset = DatasetSettings(root=str(root / "data"))
    for name in ("train-000", "train-001", "val-000"):
        video = open_video(dataset, name)
        flow, proposals = root / f"flow/{name}.zarr", root / f"proposals/{name}.zarr"
        compute_flow(video, FlowSettings(), flow)
        compute_proposals(video, ProposalSettings(), flow, proposals)
        label_video(video, LabelSettings(), proposals, root / f"labels/{name}.zarr")
    corpus = Corpus.of(dataset, "train", root / "proposals", root / "flow", root / "labels")
    for fusion in ("late", "early"):
        train(corpus, root, fusion)
    settings = RefinementSettings(pixels=2000, widths=(4, 8), epochs=1, most_frames=6)
    train_refinement(
        corpus, root / "selection", root / "reinforce-late", settings, "all", root / "refinement", jobs=2
    )
    return root


def segment(root, row, out, fusion="late", assignment=None, grouping=None, masks=None, tracks="all"):
    video = open_video(DatasetSettings(root=str(root / "data")), "val-000")
    sources = Sources(
        *(store_of(root / stage, video) for stage in ("proposals", "flow", "labels")),
        root / "selection",
        assignment or root / f"reinforce-{fusion}",
    )
    places = out / "val-000.zarr", masks or out / "val-000"
    segment_video(video, row, SegmentSettings(tracks=tracks), grouping, sources, *places)
    return video


def refine(root, rough, out):
    video = open_video(DatasetSettings(root=str(root / "data")), "val-000")
    proposals, flow = (store_of(root / stage, video) for stage in ("proposals", "flow"))
    paths = out / "val-000.zarr", out / "val-000"
    refine_video(video, proposals, flow, store_of(rough, video), root / "refinement", *paths)
    return video


def test_every_row_is_scored_and_the_oracle_is_above_the_naive_rows(root, tmp_path):
    score = {}
    for row in ROWS:
        network = root / "pairwise" if row == "pairwise" else None
        if row == REFINED:
            video = refine(root, tmp_path / "reinforced", tmp_path / row)
        else:
            video = segment(root, row, tmp_path / row, assignment=network)
        results = evaluate("davis17-unsupervised", root / "data", tmp_path / row, tmp_path / f"scores-{row}")
        score[row] = results.overall["J&F-Mean"]
        label_maps = alba.store.open(tmp_path / row / "val-000.zarr")["label_maps"][:]
        for t, path in enumerate(video.frame_paths):
            np.testing.assert_array_equal(
                read_label_map(tmp_path / row / "val-000" / f"{path.stem}.png"), label_maps[t]
            )
    assert score["oracle"] > max(score["proposals"], score["selection"])


def test_networks_of_another_row_or_of_other_settings_are_refused(root, tmp_path):
    with pytest.raises(CheckpointError, match=r"pairwise holds a pairwise network: name a relational one"):
        segment(root, "relational", tmp_path, assignment=root / "pairwise")
    with pytest.raises(CheckpointError, match=r"holds a relational network: name a pairwise one"):
        segment(root, "pairwise", tmp_path)
    other = GROUPING.model_copy(update={"num_slots": 7})
    with pytest.raises(CheckpointError, match=r"grouping.num_slots: 20 there, 7 here"):
        segment(root, "reinforced", tmp_path, grouping=other)
    assert not any(tmp_path.iterdir())
    segment(root, "selection", tmp_path, grouping=other)  # naive identities, as many as asked for
    assert alba.store.open(tmp_path / "val-000.zarr")["slot"][:].max() == 7


def test_masks_of_any_name_are_replaced_by_the_next_call(root, tmp_path):
    for row in ("proposals", "oracle"):
        segment(root, row, tmp_path, masks=tmp_path / "pictures")
    label_maps = alba.store.open(tmp_path / "val-000.zarr")["label_maps"][:]
    np.testing.assert_array_equal(read_label_map(tmp_path / "pictures/00000.png"), label_maps[0])


def test_no_masks_are_left_where_the_store_cannot_be_written(root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"val-000\.zarr cannot be written"):
        segment(root, "proposals", tmp_path / "file", masks=tmp_path / "pictures")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_segmentation_is_announced_when_its_masks_are_in_place(root, tmp_path, monkeypatch):
    original, seen = Path.replace, []

    def replace(path, target):
        seen.extend([Path(target).name] * Path(target).name.startswith("val-000"))
        return original(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    segment(root, "proposals", tmp_path)
    assert seen == ["val-000", "val-000.zarr", "val-000.ready.json"]


def test_masks_go_again_where_the_store_fails_after_them(root, tmp_path, monkeypatch):
    monkeypatch.setattr(StoreWriter, "_finish", lambda writer: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(StoreError, match=r"val-000.zarr cannot be written \(full\)"):
        segment(root, "proposals", tmp_path)
    assert not list(tmp_path.iterdir())


def test_early_fusion_segments_too(root, tmp_path):
    segment(root, "reinforced", tmp_path, fusion="early")
    slots = alba.store.open(tmp_path / "val-000.zarr")["slot"][:]
    assert slots.any()  # without a "none" action every selected proposal has a slot


def test_segmentation_is_deterministic(root, tmp_path):
    for name in ("a", "b"):
        segment(root, "reinforced", tmp_path / name)
    a, b = (alba.store.open(tmp_path / name / "val-000.zarr").digest for name in ("a", "b"))
    assert a == b


def test_training_is_deterministic(root, tmp_path):
    dataset = DatasetSettings(root=str(root / "data"))
    corpus = Corpus.of(dataset, "train", root / "proposals", root / "flow", root / "labels")
    (tmp_path / "selection").symlink_to(root / "selection")
    train(corpus, tmp_path, "late")
    again = (tmp_path / "reinforce-late/network.safetensors").read_bytes()
    assert again == (root / "reinforce-late/network.safetensors").read_bytes()


def test_assignment_learns_from_selection_outputs_on_unseen_videos(root):
    held_out = load_held_out(root / "selection")
    dataset = DatasetSettings(root=str(root / "data"))
    corpus = Corpus.of(dataset, "train", root / "proposals", root / "flow", root / "labels")
    selection = load_selection(root / "selection")
    assert set(held_out) == {"train-000", "train-001"}
    for video in corpus.videos:
        pixels = load_selection_video(
            video, store_of(corpus.proposals, video), store_of(corpus.flow, video), None, 36
        )
        own = select(selection, pixels)
        assert held_out[video.name].shape == own.shape
        assert np.abs(held_out[video.name] - own).max() > 1e-4
    assignment = build_assignment(AssignmentSettings(), GROUPING, selection.num_features)
    videos = load_training_videos(corpus, selection, root / "selection", assignment)
    for video in videos:
        known = np.concatenate(video.features)[:, -1]  # the selection output stands last
        assert np.isin(known, held_out[video.name]).all()


def test_selection_cross_fitted_on_other_proposals_is_refused(root, tmp_path):
    dataset = DatasetSettings(root=str(root / "data"))
    for name, count in (("train-000", 3), ("train-001", 4)):
        video, flow = open_video(dataset, name), root / f"flow/{name}.zarr"
        settings = ProposalSettings(options={"max_proposals": count})
        compute_proposals(video, settings, flow, tmp_path / f"proposals/{name}.zarr")
    corpus = Corpus.of(dataset, "train", tmp_path / "proposals", root / "flow", root / "labels")
    selection = load_selection(root / "selection")
    assignment = build_assignment(AssignmentSettings(), GROUPING, selection.num_features)
    with pytest.raises(CheckpointError, match=r"cross-fitted on .* proposals of train-000"):
        load_training_videos(corpus, selection, root / "selection", assignment)


def test_a_selection_network_is_no_assignment_network(root, tmp_path):
    with pytest.raises(CheckpointError, match="holds a selection network"):
        segment(root, "relational", tmp_path, assignment=root / "selection")
    assert not list(tmp_path.iterdir())


def test_refinement_draws_each_track_anew_and_keeps_its_name(root, tmp_path):
    segment(root, "reinforced", tmp_path / "rough")
    for name in ("a", "b"):
        refine(root, tmp_path / "rough", tmp_path / name)
    rough, refined, again = (
        alba.store.open(tmp_path / name / "val-000.zarr") for name in ("rough", "a", "b")
    )
    assert refined.digest == again.digest
    np.testing.assert_array_equal(refined["slot"][:], rough["slot"][:])
    tracks = set(np.unique(rough["label_maps"][:])) | set(np.unique(rough["slot"][:]))
    assert set(np.unique(refined["label_maps"][:])) <= tracks


@pytest.mark.parametrize("tracks", ["all", "main"])
def test_the_tracks_that_a_segmentation_shows_are_refined(root, tmp_path, monkeypatch, tracks):
    """Of one with its main track alone no other is drawn, though proposals of others stand in its store."""
    surer = iter(np.linspace(0.6, 0.9, 20))  # of two tracks the later one is drawn

    def refine_one(_, shared, own):
        return np.full((len(own), *own.shape[2:]), next(surer), np.float32)

    monkeypatch.setattr("alba.inference.refine.refine", refine_one)
    segment(root, "reinforced", tmp_path / "rough", tracks=tracks)
    refine(root, tmp_path / "rough", tmp_path / "refined")
    store = alba.store.open(tmp_path / "refined" / "val-000.zarr")
    last = store["slot"][:].max()
    assert last > 1
    assert set(np.unique(store["label_maps"][:])) == {last if tracks == "all" else 1}


def test_refinement_takes_no_other_network_and_no_other_segmentation(root, tmp_path):
    segment(root, "reinforced", tmp_path / "rough")
    (tmp_path / "refinement").symlink_to(root / "selection")
    for stage in ("data", "proposals", "flow"):
        (tmp_path / stage).symlink_to(root / stage)
    with pytest.raises(CheckpointError, match="holds a selection network"):
        refine(tmp_path, tmp_path / "rough", tmp_path / "out")
    with pytest.raises(StoreError, match="no segmentation store"):
        refine(root, root / "labels", tmp_path / "out")
    refine(root, tmp_path / "rough", tmp_path / "refined")
    with pytest.raises(StoreError, match="is refined already"):
        refine(root, tmp_path / "refined", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Stores of a video of as many pixels and more frames, under the same name."""
    root = tmp_path_factory.mktemp("longer")
    write_sprites(SPRITES.model_copy(update={"num_frames": 6}), root / "data")
    video = open_video(DatasetSettings(root=str(root / "data")), "val-000")
    flow, proposals, labels = (root / f"{s}/val-000.zarr" for s in ("flow", "proposals", "labels"))
    compute_flow(video, FlowSettings(), flow)
    compute_proposals(video, ProposalSettings(), flow, proposals)
    label_video(video, LabelSettings(), proposals, labels)
    return root


@pytest.mark.parametrize(
    ("row", "stage", "kind"),
    [
        ("proposals", "proposals", "flow"),
        ("proposals", "proposals", "proposals"),
        ("oracle", "labels", "labels"),
        ("oracle", "labels", "proposals"),
    ],
)
def test_stores_of_another_kind_or_video_are_refused(root, longer, tmp_path, row, stage, kind):
    for name in ("data", "proposals", "flow", "labels"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / stage).unlink()
    (tmp_path / stage).symlink_to((longer if kind == stage else root) / kind)
    with pytest.raises(StoreError, match=f"no {stage} store of the 5 frames of val-000"):
        segment(tmp_path, row, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stores_of_another_video_of_the_same_size_are_refused(root, tmp_path):
    for name in ("data", "flow", "labels"):
        (tmp_path / name).symlink_to(root / name)
    shutil.copytree(root / "proposals", tmp_path / "proposals")
    for ending in (".zarr", ".ready.json"):
        (tmp_path / f"proposals/train-000{ending}").rename(tmp_path / f"proposals/val-000-other{ending}")
    shutil.rmtree(tmp_path / "proposals/val-000.zarr")
    for ending in (".zarr", ".ready.json"):
        (tmp_path / f"proposals/val-000-other{ending}").replace(tmp_path / f"proposals/val-000{ending}")
    with pytest.raises(StoreError, match="no proposals store of the 5 frames of val-000"):
        segment(tmp_path, "proposals", tmp_path / "out")


@pytest.mark.parametrize("name", ["masks", "boxes", "scores", "features"])
def test_damaged_proposals_are_named(root, tmp_path, name):
    for other in ("data", "flow", "labels", "selection", "reinforce-late"):
        (tmp_path / other).symlink_to(root / other)
    shutil.copytree(root / "proposals", tmp_path / "proposals")
    for shard in (tmp_path / f"proposals/val-000.zarr/{name}/c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(StoreError, match=f"array {name} of .* is damaged"):
        segment(tmp_path, "reinforced", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_segmentation_is_not_refined_by_other_proposals(root, tmp_path):
    segment(root, "reinforced", tmp_path / "rough")
    for name in ("data", "flow", "refinement"):
        (tmp_path / name).symlink_to(root / name)
    video = open_video(DatasetSettings(root=str(root / "data")), "val-000")
    fewer = ProposalSettings(options={"max_proposals": 4})
    compute_proposals(video, fewer, store_of(root / "flow", video), tmp_path / "proposals/val-000.zarr")
    with pytest.raises(StoreError, match="was made from other proposals"):
        refine(tmp_path, tmp_path / "rough", tmp_path / "out")
