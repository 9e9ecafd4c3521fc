"""The log as TensorBoard shows it is the log."""

import subprocess
import sys

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_trainings import STAGES

from alba.training.scalars import ScalarWriter, merge_logs, write_scalars


def read_events(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.mark.parametrize("stage", list(STAGES))
def test_tensorboard_shows_what_the_csv_says(trainer, stage):
    log = pd.read_csv(trainer.root / stage / "log.csv")
    events = read_events(trainer.root / stage / "tensorboard")
    assert set(events) == set(log.columns) - {"epoch"}
    for name, points in events.items():
        written = log[["epoch", name]].dropna()
        assert [step for step, _ in points] == written["epoch"].tolist()
        assert [value for _, value in points] == pytest.approx(written[name].tolist(), rel=1e-6)


def test_scalars_of_a_stopped_run_do_not_stand_there_twice(tmp_path):
    log = [{"epoch": 1, "loss/train": 0.5}, {"epoch": 2, "loss/train": 0.25}]
    write_scalars(tmp_path / "events", log)
    writer = ScalarWriter(tmp_path / "events", log[:1])
    writer.write({"epoch": 2, "loss/train": 0.125})
    writer.close()
    assert read_events(tmp_path / "events") == {"loss/train": [(1, 0.5), (2, 0.125)]}


def test_merged_logs_hold_the_other_ones_validation_only():
    mine = [{"epoch": 1, "loss/train": 1.0}]
    other = [{"epoch": e, "loss/train": 9.0, "loss/validation": 2.0 * e} for e in (1, 2)]
    assert merge_logs(mine, other, "validation") == [
        {"epoch": 1, "loss/train": 1.0, "loss/validation": 2.0},
        {"epoch": 2, "loss/validation": 4.0},
    ]


def test_stages_start_without_tensorboard():
    modules = "alba.training.selection, alba.training.reinforce, alba.inference.networks"
    code = f"import sys, {modules}; sys.exit(any('tensorboard' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
