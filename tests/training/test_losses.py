"""What each training lowers, against its formula."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from alba.config import (
    AssignmentSettings,
    EncoderSettings,
    GroupingSettings,
    ReinforceSettings,
    SelectionSettings,
)
from alba.grouping import draw_chance, group_video, roll_out
from alba.metrics.reward import TruthBoundaries
from alba.training import assignment as supervised
from alba.training import reinforce, selection
from alba.training.checkpoint import build_assignment, build_selection
from alba.training.episodes import Example
from alba.training.hardware import Hardware
from alba.training.run import Run

CPU = Hardware(torch.device("cpu"))
ENCODER = EncoderSettings(input_size=16, widths=((4,),))


@pytest.mark.parametrize("target", ["iou", "overlap"])
@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_selection_is_taught_the_iou_or_the_label(target, weight):
    settings = SelectionSettings(
        target=target, positive_weight=weight, threshold=0.5, encoder=ENCODER, hidden=(4,)
    )
    torch.manual_seed(0)
    trained = build_selection(settings, 2)
    crops, known = torch.randn(6, 6, 16, 16), torch.randn(6, 3)
    iou = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
    label = iou > 0.2
    loss, right = selection._losses(trained, (crops, known, iou, label), CPU)
    output = trained.network(crops, known).sigmoid()
    answer = iou if target == "iou" else label.float()
    expected = -(weight * answer * output.log() + (1 - answer) * (1 - output).log()).sum()
    torch.testing.assert_close(loss, expected)
    assert right == ((output > 0.5) == label).sum()


def squares(with_stray):
    """Two objects that stand still and, by choice, a proposal that is none of them, last in its frame."""
    truth = np.zeros((3, 12, 20), np.uint8)
    truth[:, 1:5, 1:6], truth[:, 6:11, 10:18] = 1, 2
    masks = [truth[0] == 1, truth[0] == 2]
    if with_stray:
        stray = np.zeros((12, 20), bool)
        stray[8:12, :3] = True
        masks.append(stray)
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(len(masks), 4)).astype(np.float32) for _ in range(3)]
    backward = np.zeros((3, 2, 12, 20), np.float32)
    pictures = rng.normal(0, 0.5, (3, 5, 16, 16)).astype(np.float16)
    return group_video("squares", [np.stack(masks)] * 3, features, backward, truth, pictures)


def build(none_action=True, **settings):
    torch.manual_seed(0)
    settings = AssignmentSettings(encoder=ENCODER, hidden=(8,), **settings)
    return build_assignment(settings, GroupingSettings(num_slots=4, none_action=none_action), 2)


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_decisions_that_join_weigh_as_set(weight):
    network = build(join_weight=weight)
    lessons = supervised._teach([squares(with_stray=True)], network, 0.5, CPU)
    batch = [(lessons, False)]
    [((observation, choice, num_used, num_live), count)] = supervised.read_batches(batch, network, CPU)
    loss, right = supervised._losses(network, (observation, choice, num_used, num_live), CPU)
    log_probs = supervised.slot_log_probs(
        network.network(*observation, num_live), num_used, 4, none_action=True
    )
    losses = functional.nll_loss(log_probs, choice, reduction="none")
    assert count == len(choice) == 9
    assert (choice == num_live).sum() == 3
    torch.testing.assert_close(
        loss, weight * losses[choice < num_live].sum() + losses[choice == num_live].sum()
    )
    assert right == (log_probs.argmax(1) == choice).sum()


@pytest.mark.parametrize(
    ("fusion", "none_action", "num_decisions"), [("late", True, 9), ("late", False, 6), ("early", False, 6)]
)
def test_what_joins_no_object_is_a_lesson_only_where_that_can_be_answered(fusion, none_action, num_decisions):
    network = build(none_action, fusion=fusion)
    lessons = supervised._teach([squares(with_stray=True)], network, 0.5, CPU)
    assert sum(map(len, lessons)) == num_decisions
    targets = torch.cat([lesson.choice for lesson in lessons])
    assert sorted(targets.tolist()) == [-1] * (num_decisions - 6) + [0, 0, 0, 1, 1, 1]


def explored(settings):
    """Decisions of some rollouts, and made-up advantages of them."""
    network, video = build(), squares(with_stray=False)
    chance = draw_chance([video], settings.rollouts, torch.Generator().manual_seed(0))
    episodes = roll_out(
        [video],
        network.observer,
        network.network,
        4,
        num_rollouts=settings.rollouts,
        chance=chance,
        keep_steps=True,
    )
    weights = torch.randn(settings.rollouts, 3, 2, generator=torch.Generator().manual_seed(1))
    return network, episodes.steps, weights


def test_the_first_step_is_up_the_gradient_of_reinforce():
    settings = ReinforceSettings(rollouts=3)
    network, steps, weights = explored(settings)
    gain, entropy, (logged, kl, clipped) = reinforce._surrogate(steps, weights, network, settings, CPU)
    log_prob, _, before, kept = reinforce._recompute(steps, network, CPU)
    advantage = weights[kept[:, 0], kept[:, 1], kept[:, 2]]
    parameters = list(network.network.parameters())
    torch.testing.assert_close(log_prob, before)
    torch.testing.assert_close(gain, weights.sum())
    assert entropy.item() == pytest.approx(logged)
    assert logged > 0
    assert (abs(kl), clipped) == (pytest.approx(0, abs=1e-5), 0)
    ours = torch.autograd.grad(gain, parameters, retain_graph=True)
    theirs = torch.autograd.grad((advantage * log_prob).sum(), parameters)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_later_steps_are_held_back_where_they_have_gone_far_enough():
    settings = ReinforceSettings(rollouts=3, clip=0.1)
    network, steps, weights = explored(settings)
    with torch.no_grad():
        network.network.head[-1].weight.mul_(4)
    gain, _, (_, kl, num_clipped) = reinforce._surrogate(steps, weights, network, settings, CPU)
    log_prob, _, before, kept = reinforce._recompute(steps, network, CPU)
    advantage = weights[kept[:, 0], kept[:, 1], kept[:, 2]].double()
    ratio = (log_prob - before).exp().detach().double()
    bound = torch.where(advantage > 0, ratio.clamp(max=1.1), ratio.clamp(min=0.9))
    assert gain.item() == pytest.approx((bound * advantage).sum().item(), rel=1e-5)
    assert num_clipped == ((ratio < 0.9) | (ratio > 1.1)).sum() > 0
    assert (bound != ratio).any()
    assert kl > 0


def test_entropy_bonus_keeps_the_policy_open(tmp_path):
    video = squares(with_stray=False)
    example = Example(video, TruthBoundaries(torch.from_numpy(video.truth)))
    entropy = {}
    for weight in (0.0, 1.0):
        network = build()
        settings = ReinforceSettings(epochs=8, learning_rate=0.01, rollouts=4, entropy_weight=weight)
        optimizer = torch.optim.Adam(network.network.parameters(), settings.learning_rate)
        generators = [torch.Generator().manual_seed(0)]
        description = {"kind": "assignment"}
        run = Run(tmp_path / str(weight), {}, description, network.network, optimizer, generators, CPU)
        reinforce.train([example], [], network, settings, run)
        entropy[weight] = [row["entropy"] for row in run.log if "entropy" in row]
    assert entropy[1.0][-1] > entropy[0.0][-1] + 0.05
