"""Two processes of torchrun do what one process does with the whole batch."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_trainings import STAGES, read_log

from alba.config import ReinforceSettings
from alba.errors import BackendError
from alba.training.hardware import Hardware, use_hardware

NOT_DEFAULT = {
    "selection": {"epochs": 1},
    "assignment": {"epochs": 1, "batch_size": 7},
    # The last group has but one video.
    "reinforce": {"epochs": 1, "videos_per_update": 3, "entropy_weight": 0.01},
    "refinement": {"epochs": 1, "batch_size": 3},
}


STAGES_OF_ONE_TORCHRUN = """
import json, sys
from torch import distributed
from alba.cli import app
distributed.init_process_group("gloo")  # one for all stages
for words in json.loads(sys.argv[1]):
    app(words, standalone_mode=False)
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def joint(trainer, tmp_path_factory, environment):
    """Folder with the checkpoints of all stages, trained by two processes, and what these said."""
    root = tmp_path_factory.mktemp("joint")
    (root / "stages.py").write_text(STAGES_OF_ONE_TORCHRUN)
    commands = [trainer.command(stage, root / stage, **NOT_DEFAULT[stage]) for stage in NOT_DEFAULT]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, root / "stages.py", json.dumps(commands)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return root, done.stderr


@pytest.mark.parametrize("stage", list(NOT_DEFAULT))
def test_two_processes_learn_what_one_learns_from_the_joint_batch(trainer, tmp_path, joint, stage):
    root, _ = joint
    alone = trainer(stage, tmp_path / stage, **NOT_DEFAULT[stage])
    one, two = (load_file(folder / "network.safetensors") for folder in (alone, root / stage))
    other = load_file(
        trainer(stage, tmp_path / "other", **NOT_DEFAULT[stage], seed=1) / "network.safetensors"
    )
    # A number added to all logits of a decision changes nothing: what becomes of it is rounding alone.
    free = "head.2.bias" if stage in ("assignment", "reinforce") else ""
    for name, tensor in one.items():
        if name != free:
            torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5)
    assert any(
        not torch.allclose(other[name], tensor, 1e-2, 1e-4) for name, tensor in one.items() if name != free
    )
    pd.testing.assert_frame_equal(read_log(root / stage), read_log(alone), rtol=1e-3, atol=1e-5)


def test_one_of_the_processes_writes_and_speaks(joint):
    root, said = joint
    assert sorted(path.name for path in root.glob("*.training")) == []
    assert said.count("load: 100%") == len(NOT_DEFAULT) - 1
    assert said.count("prepare: 100%") == 1  # a share of the videos each


def test_shares_of_all_processes_are_the_batch():
    items = list(range(7))
    ranks = [Hardware(torch.device("cpu"), rank=rank, size=3) for rank in range(3)]
    shares = [rank.share(items) for rank in ranks]
    assert sorted(item for share in shares for item in share) == items
    rows = [rank.share_rows(torch.arange(7))[0].tolist() for rank in ranks]
    assert rows == shares


def test_one_process_changes_nothing():
    alone = Hardware(torch.device("cpu"))
    assert alone.gather([1, 2]) == [1, 2]
    assert alone.total(0.1, 3) == [0.1, 3]
    assert alone.writes


def test_mixed_precision_gives_float32_that_is_close():
    network = torch.nn.Linear(64, 8)
    inputs = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    exact = network(inputs)
    mixed = Hardware(torch.device("cpu"), mixed_precision=True).run(network)(inputs)
    assert mixed.dtype == torch.float32
    difference = (mixed - exact).abs().max()
    assert 0 < difference < 0.05


def test_trainings_run_in_mixed_precision(trainer, tmp_path):
    for stage in STAGES:
        log = read_log(trainer(stage, tmp_path / stage, mixed_precision=True, epochs=1))
        assert np.isfinite(log.iloc[-1]["grad_norm"])
        weights = load_file(tmp_path / stage / "network.safetensors")
        counts = [name for name in weights if name.endswith("num_batches_tracked")]
        assert {weights[name].dtype for name in weights.keys() - counts} == {torch.float32}


def test_networks_of_the_ablation_train_in_mixed_precision_too(trainer, tmp_path):
    for name, changes in (("pairwise", {"network": "pairwise"}), ("early", {"fusion": "early"})):
        log = read_log(trainer("assignment", tmp_path / name, mixed_precision=True, epochs=1, **changes))
        assert np.isfinite(log.iloc[-1]["grad_norm"])


def test_device_that_is_not_there_is_named():
    settings = ReinforceSettings(device="cuda:99")
    with pytest.raises(BackendError, match="cuda:99"), use_hardware(settings):
        pass
