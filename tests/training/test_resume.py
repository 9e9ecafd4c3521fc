"""A training that is stopped goes on where it was, and ends with the very same parameters."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from tiny_trainings import STAGES, read_log, same_networks

from alba.errors import TrainingError
from alba.training.hardware import Hardware
from alba.training.run import Run, progress_folder
from alba.training.sole import sole_trainer
from alba.training.track_lessons import Preparation


class Stopped(BaseException):
    """What a process that is killed does not get round to handle."""


@pytest.fixture
def stop_after(monkeypatch):
    """Make the next trainings stop once so many epochs, epoch 0 included, have been written."""
    original = Run.end_epoch

    def install(num: int) -> None:
        ended = []

        def end_epoch(run, *arguments):
            original(run, *arguments)
            ended.append(run)
            if len(ended) == num:
                raise Stopped

        monkeypatch.setattr(Run, "end_epoch", end_epoch)

    yield install
    monkeypatch.undo()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("num_epochs", [1, 3])
def test_stopped_training_ends_like_an_uninterrupted_one(
    trainer, tmp_path, stop_after, monkeypatch, stage, num_epochs, caplog
):
    output = tmp_path / stage
    stop_after(num_epochs)
    with pytest.raises(Stopped):
        trainer(stage, output)
    assert not output.exists()
    assert list(progress_folder(output).rglob("training.json"))
    monkeypatch.undo()
    trainer(stage, output)
    assert f"going on after epoch {num_epochs - 1}" in caplog.text
    assert same_networks(output, trainer.root / stage)
    pd.testing.assert_frame_equal(read_log(output), read_log(trainer.root / stage))
    assert sorted(path.name for path in tmp_path.iterdir()) == [stage, f"{stage}.ready.json"]


def test_selection_stopped_after_cross_fitting_does_not_fit_the_folds_again(
    trainer, tmp_path, stop_after, monkeypatch, caplog
):
    stop_after(6)  # four of the folds, then epochs 0 and 1 of the network that is published
    with pytest.raises(Stopped):
        trainer("selection", tmp_path / "selection")
    monkeypatch.undo()
    trainer("selection", tmp_path / "selection")
    assert "going on after epoch 3" in caplog.text
    assert "going on after epoch 1" in caplog.text
    assert same_networks(tmp_path / "selection", trainer.root / "selection")


def wait_for_epochs(output, process):
    """Until a training in another process has written a few."""
    began = time.monotonic()
    while not list(progress_folder(output).glob("epoch-000[3-9]")):
        assert process.poll() is None
        assert time.monotonic() - began < 120
        time.sleep(0.01)


def test_killed_process_leaves_what_the_next_one_goes_on_with(trainer, tmp_path, environment):
    output = tmp_path / "reinforce"
    command = [sys.executable, "-m", "alba", *trainer.command("reinforce", output, epochs=400)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_for_epochs(output, process)
        process.send_signal(signal.SIGKILL)
    assert not output.exists()
    (newest,) = (p for p in progress_folder(output).glob("epoch-*") if p.suffix != ".partial")
    reached = json.loads((newest / "training.json").read_text())["epoch"]
    # As if the process had been told from the start to go no further than a little beyond that.
    state = json.loads((newest / "training.json").read_text())
    state["identity"]["settings"]["epochs"] = reached + 2
    (newest / "training.json").write_text(json.dumps(state))
    trainer("reinforce", output, epochs=reached + 2)
    trainer("reinforce", tmp_path / "whole", epochs=reached + 2)
    assert same_networks(output, tmp_path / "whole")


def test_second_process_does_not_train_what_another_one_is_training(trainer, tmp_path, environment):
    output = tmp_path / "reinforce"
    command = [sys.executable, "-m", "alba", *trainer.command("reinforce", output, epochs=400)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_for_epochs(output, process)
        with pytest.raises(TrainingError, match=rf"process {process.pid} on .* {output} already.*end it"):
            trainer("reinforce", output, epochs=400)
        assert list(progress_folder(output).glob("epoch-*")), "progress of the first one is untouched"
        process.send_signal(signal.SIGKILL)
    trainer("reinforce", output)
    assert same_networks(output, trainer.root / "reinforce")


def test_second_process_is_refused_though_the_first_has_just_put_its_name_away(tmp_path, monkeypatch):
    def put_away(path, *arguments):
        raise FileNotFoundError(path)

    hardware = Hardware(torch.device("cpu"))
    with sole_trainer(tmp_path / "net", hardware):
        monkeypatch.setattr(Path, "read_text", put_away)
        with (
            pytest.raises(TrainingError, match=r"another process is training .*net already"),
            sole_trainer(tmp_path / "net", hardware),
        ):
            pass


@pytest.mark.parametrize("stage", STAGES)
def test_training_that_fails_leaves_nothing_behind(trainer, tmp_path, monkeypatch, stage):
    def fail(*arguments, **settings):
        raise Stopped

    monkeypatch.setattr(Run, "__post_init__", fail)
    with pytest.raises(Stopped):
        trainer(stage, tmp_path / stage)
    assert not list(tmp_path.rglob("lock"))
    if stage != "refinement":  # which keeps the videos that it has prepared
        assert not list(tmp_path.iterdir())


def test_progress_under_other_settings_is_not_used(trainer, tmp_path, stop_after, monkeypatch, caplog):
    stop_after(2)
    with pytest.raises(Stopped):
        trainer("assignment", tmp_path / "assignment", learning_rate=0.1)
    monkeypatch.undo()
    trainer("assignment", tmp_path / "assignment")
    assert "is of other settings or inputs: starting anew" in caplog.text
    assert same_networks(tmp_path / "assignment", trainer.root / "assignment")


def test_damaged_progress_is_not_used(trainer, tmp_path, stop_after, monkeypatch, caplog):
    stop_after(2)
    with pytest.raises(Stopped):
        trainer("assignment", tmp_path / "assignment")
    monkeypatch.undo()
    (path,) = progress_folder(tmp_path / "assignment").glob("epoch-0001/training.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    trainer("assignment", tmp_path / "assignment")
    assert "is damaged" in caplog.text
    assert same_networks(tmp_path / "assignment", trainer.root / "assignment")


@pytest.mark.parametrize("stage", STAGES)
def test_two_identical_runs_give_identical_networks(trainer, tmp_path, stage):
    assert same_networks(trainer(stage, tmp_path / stage), trainer.root / stage)
    assert not same_networks(trainer(stage, tmp_path / "other", seed=1), trainer.root / stage)


def test_videos_that_were_prepared_are_not_prepared_again(trainer, tmp_path, monkeypatch, caplog):
    original, prepared = Preparation._prepare, []

    def prepare(preparation, index):
        if len(prepared) == 2:
            raise Stopped
        prepared.append(original(preparation, index))

    monkeypatch.setattr(Preparation, "_prepare", prepare)
    with pytest.raises(Stopped):
        trainer("refinement", tmp_path / "refinement")
    monkeypatch.undo()
    trainer("refinement", tmp_path / "refinement")
    assert "2 videos are prepared already" in caplog.text
    assert same_networks(tmp_path / "refinement", trainer.root / "refinement")


def test_lessons_of_other_settings_are_made_anew(trainer, tmp_path, stop_after, monkeypatch):
    output = tmp_path / "refinement"
    stop_after(1)
    with pytest.raises(Stopped):
        trainer("refinement", output, pixels=400)
    monkeypatch.undo()
    (before,) = progress_folder(output).glob("lessons-*")
    stop_after(1)
    with pytest.raises(Stopped):
        trainer("refinement", output)
    assert not before.exists()
    assert len(list(progress_folder(output).glob("lessons-*/*"))) == 4


def test_processes_that_prepare_videos_end_with_the_training(trainer, tmp_path, environment):
    output = tmp_path / "refinement"
    command = [sys.executable, "-m", "alba", *trainer.command("refinement", output), "--jobs", "2"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        stage = psutil.Process(process.pid)
        waited = time.monotonic()
        while len(children := stage.children()) < 3:  # two of them, and multiprocessing's own tracker
            assert time.monotonic() - waited < 120
            time.sleep(0.01)
        process.terminate()
    gone, alive = psutil.wait_procs(children, 30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    assert len(gone) + len(alive) == len(children)
    assert not output.exists()
