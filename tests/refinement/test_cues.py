"""Cues on made-up videos, where what they must say is known."""

import numpy as np
import pytest
import torch

from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.motion import residual_motion
from alba.refinement import (
    CHANNELS,
    ObjectCues,
    Scene,
    join_cues,
    look,
    mirror_cues,
    shared_cues,
    working_size,
)
from alba.refinement.colour import ColourModel
from alba.refinement.consensus import consensus
from alba.refinement.cues import OWN, SHARED
from alba.refinement.propagation import Chains, consistency
from alba.refinement.vote import Electorate

SIZE = (48, 64)
STEP = 3  # pixels per frame that the square moves to the right


def square(t: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[14:34, 8 + STEP * t : 28 + STEP * t] = True
    return mask


def moving_square(num_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lab, flow both ways and masks of a red square before a textured grey wall."""
    rng = np.random.default_rng(0)
    masks = np.stack([square(t) for t in range(num_frames)])
    lab = np.zeros((num_frames, 3, *SIZE), np.float16)
    lab[:, 0] = 50 + rng.normal(0, 3, SIZE)
    lab[:, 1][masks] = 50
    flow = np.zeros((num_frames, 4, *SIZE), np.float16)
    flow[:, 0][masks], flow[:, 2][masks] = STEP, -STEP
    return lab, flow, masks


def made_up_scene(num_frames: int, size: tuple[int, int], num_proposals: int = 3) -> Scene:
    rng = np.random.default_rng(1)
    views = []
    for _ in range(num_frames):
        frame = rng.integers(0, 255, (*size, 3), np.uint8)
        flow = rng.normal(0, 2, (2, *size)).astype(np.float32)
        work = reduce_frame(frame, flow, -flow)
        masks = rng.random((num_proposals, *size)) < 0.5
        slots = np.arange(num_proposals) % 3
        label_map = (masks[1:2].any(0) * 1).astype(np.uint8)
        weights = rng.random(num_proposals).astype(np.float32)
        small = working_size(size, 2000)
        views.append(look(work, residual_motion(work), masks, weights, slots, label_map, small))
    return Scene.of(views)


def test_consensus_hears_the_weightiest_more_at_a_higher_power():
    masks = np.zeros((2, 1, 3), np.float32)
    masks[0, 0, :2] = 1
    masks[1, 0, 1:] = 1
    second, sixth, largest, best = consensus(masks, np.array([0.8, 0.4], np.float32))
    np.testing.assert_allclose(second[0], [0.8, 1, 0.2], rtol=1e-5)
    np.testing.assert_allclose(sixth[0], [64 / 65, 1, 1 / 65], rtol=1e-4)
    np.testing.assert_allclose(largest[0], [0.8, 0.8, 0.4])
    np.testing.assert_array_equal(best, masks[0])


@pytest.mark.parametrize("weights", [[], [0.0, 0.0]])
def test_consensus_of_nothing_or_of_nothing_trusted_is_finite(weights):
    maps = consensus(np.ones((len(weights), 2, 2), np.float32), np.array(weights, np.float32))
    assert np.isfinite(maps).all()


def test_colour_model_tells_an_object_that_is_marked_in_one_frame_only():
    lab, _, masks = moving_square(6)
    marked = np.zeros(masks.shape, np.float32)
    marked[0] = masks[0]
    model = ColourModel(lab)
    posterior = model.posterior(marked)
    assert posterior[5][masks[5]].min() > 0.8
    assert posterior[5][~masks[5]].max() < 0.2
    nearby = model.posterior(marked, reach=2)
    assert nearby[2][masks[2]].min() > 0.8
    np.testing.assert_allclose(nearby[5], 0.5, atol=0.01)  # nothing is marked within two frames of it


def test_what_other_frames_say_arrives_where_the_object_has_moved_to():
    _, flow, masks = moving_square(8)
    marked = masks.astype(np.float32)
    marked[4] = 0
    one, three, _ = Chains(flow).bring_along(marked)[4]
    inside = masks[4].copy()
    inside[:, : 8 + STEP * 5] = inside[:, 28 + STEP * 3 :] = False  # away from what is uncovered
    np.testing.assert_allclose(one[inside], 1, atol=1e-3)
    np.testing.assert_allclose(three[inside], 1, atol=1e-3)
    assert one[~masks[4]].mean() < 0.1


def test_beyond_the_ends_of_a_video_a_frame_speaks_for_itself():
    flow = np.zeros((2, 4, 5, 6), np.float16)
    maps = np.stack([np.zeros((5, 6)), np.ones((5, 6))]).astype(np.float32)
    one, three, six = Chains(flow).bring_along(maps)[0]
    np.testing.assert_array_equal(one, 0.5)
    assert not three.any()
    assert not six.any()


def test_flow_is_inconsistent_where_things_are_covered():
    lab, flow, masks = moving_square(3)
    forward, _, smaller, _ = consistency(lab, flow)[1].astype(np.float32)
    assert forward[masks[1]].max() < 0.05
    about_to_be_covered = masks[2] & ~masks[1]
    assert forward[about_to_be_covered].min() > 0.5
    assert smaller[masks[1]].mean() < 0.5


def test_patches_that_look_alike_agree():
    lab, _, masks = moving_square(6)
    marked = masks.astype(np.float32)
    marked[3] = 0  # missed there
    votes = Electorate(lab).vote(marked)
    assert votes[3][masks[3]].mean() > 0.6
    assert votes[3][~masks[3]].mean() < 0.2


def test_voters_of_long_videos_are_a_share_of_the_patches(monkeypatch):
    lab, _, masks = moving_square(6)
    monkeypatch.setattr("alba.refinement.vote._MOST_VOTERS", 500)
    votes = Electorate(lab).vote(masks.astype(np.float32))
    assert votes[masks].mean() > votes[~masks].mean() + 0.4


@pytest.mark.parametrize(
    ("num_frames", "size", "num_proposals"),
    [(1, (1, 1), 1), (1, (40, 64), 3), (2, (1, 9), 2), (3, (7, 5), 0), (2, (90, 20), 3)],
)
def test_videos_of_any_size_have_cues(num_frames, size, num_proposals):
    scene = made_up_scene(num_frames, size, num_proposals)
    shared, cues = shared_cues(scene), ObjectCues(scene)
    for track in (1, 7):  # the latter is in no frame
        own = cues.of(track)
        assert own.shape == (num_frames, len(OWN), *scene.size)
        pictures = join_cues(shared, own)
        assert pictures.shape == (num_frames, len(CHANNELS), *scene.size)
        assert torch.isfinite(pictures).all()


def test_each_track_sees_its_own_mask_and_the_others():
    scene = made_up_scene(2, (30, 40))
    assert scene.track_ids == [1, 2]
    own = ObjectCues(scene).of(2)
    for t in range(2):
        np.testing.assert_array_equal(own[t, OWN.index("mask")], scene.tracks[t][2][0])
        np.testing.assert_array_equal(own[t, OWN.index("others")], scene.tracks[t][1][0])
        np.testing.assert_array_equal(own[t, OWN.index("second_power")], scene.tracks[t][2][1])


def test_mirrored_cues_are_those_of_the_mirrored_video():
    rng = np.random.default_rng(2)
    shared = rng.random((2, len(SHARED), 6, 9)).astype(np.float16)
    own = rng.random((2, len(OWN), 6, 9)).astype(np.float16)
    turned = shared[..., ::-1].copy()
    turned[:, SHARED.index("dx")] *= -1
    mirrored = join_cues(turned, own[..., ::-1])
    torch.testing.assert_close(mirror_cues(join_cues(shared, own)), mirrored, rtol=0, atol=1e-6)
