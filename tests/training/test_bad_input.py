"""What stops a training, and checkpoints that do not fit: the message names what is wrong."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny_trainings import GROUPING, REFINEMENT, REINFORCE, STAGES

from alba.config import RefinementSettings, SelectionSettings, parse_settings
from alba.errors import CheckpointError, ConfigError, StoreError, TrainingError
from alba.training.checkpoint import (
    build_refinement,
    checkpoint_digest,
    describe_refinement,
    load_assignment,
    load_refinement,
    load_selection,
    save_checkpoint,
)
from alba.training.compatibility import check_networks, differences
from alba.training.hardware import Hardware
from alba.training.loading import load_selection_video
from alba.training.refinement import train_refinement
from alba.training.reinforce import reinforce
from alba.training.run import Run, progress_folder
from alba.training.selection import _agreement
from alba.training.sole import sole_trainer

CPU = Hardware(torch.device("cpu"))


@pytest.mark.parametrize("stage", list(STAGES))
def test_loss_that_is_not_finite_stops_with_the_last_good_checkpoint(trainer, tmp_path, monkeypatch, stage):
    """A gradient explodes in the second epoch."""
    original, seen = torch.optim.Adam.step, []

    def step(optimizer, *arguments):
        seen.append(original(optimizer, *arguments))
        if len(list(tmp_path.rglob("epoch-0001"))):
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.data.fill_(float("inf"))

    for kind in (
        torch.optim.Adam,
        torch.optim.AdamW,
    ):  # an optimizer that is made puts a hook into its own class
        monkeypatch.setattr(kind, "step", step)
    output = tmp_path / stage
    with pytest.raises(TrainingError) as caught:
        trainer(stage, output)
    assert "in epoch 2" in str(caught.value)
    assert f"lower {stage}.learning_rate" in str(caught.value)
    named = next(word for word in str(caught.value).replace(":", " ").split() if word.endswith("epoch-0001"))
    assert named.startswith(str(progress_folder(output)))
    weights = load_file(f"{named}/network.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())
    assert not output.exists()
    if stage in ("assignment", "reinforce"):
        load_assignment(progress_folder(output) / "epoch-0001")  # a checkpoint like any other


def test_features_that_are_not_finite_are_noticed(trainer, tmp_path):
    shutil.copytree(trainer.root / "all-learnt", tmp_path / "assignment")
    path = tmp_path / "assignment/network.safetensors"
    weights = load_file(path)
    weights["head.0.weight"].fill_(float("nan"))
    save_file(weights, path)
    folders = trainer.root / "selection", tmp_path / "assignment"
    with pytest.raises(TrainingError, match="epoch-0000"):
        reinforce(trainer.corpus, *folders, REINFORCE, tmp_path / "reinforce")


def test_proposals_of_different_backends_are_refused(trainer, tmp_path, monkeypatch):
    def load(video, *arguments):
        pixels = load_selection_video(video, *arguments)
        wider = np.pad(pixels.features, [(0, 0), (0, int(video.name == "train-002"))])
        return replace(pixels, features=wider)

    monkeypatch.setattr("alba.training.selection.load_selection_video", load)
    with pytest.raises(TrainingError, match="of train-002 have 48 features, those of train-000 47"):
        trainer("selection", tmp_path / "selection")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "epoch-0001"), r"epoch-0001 cannot .* \(No space left"),
        (SafetensorError("I/O error: no space"), r"net.training cannot .* \(I/O error: no space\)"),
        (torch.OutOfMemoryError("CUDA out of memory"), "GPU's memory does not hold the training of .*net"),
    ],
)
def test_where_there_is_no_room_the_training_ends_in_a_line(tmp_path, error, message):
    with pytest.raises(TrainingError, match=message), sole_trainer(tmp_path / "net", CPU):
        raise error
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            TrainingError, match=r"file/net.training cannot be read or written \(Not a directory\)"
        ),
        sole_trainer(tmp_path / "file/net", CPU),
    ):
        pass


def test_checkpoint_of_other_grouping_settings_names_them(trainer, tmp_path):
    folders = trainer.root / "selection", trainer.root / "all-learnt"
    asked = GROUPING.model_copy(update={"working_height": 48, "none_action": False})
    with pytest.raises(CheckpointError) as caught:
        reinforce(trainer.corpus, *folders, REINFORCE, tmp_path / "reinforce", asked)
    assert "grouping.working_height: 36 there, 48 here" in str(caught.value)
    assert "grouping.none_action: True there, False here" in str(caught.value)
    assert "num_slots" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_networks_that_were_not_trained_together_name_their_settings(trainer, tmp_path):
    other = trainer("selection", tmp_path / "selection", threshold=0.3, epochs=1)
    loaded = load_selection(other), load_assignment(trainer.root / "assignment")
    with pytest.raises(CheckpointError) as caught:
        check_networks(other, loaded[0], trainer.root / "assignment", loaded[1])
    assert "selection.threshold: 0.2 there, 0.3 here" in str(caught.value)
    assert "selection.epochs: 3 there, 1 here" in str(caught.value)
    with pytest.raises(CheckpointError, match="was trained with another selection network"):
        train_refinement(
            trainer.corpus, other, trainer.root / "assignment", REFINEMENT, "all", tmp_path / "refinement"
        )
    own = trainer.root / "selection"
    check_networks(own, load_selection(own), trainer.root / "assignment", loaded[1])


def test_checkpoint_for_another_number_of_features_is_refused(trainer, tmp_path):
    shutil.copytree(trainer.root / "all-learnt", tmp_path / "assignment")
    path = tmp_path / "assignment/network.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, "num_features": description["num_features"] + 1}))
    with pytest.raises(CheckpointError, match=r"does not fit the settings in network.json .*size mismatch"):
        load_assignment(tmp_path / "assignment")


def test_network_of_other_parts_is_refused_in_a_few_words(tmp_path):
    """As refinement networks of one U-Net, whose tensors have other names."""
    refinement = build_refinement(RefinementSettings(scales=(1,)))
    save_checkpoint(tmp_path / "refinement", refinement.network, describe_refinement(refinement, {}), [])
    load_refinement(tmp_path / "refinement")
    weights = tmp_path / "refinement/network.safetensors"
    save_file({name.removeprefix("members.0."): x for name, x in load_file(weights).items()}, weights)
    with pytest.raises(CheckpointError, match=r"does not fit the settings in network.json") as caught:
        load_refinement(tmp_path / "refinement")
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("network.json", b"{", "cannot be parsed"),
        ("network.json", b"\xff\xfe\x00", "cannot be parsed"),
        ("network.json", b"[]", "cannot be parsed"),
        ("network.json", b'{"kind": "assignment"}', "lacks num_features, settings"),
        ("network.json", b'{"kind": "assignment", "settings": {}, "num_features": 3}', "lacks grouping"),
        ("network.json", b'{"kind": "assignment", "settings": [], "num_features": 3}', "no dict as settings"),
        (
            "network.json",
            b'{"kind": "assignment", "settings": {}, "num_features": "3"}',
            "no int as num_features",
        ),
        ("network.safetensors", b"\x10\x00", "is damaged"),
        ("network.safetensors", None, "is damaged"),
        ("network.json", None, "is missing"),
    ],
)
def test_damaged_checkpoint_is_named(trainer, tmp_path, name, content, message):
    shutil.copytree(trainer.root / "assignment", tmp_path / "assignment")
    path = tmp_path / "assignment" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_assignment(tmp_path / "assignment")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"input_size": 8}, "input_size must be 16 at least, as each of 4 blocks halves it"),
        ({"widths": []}, "widths must name a convolution per block"),
        ({"widths": [[8], []]}, "widths must name a convolution per block"),
    ],
)
def test_encoder_that_leaves_nothing_of_its_picture_is_refused(encoder, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings(SelectionSettings, {"encoder": encoder}, "config.yaml")
    parse_settings(SelectionSettings, {"encoder": {"input_size": 16}}, "config.yaml")


def test_where_a_network_was_trained_is_no_difference():
    assert differences("reinforce", REINFORCE, REINFORCE.model_copy(update={"device": "cuda"})) == ""
    other = REINFORCE.model_copy(update={"device": "cuda", "clip": 0.5})
    assert differences("reinforce", REINFORCE, other) == "reinforce.clip: 0.2 there, 0.5 here"


def test_networks_that_are_used_otherwise_are_no_longer_the_same(trainer, tmp_path):
    """What was begun with one is not gone on with: the threshold decides which proposals take part."""
    shutil.copytree(trainer.root / "selection", tmp_path / "selection")
    path, before = tmp_path / "selection/network.json", checkpoint_digest(trainer.root / "selection")
    description = json.loads(path.read_text())
    for name, value, same in (("device", "cuda", True), ("threshold", 0.3, False)):
        changed = {**description["settings"], name: value}
        path.write_text(json.dumps({**description, "settings": changed}))
        assert (checkpoint_digest(tmp_path / "selection") == before) is same


@pytest.mark.parametrize("stage", STAGES)
def test_a_place_that_is_taken_is_told_before_training(trainer, tmp_path, stage, monkeypatch):
    monkeypatch.setattr(Run, "epochs", lambda *_: pytest.fail("it trains"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("x")
    with pytest.raises(StoreError, match=r"mine is there and was not made by alba"):
        trainer(stage, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_is_not_defined_of_unseen_videos_is_null(trainer):
    videos = [SimpleNamespace(iou=np.zeros(2, np.float32), selected=np.zeros(2, bool))]
    figures = _agreement(videos, {0: np.array([0.1, 0.3], np.float32)}, 0.2)
    assert figures == {"accuracy": 0.5, "recall": None, "correlation": None}
    described = json.loads((trainer.root / "selection/network.json").read_text())["held_out"]
    assert set(described) == {"accuracy", "recall", "correlation"}
