import json
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import pytest

from alba.config import ProposalSettings
from alba.config.backends import EMBEDDED
from alba.masks import mask_boxes
from alba.proposals import BatchProposalBackend, ProposalBackend, Proposals, load_backend

RANDOM = {"weights": "none", "score_threshold": 0.01, "max_proposals": 12, "device": "cpu"}
BACKENDS = {
    "regions": ("regions", {}),
    "torchvision-v1": ("torchvision", {**RANDOM, "model": "maskrcnn_resnet50_fpn"}),
    "torchvision-v2": ("torchvision", {**RANDOM, "model": "maskrcnn_resnet50_fpn_v2"}),
    "detectron2": ("detectron2", {**RANDOM, "score_threshold": 0.001}),
}


def shrink(network: Any) -> None:
    """Let a network with random weights see small pictures and few regions, for speed."""
    if hasattr(network.model, "transform"):
        network.model.transform.min_size = (64,)
        network.model.transform.max_size = 96
        network.model.rpn._post_nms_top_n["testing"] = 20
    else:
        resize = network._resize.augs[0]
        resize.short_edge_length, resize.max_size = (64, 64), 96
        network.model.proposal_generator.post_nms_topk[False] = 20


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> ProposalBackend:
    name, options = BACKENDS[request.param]
    requires = EMBEDDED["proposals"][name].requires
    if requires and find_spec(requires) is None:
        pytest.skip(f"{requires} is not installed")
    made = load_backend(ProposalSettings(backend=name, options=options))
    if hasattr(made, "model"):
        shrink(made)
    return made


def test_contract_is_held_by_every_backend_that_alba_brings():
    assert {name for name, _ in BACKENDS.values()} == set(EMBEDDED["proposals"])


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured frame with a disk that moves by (4, 1) before a still background, and its flow."""
    generator = np.random.default_rng(3)
    small = generator.integers(60, 120, (max(1, height // 6), max(1, width // 6), 3), np.uint8)
    frame = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:height, :width]
    disk = (rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (min(height, width) / 4) ** 2
    frame[disk] = (220, 60, 40)
    forward = np.zeros((2, height, width), np.float32)
    forward[:, disk] = [[4], [1]]
    return frame, forward, -forward


def check(found: Proposals, size: tuple[int, int], backend: ProposalBackend) -> None:
    n = len(found)
    assert found.masks.shape == (n, *size)
    assert found.boxes.shape == (n, 4)
    assert found.scores.shape == (n,)
    assert found.features.shape == (n, backend.num_features)
    assert found.masks.dtype == np.bool_
    assert {found.boxes.dtype, found.scores.dtype, found.features.dtype} == {np.dtype(np.float32)}
    assert found.masks.any((1, 2)).all()
    np.testing.assert_array_equal(found.boxes, mask_boxes(found.masks))
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (np.diff(found.scores) <= 0).all()
    assert np.isfinite(found.features).all()


def test_proposals_of_a_moving_disk_keep_the_contract(backend: ProposalBackend):
    found = backend.propose(*scene(72, 96))
    assert len(found) > 0
    check(found, (72, 96), backend)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (37, 61)])
def test_any_size_is_accepted(backend: ProposalBackend, size):
    check(backend.propose(*scene(*size)), size, backend)


def test_frame_without_flow_is_accepted(backend: ProposalBackend):
    frame, _, _ = scene(48, 64)
    check(backend.propose(frame, None, None), (48, 64), backend)


def test_grey_frame_without_motion_is_accepted(backend: ProposalBackend):
    zero = np.zeros((2, 48, 64), np.float32)
    check(backend.propose(np.full((48, 64, 3), 128, np.uint8), zero, zero), (48, 64), backend)


def test_same_video_gives_the_same_bits_whatever_came_before(backend: ProposalBackend):
    backend.begin_video("any")
    before = [backend.propose(*scene(60, 80)) for _ in range(2)]
    backend.begin_video("any")
    backend.propose(*scene(50, 50))
    backend.begin_video("any")
    again = [backend.propose(*scene(60, 80)) for _ in range(2)]
    for one, other in zip(before, again, strict=True):
        for name in ("masks", "boxes", "scores", "features"):
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name))


def test_inputs_stay_as_they_were(backend: ProposalBackend):
    inputs = scene(48, 64)
    copies = [array.copy() for array in inputs]
    backend.begin_video("any")
    backend.propose(*inputs)
    for array, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_every_feature_has_a_name_of_its_own(backend: ProposalBackend):
    assert len(set(backend.feature_names)) == backend.num_features


def test_provenance_tells_backend_and_weights(backend: ProposalBackend):
    assert backend.provenance["backend"] in EMBEDDED["proposals"]
    assert backend.provenance["weights"] is None
    json.dumps(backend.provenance)


def test_batch_gives_what_the_frames_give_one_by_one(backend: ProposalBackend):
    if not isinstance(backend, BatchProposalBackend):
        pytest.skip("takes one frame at a time")
    inputs = [scene(60, 80), (np.full((60, 80, 3), 128, np.uint8), None, None)]
    runner: Any = backend._runner  # type: ignore[attr-defined]
    runner.batch_size = 2  # as on a GPU
    try:
        together = list(backend.propose_batch(inputs))
    finally:
        runner.batch_size = 1
    assert len(together) == 2
    for found, alone in zip(together, [backend.propose(*each) for each in inputs], strict=True):
        check(found, (60, 80), backend)
        np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-3)
        rounding = 1e-3 * np.abs(alone.features).max(initial=0)  # random weights make it large
        np.testing.assert_allclose(found.features, alone.features, rtol=0, atol=rounding)
        assert (found.masks != alone.masks).mean() < 1e-3


def test_frame_of_4k_is_accepted(backend: ProposalBackend):
    size = (2160, 3840)
    found = backend.propose(*scene(*size))
    assert len(found) > 0
    check(found, size, backend)
