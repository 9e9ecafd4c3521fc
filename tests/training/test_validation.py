"""Which epoch is published, and on which videos that is decided."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_trainings import REINFORCE, read_log, same_networks
from torch import nn

from alba.training.checkpoint import load_assignment
from alba.training.hardware import Hardware
from alba.training.holdout import choose_validation
from alba.training.reinforce import reinforce
from alba.training.run import Run

NAMES = [f"video-{index}" for index in range(30)]


def test_videos_to_validate_on_follow_from_their_names_and_the_seed():
    chosen = choose_validation(NAMES, 0.2, 0)
    assert len(set(chosen) & set(NAMES)) == 6
    assert chosen == choose_validation(NAMES[::-1], 0.2, 0)
    assert chosen != choose_validation(NAMES, 0.2, 1)
    assert choose_validation(NAMES, 0.0, 0) == choose_validation(["one"], 0.9, 0) == []
    assert len(choose_validation(["one", "two"], 0.9, 0)) == 1  # one stays to learn from


@pytest.mark.parametrize(
    ("scores", "best"), [([0.5, 0.7, 0.6], 1), ([0.5, 0.4, 0.3], 0), ([0.5, 0.5, 0.5], 0), ([None] * 3, 2)]
)
def test_best_epoch_is_the_first_of_the_highest_score_or_the_last_without_one(tmp_path, scores, best):
    network = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters())
    run = Run(tmp_path, {}, {"kind": "test"}, network, optimizer, [], Hardware(torch.device("cpu")))
    for epoch in run.epochs(2, "test", first=0):
        nn.init.constant_(network.weight, epoch)
        run.end_epoch(epoch, {}, scores[epoch])
    run.load_best()
    assert network.weight.item() == run.best_epoch == best


def test_assignment_is_published_as_it_was_when_it_did_best_on_the_videos_left_out(trainer, tmp_path):
    log = read_log(trainer("assignment", tmp_path / "hasty", learning_rate=1.0, epochs=6))
    best = int(log.loc[log["reward/validation"].idxmax(), "epoch"])
    assert best < 6
    shorter = trainer("assignment", tmp_path / "shorter", learning_rate=1.0, epochs=best)
    assert same_networks(shorter, tmp_path / "hasty")
    description = json.loads((tmp_path / "hasty/network.json").read_text())
    assert description["validation"] == choose_validation([f"train-{v:03d}" for v in range(4)], 0.25, 0)


def test_without_videos_left_out_the_last_epoch_is_published(trainer, tmp_path):
    log = read_log(trainer("assignment", tmp_path / "all", learning_rate=0.3, epochs=2, validation_share=0.0))
    assert "loss/validation" not in log
    longer = trainer("assignment", tmp_path / "more", learning_rate=0.3, epochs=3, validation_share=0.0)
    assert not same_networks(tmp_path / "all", longer)
    assert load_assignment(longer).validation == ()


def test_selection_trains_for_as_many_epochs_as_do_best_on_what_the_folds_leave_out(trainer, tmp_path):
    log = read_log(trainer("selection", tmp_path / "hasty", learning_rate=1.0, epochs=5))
    best = int(log.loc[log["loss/validation"].idxmin(), "epoch"])
    assert best < 5
    assert log["loss/train"].notna().sum() == best  # the folds went on to the end, the published one did not
    shorter = trainer("selection", tmp_path / "shorter", learning_rate=1.0, epochs=best)
    assert same_networks(shorter, tmp_path / "hasty")
    last = trainer("selection", tmp_path / "last", learning_rate=1.0, epochs=5, keep="last")
    assert read_log(last)["loss/train"].notna().all()
    assert not same_networks(last, tmp_path / "hasty")


def test_refinement_is_published_as_it_was_when_its_masks_were_best_on_the_videos_left_out(trainer, tmp_path):
    checkpoint = trainer("refinement", tmp_path / "refinement", learning_rate=0.3, epochs=5)
    log = read_log(checkpoint)
    description = json.loads((checkpoint / "network.json").read_text())
    assert description["epoch"] == log.loc[log["iou/validation"].idxmax(), "epoch"]
    assert description["validation"] == list(load_assignment(trainer.root / "assignment").validation)
    everything = trainer("refinement", tmp_path / "all", validation_share=0.0)
    assert json.loads((everything / "network.json").read_text())["epoch"] == 3
    assert "iou/validation" not in read_log(everything)


@pytest.mark.parametrize(("keep", "epoch"), [("best", 0), ("last", 3)])
def test_reinforcement_that_spoils_the_policy_can_publish_the_supervised_network(
    trainer, tmp_path, keep, epoch
):
    settings = REINFORCE.model_copy(update={"learning_rate": 100.0, "keep": keep})
    supervised = trainer("assignment", tmp_path / "supervised", epochs=10)  # good enough to be spoiled
    reinforce(trainer.corpus, trainer.root / "selection", supervised, settings, tmp_path / "reinforce")
    log = read_log(tmp_path / "reinforce")
    rewards = log["reward/validation"].to_numpy()
    assert log["epoch"].tolist() == [0, 1, 2, 3]
    assert np.argmax(rewards) == 0
    assert rewards[-1] < rewards[0]
    assert json.loads((tmp_path / "reinforce/network.json").read_text())["epoch"] == epoch
    before, after = (load_assignment(folder).network for folder in (supervised, tmp_path / "reinforce"))
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs) == (keep == "best")


def test_log_says_how_reinforcement_went(trainer):
    log = pd.read_csv(trainer.root / "reinforce/log.csv")
    names = {"reward/train", "entropy", "grad_norm", "approx_kl", "clip_fraction", "decisions_per_second"}
    assert names <= set(log.columns)
    assert log[list(names)].notna().all().all()
    assert log["reward/train"].between(0, 1).all()
