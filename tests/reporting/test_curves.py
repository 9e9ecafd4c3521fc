"""Learning curves of checkpoints."""

import json

import pandas as pd
import pytest
from PIL import Image

from alba.errors import CheckpointError
from alba.reporting import curves


@pytest.fixture
def checkpoints(tmp_path):
    """Folders with the files that are drawn."""
    logs = {
        "assignment": {"epoch": [1, 2], "loss/train": [0.5, 0.25], "loss/validation": [0.6, 0.7]},
        "reinforce": {"epoch": [0, 1], "reward/validation": [0.5, 0.6], "entropy": [None, 0.1]},
    }
    for stage, log in logs.items():
        (tmp_path / stage).mkdir()
        pd.DataFrame({**log, "decisions_per_second": [1.0, 2.0]}).to_csv(
            tmp_path / stage / "log.csv", index=False
        )
        description = {"kind": "assignment", "settings": {}, "num_features": 1, "epoch": 1}
        (tmp_path / stage / "network.json").write_text(json.dumps(description))
    return {stage: tmp_path / stage for stage in logs}


def test_a_row_per_stage_and_a_panel_per_kind_of_scalar(checkpoints, tmp_path, monkeypatch):
    drawn = []
    original = curves._draw_panel

    def draw(axes, log, names, published):
        original(axes, log, names, published)
        drawn.append((names, published, [len(line.get_xdata()) for line in axes.get_lines()]))

    monkeypatch.setattr(curves, "_draw_panel", draw)
    curves.draw_curves(checkpoints, tmp_path / "out/curves.png")
    assert drawn == [
        (["loss/train", "loss/validation"], 1, [2, 2, 2]),
        (["reward/validation"], 1, [2, 2]),
        (["entropy"], 1, [1, 2]),  # none in epoch 0; the last line marks the published epoch
    ]
    assert Image.open(tmp_path / "out/curves.png").size[0] > 500


def test_checkpoint_without_a_log_is_named(checkpoints, tmp_path):
    (checkpoints["reinforce"] / "log.csv").unlink()
    with pytest.raises(CheckpointError, match=r"reinforce/log\.csv is missing"):
        curves.draw_curves(checkpoints, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_log_without_epochs_or_of_another_kind_is_named(checkpoints, tmp_path):
    log = checkpoints["reinforce"] / "log.csv"
    for content, message in (("loss/train\n1\n", "no column epoch"), ("epoch\n", "no line below")):
        log.write_text(content)
        with pytest.raises(CheckpointError, match=rf"reinforce/log\.csv has {message}"):
            curves.draw_curves(checkpoints, tmp_path / "curves.png")
