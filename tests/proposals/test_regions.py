from dataclasses import astuple

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alba.config.backends import RegionsOptions
from alba.masks import iou_matrix, mask_boxes
from alba.proposals.protocol import ProposalBackend, Proposals
from alba.proposals.regions.backend import RegionsBackend
from alba.proposals.regions.frame import reduce_frame
from alba.proposals.regions.motion import residual_motion

SIZE = 144, 256
SQUARE = (slice(50, 90), slice(60, 110))
STATIC = (slice(50, 90), slice(160, 210))
BACKEND: ProposalBackend = RegionsBackend(RegionsOptions())


def propose_first(frame, forward, backward, **options):
    """Proposals of a video's first frame."""
    return RegionsBackend(RegionsOptions(**options)).propose(frame, forward, backward)


def texture(size, seed, mean, coarse=6):
    noise = np.random.default_rng(seed).normal(0, 1, (size[0] // coarse + 2, size[1] // coarse + 2, 3))
    smooth = cv2.resize(noise, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.array(mean) + 18 * smooth, 0, 255).astype(np.uint8)


def scene(camera=(2.0, -1.0), motion=(4.0, 3.0)):
    """A frame with two alike squares, one of which moves, and its exact flows."""
    frame = texture(SIZE, 0, (90, 120, 80))
    frame[SQUARE] = texture((40, 50), 1, (190, 90, 60))
    frame[STATIC] = texture((40, 50), 2, (190, 90, 60))
    flow = np.empty((2, *SIZE), np.float32)
    flow[:] = np.array(camera)[:, None, None]
    flow[(slice(None), *SQUARE)] += np.array(motion)[:, None, None]
    return frame, flow, -flow


def mask_of(region):
    mask = np.zeros(SIZE, bool)
    mask[region] = True
    return mask


@pytest.fixture(scope="module")
def found():
    return propose_first(*scene())


def test_moving_square_is_among_the_first(found):
    overlaps = iou_matrix(found.masks, mask_of(SQUARE)[None])[:, 0]
    assert overlaps.max() > 0.7
    assert overlaps[:3].max() > 0.7


def test_static_square_of_the_same_look_scores_lower(found):
    moving, static = (iou_matrix(found.masks, mask_of(s)[None])[:, 0] for s in (SQUARE, STATIC))
    best_static = found.scores[static > 0.5].max(initial=0)
    assert found.scores[moving > 0.7].max() > best_static + 0.1


def test_a_pair_of_moving_squares_is_found_one_by_one():
    frame, flow, _ = scene()
    flow[(slice(None), *STATIC)] += np.array([-3.0, 2.0])[:, None, None]
    found = propose_first(frame, flow, -flow)
    for region in (SQUARE, STATIC):
        assert iou_matrix(found.masks, mask_of(region)[None]).max() > 0.7


def test_one_direction_of_flow_is_enough():
    frame, flow, _ = scene()
    for flows in ((flow, None), (None, -flow)):
        found = propose_first(frame, *flows)
        assert iou_matrix(found.masks[:3], mask_of(SQUARE)[None]).max() > 0.7


def test_shapes_and_types(found):
    assert found.masks.dtype == bool
    assert found.masks.shape[1:] == SIZE
    assert {a.dtype for a in (found.boxes, found.scores, found.features)} == {np.dtype(np.float32)}
    assert found.features.shape == (len(found), BACKEND.num_features)
    assert len(set(BACKEND.feature_names)) == BACKEND.num_features
    assert np.isfinite(found.features).all()
    assert np.abs(found.features).max() <= 4


def test_scores_fall_within_zero_and_one(found):
    assert (np.diff(found.scores) <= 0).all()
    assert 0 <= found.scores[-1] <= found.scores[0] <= 1


def test_the_same_is_proposed_with_scores_lower_where_it_is_not_salient(found, monkeypatch):
    monkeypatch.setattr(f"{RegionsBackend.__module__}.discount_loose", lambda *evidence: evidence[-1])
    plain = propose_first(*scene())
    saliency = plain.features[:, BACKEND.feature_names.index("saliency")]
    discounted = plain.scores * np.sqrt(saliency)
    order = np.argsort(-discounted, kind="stable")
    assert (np.diff(order) < 0).any()  # another order
    np.testing.assert_allclose(found.scores, discounted[order], atol=1e-6)
    np.testing.assert_array_equal(found.masks, plain.masks[order])


def test_boxes_are_tight(found):
    np.testing.assert_array_equal(found.boxes, mask_boxes(found.masks))
    assert found.masks.any((1, 2)).all()


def test_no_two_proposals_overlap_more_than_allowed():
    frame, *flows = scene()
    found = propose_first(frame, *flows, nms_iou=0.6)
    overlaps = iou_matrix(found.masks, found.masks) - np.eye(len(found))
    assert overlaps.max() <= 0.6


def test_most_proposals_is_kept():
    frame, *flows = scene()
    some, more = (propose_first(frame, *flows, max_proposals=most) for most in (5, 40))
    assert len(some) == 5
    assert len(more) == 40
    assert some.scores[0] == more.scores[0]


def test_same_input_same_proposals(found):
    cv2.setRNGSeed(7)
    again = propose_first(*scene())
    for one, other in zip(astuple(found), astuple(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_proposals_of_the_frame_before_are_candidates_again():
    frame, flow, back = scene()
    frame[:] = texture(SIZE, 0, (90, 120, 80))
    still = np.zeros_like(flow)
    backend = RegionsBackend(RegionsOptions())
    moving = backend.propose(frame, flow, back)
    remembered = backend.propose(frame, still, still)
    best = [
        iou_matrix(found.masks, mask_of(SQUARE)[None]).max()
        for found in (moving, remembered, propose_first(frame, still, still))
    ]
    assert best[0] > 0.7
    assert best[1] > best[2] + 0.1


def test_camera_motion_alone_leaves_no_residual():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    zoom = np.stack([0.03 * (columns - 100) + 2, 0.03 * (rows - 60) - 1]).astype(np.float32)
    motion = residual_motion(reduce_frame(texture(SIZE, 0, (90, 90, 90)), zoom, -zoom))
    assert motion.planar.max() < 0.05


def test_features_recognise_a_square_after_it_moved(found):
    frame, flow, back = scene()
    shift = 6
    later = propose_first(
        *(np.roll(a, shift, axis=-1 if a.ndim == 3 and a.shape[0] == 2 else 1) for a in (frame, flow, back))
    )
    names = BACKEND.feature_names
    appearance = slice(0, names.index("lightness_contrast"))
    here = found.features[iou_matrix(found.masks, mask_of(SQUARE)[None])[:, 0].argmax(), appearance]
    moved = np.roll(mask_of(SQUARE), shift, axis=1)
    there = iou_matrix(later.masks, moved[None])[:, 0]
    distance = np.linalg.norm(later.features[:, appearance] - here, axis=1)
    background = distance[there < 0.05]
    assert distance[there.argmax()] < 0.5 * background.mean()


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    seed=st.integers(0, 99),
    flow_scale=st.sampled_from([None, 0.0, 3.0]),
    flat=st.booleans(),
)
def test_any_frame_gives_a_valid_answer(height, width, seed, flow_scale, flat):
    generator = np.random.default_rng(seed)
    frame = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if flat:
        frame[:] = frame[0, 0]
    flow = None
    if flow_scale is not None:
        flow = generator.normal(0, 1, (2, height, width)).astype(np.float32) * np.float32(flow_scale)
    found = propose_first(frame, flow, flow)
    check(found, (height, width))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (700, 3), (600, 900)])
def test_odd_sizes(size):
    frame = texture((max(size[0], 8), max(size[1], 8)), 3, (128, 128, 128))[: size[0], : size[1]]
    check(propose_first(np.ascontiguousarray(frame), None, None), size)


def check(found: Proposals, size):
    assert found.masks.shape == (len(found), *size)
    assert found.features.shape == (len(found), BACKEND.num_features)
    assert np.isfinite(found.features).all()
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_array_equal(found.boxes, mask_boxes(found.masks))
    assert found.masks.any((1, 2)).all()
