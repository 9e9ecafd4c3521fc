"""A refinement that learns a made-up task; loss, matching, odd sizes."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from alba.config import RefinementSettings
from alba.errors import TrainingError
from alba.masks import VOID
from alba.networks import RefinementNetwork
from alba.refinement import CHANNELS, Scene
from alba.refinement.cues import OWN, SHARED
from alba.training.checkpoint import build_refinement, describe_refinement
from alba.training.hardware import Hardware
from alba.training.refinement import learn, mask_loss, refine
from alba.training.run import Run
from alba.training.track_lessons import StoredFrames, TrackLesson, VideoLesson, match_tracks

SETTINGS = RefinementSettings(
    widths=(8, 16), epochs=6, learning_rate=1e-2, batch_size=4, mixed_precision=False
)


def squares(seed: int, num_frames: int = 8, size: tuple[int, int] = (24, 32)) -> VideoLesson:
    """A square that two noisy channels show; the first track is its, the second one's channels are empty."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((num_frames, *size), np.uint8)
    for t in range(num_frames):
        row, column = rng.integers(2, size[0] - 10), rng.integers(2, size[1] - 10)
        truth[t, row : row + 8, column : column + 8] = 254
    shared = rng.normal(0, 0.3, (num_frames, len(SHARED), *size)).astype(np.float16)
    own = np.zeros((num_frames, len(OWN), *size), np.float16)
    for name in ("mask", "vote"):
        own[:, OWN.index(name)] = truth / 254 + rng.normal(0, 0.7, truth.shape)
    nothing = TrackLesson(np.zeros_like(own), np.zeros_like(truth), False)
    return VideoLesson(shared, [TrackLesson(own, truth, True), nothing])


def jaccard(masks: np.ndarray, truth: np.ndarray) -> float:
    return float(((masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))).mean())


def fit(lessons, left_out, settings, folder):
    """A network trained on some videos, and the log."""
    refinement, run = untrained(settings, folder)
    learn(lessons, left_out, refinement, run)
    run.load_best()
    return refinement, run


def untrained(settings, folder):
    torch.manual_seed(settings.seed)
    refinement = build_refinement(settings)
    network = refinement.network
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate)
    generators = [np.random.default_rng(settings.seed)]
    description = describe_refinement(refinement, {})
    return refinement, Run(
        folder, {}, description, network, optimizer, generators, Hardware(torch.device("cpu"))
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lessons = [squares(seed) for seed in range(10)]
    return fit(lessons[:8], lessons[8:], SETTINGS, tmp_path_factory.mktemp("squares"))


def test_refined_masks_are_better_than_the_tracks(trained):
    refinement, run = trained
    assert [row["epoch"] for row in run.log] == [1, 2, 3, 4, 5, 6]
    assert run.log[-1]["loss/train"] < run.log[0]["loss/train"]
    new = squares(100)
    track = new.tracks[0]
    truth = track.target > 127
    rough = jaccard(track.own[:, OWN.index("mask")] > 0.5, truth)
    assert jaccard(refine(refinement, new.shared, track.own) > 0.5, truth) > rough + 0.2


def test_masks_are_refined_in_float32_whatever_the_training(trained):
    refinement, _ = trained
    lesson = squares(9)
    halved = replace(refinement, settings=SETTINGS.model_copy(update={"mixed_precision": True}))
    shared, own = np.array(lesson.shared), np.array(lesson.tracks[0].own)
    np.testing.assert_array_equal(refine(halved, shared, own), refine(refinement, shared, own))


def test_a_track_of_nothing_stays_empty(trained):
    new = squares(101)
    assert refine(trained[0], new.shared, new.tracks[1].own).max() < 0.5


def test_the_mirrored_video_has_the_mirrored_masks(trained):
    new = squares(102)
    shared = new.shared[..., ::-1].copy()
    shared[:, SHARED.index("dx")] *= -1
    straight = refine(trained[0], new.shared, new.tracks[0].own)
    mirrored = refine(trained[0], shared, new.tracks[0].own[..., ::-1])
    np.testing.assert_allclose(mirrored[..., ::-1], straight, atol=1e-5)


def test_epoch_of_the_best_masks_of_videos_left_out_is_kept(trained):
    _, run = trained
    overlap = [row["iou/validation"] for row in run.log]
    assert run.best_epoch == 1 + int(np.argmax(overlap))
    assert max(overlap) > overlap[0]
    assert run.log[0]["loss/validation"] > run.log[-1]["loss/validation"]


def test_where_no_video_is_left_out_the_last_epoch_is_kept(tmp_path, caplog):
    settings = SETTINGS.model_copy(update={"epochs": 2})
    _, run = fit([squares(0)], [], settings, tmp_path / "whole")
    assert run.best_epoch == 2
    assert "iou/validation" not in run.log[0]
    assert not caplog.text
    fit([squares(0)], [], settings.model_copy(update={"validation_share": 0.2}), tmp_path / "too few")
    assert "no video to validate on" in caplog.text


def test_nothing_to_learn_from_is_told(tmp_path):
    with pytest.raises(TrainingError, match="no training video has a track"):
        fit([], [squares(0)], SETTINGS, tmp_path)


def test_lessons_that_lie_on_disk_keep_no_file_open(tmp_path):
    array = np.arange(24, dtype=np.float16).reshape(4, 3, 2)
    np.save(tmp_path / "frames.npy", array)
    before = psutil.Process().num_fds()
    lessons = [StoredFrames(tmp_path / "frames.npy") for _ in range(20)]
    read = [lesson[1:3] for lesson in lessons]
    assert psutil.Process().num_fds() == before
    assert len(lessons[0]) == 4
    assert lessons[0].shape == (4, 3, 2)
    np.testing.assert_array_equal(read[19], array[1:3])


def test_training_is_deterministic_and_takes_videos_of_several_sizes(tmp_path):
    lessons = [squares(0), squares(1, size=(31, 17))]
    settings = SETTINGS.model_copy(update={"epochs": 1})
    weights = [
        fit(lessons, lessons, settings, tmp_path / name)[0].network.state_dict() for name in ("one", "other")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (9, 7), (33, 64)])
def test_network_takes_any_size(size):
    network = RefinementNetwork(len(CHANNELS), (4, 8, 8, 8), (1, 2, 3))
    assert network(torch.zeros(2, len(CHANNELS), *size)).shape == (2, 3, *size)


def test_each_scale_sees_the_means_of_its_blocks():
    """A chequered pattern is gone where two by two pixels are one."""
    network = RefinementNetwork(len(CHANNELS), (4, 8), (1, 2)).eval()
    plain = torch.randn(1, len(CHANNELS), 12, 20, generator=torch.manual_seed(0))
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(20), indexing="ij")
    chequered = plain + (-1.0) ** (rows + columns)
    with torch.no_grad():
        change = (network(chequered) - network(plain)).abs().amax((0, 2, 3))
    assert change[0] > 1e-3
    assert change[1] < 1e-5


def test_the_mask_is_the_mean_of_what_the_networks_draw(trained):
    new = squares(103)
    refinement, _ = trained
    alone = []
    for member in refinement.network.members:
        network = RefinementNetwork(len(CHANNELS), SETTINGS.widths, [member.scale]).eval()
        network.members[0] = member
        alone.append(refine(replace(refinement, network=network), new.shared, new.tracks[0].own))
    assert len(alone) == 2
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    both = refine(refinement, new.shared, new.tracks[0].own)
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)


def test_the_networks_take_turns_with_batches_of_their_own(tmp_path):
    """Each looks at other pictures at its turn, and the step that follows leaves the others as they are."""
    turns, looks, weights = [], [], []

    refinement, run = untrained(SETTINGS.model_copy(update={"epochs": 2}), tmp_path)
    members = refinement.network.members

    def record(number, _, inputs):
        turns.append(number)
        looks.append(inputs[0].clone())
        weights.append([nn.utils.parameters_to_vector(m.parameters()).detach().clone() for m in members])

    for number, member in enumerate(members):
        member.register_forward_pre_hook(partial(record, number))
    learn([squares(0)], [], refinement, run)
    assert turns == [0, 1] * 4
    for number, before, after in zip(turns, weights, weights[1:], strict=False):
        assert not torch.equal(before[number], after[number])
        assert torch.equal(before[1 - number], after[1 - number])
    assert all(not torch.equal(one, other) for one, other in combinations(looks, 2))


def test_every_network_learns_to_draw_the_whole_mask():
    """The loss is the mean of their losses: none may leave to another what it does not draw itself."""
    logits = torch.randn(3, 2, 5, 4, generator=torch.manual_seed(0))
    target = torch.randint(0, 256, (3, 5, 4), dtype=torch.uint8, generator=torch.manual_seed(1))
    alone = Hardware(torch.device("cpu"))
    both = mask_loss(logits, target, 3, alone)
    first, second = (mask_loss(logits[:, k : k + 1], target, 3, alone) for k in range(2))
    for together, one, other in zip(both, first, second, strict=True):
        assert one != other
        torch.testing.assert_close(together, (one + other) / 2)


def test_void_pixels_do_not_count():
    target = torch.zeros(1, 4, 4, dtype=torch.uint8)
    target[0, :2] = 254
    target[0, 2] = VOID
    logits = torch.full((1, 1, 4, 4), -4.0)
    logits[..., :2, :] = 4
    other = logits.clone()
    other[..., 2, :] = 9
    alone = Hardware(torch.device("cpu"))
    assert mask_loss(logits, target, 1, alone) == mask_loss(other, target, 1, alone)
    other[..., 3, :] = 9
    assert mask_loss(other, target, 1, alone)[0] > mask_loss(logits, target, 1, alone)[0]
    assert mask_loss(other, target, 1, alone)[1] < mask_loss(logits, target, 1, alone)[1]


def test_each_object_has_the_one_track_that_overlaps_it_most():
    size = (4, 6)
    objects = [np.zeros((2, *size), np.float32) for _ in range(2)]
    objects[0][:, :2], objects[1][:, 2:] = 1, 1
    masks = {3: np.zeros(size), 5: np.zeros(size), 6: np.zeros(size)}
    masks[3][2:, :4] = 1  # two thirds of the second object
    masks[5][2:, 4:] = 1  # the rest of it
    masks[6][:2] = 1  # the first one
    tracks = [{k: np.stack([mask] * 4).astype(np.float16) for k, mask in masks.items()}] * 2
    nothing = np.zeros((2, 4, *size), np.float16)
    scene = Scene(nothing[:, :3], nothing, nothing, nothing, tracks)
    assert match_tracks(scene, objects, np.array([0, 1]), [3, 5, 6]) == {0: 1, 2: 0}
