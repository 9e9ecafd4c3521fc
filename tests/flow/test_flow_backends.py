import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from alba.config import FlowSettings
from alba.config.backends import EMBEDDED
from alba.flow import BatchFlowBackend, FlowBackend, load_backend

BACKENDS = {
    "dis-ultrafast": {"backend": "dis", "options": {"preset": "ultrafast"}},
    "dis-fast": {"backend": "dis", "options": {"preset": "fast"}},
    "dis-medium": {"backend": "dis", "options": {"preset": "medium"}},
    "ptlflow-pwcnet": {
        "backend": "ptlflow",
        "options": {"model": "pwcnet", "checkpoint": "none", "device": "cpu"},
    },
}


def test_contract_is_held_by_every_backend_that_alba_brings():
    assert {str(settings["backend"]) for settings in BACKENDS.values()} == set(EMBEDDED["flow"])


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> FlowBackend:
    return load_backend(FlowSettings.model_validate(BACKENDS[request.param]))


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """(320, 320, 3) uint8 with detail at several scales."""
    generator = np.random.default_rng(1)
    layers = [
        cv2.resize(
            generator.uniform(0, 255, (320 // cell, 320 // cell, 3)),
            (320, 320),
            interpolation=cv2.INTER_CUBIC,
        )
        for cell in (4, 8, 32)
    ]
    return np.clip(np.mean(layers, axis=0) * 1.5 - 64, 0, 255).astype(np.uint8)


def shifted_pair(
    texture: np.ndarray, dx: int, dy: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Two windows of a texture whose content moves by (dx, dy)."""
    height, width = size
    first = texture[50 : 50 + height, 50 : 50 + width]
    second = texture[50 - dy : 50 - dy + height, 50 - dx : 50 - dx + width]
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (12, 200), (33, 47), (130, 67)])
def test_any_size_gives_a_finite_field_of_that_size(backend: FlowBackend, texture, size):
    flow = backend.flow(*shifted_pair(texture, 1, 0, size))
    assert flow.shape == (2, *size)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


def test_same_frames_give_the_same_bits_whatever_came_before(backend: FlowBackend, texture):
    pair = shifted_pair(texture, 3, 2, (90, 110))
    before = backend.flow(*pair)
    backend.flow(*shifted_pair(texture, -9, 4, (64, 64)))
    np.testing.assert_array_equal(backend.flow(*pair), before)


def test_frames_stay_as_they_were(backend: FlowBackend, texture):
    first, second = shifted_pair(texture, 2, 2, (40, 40))
    copies = first.copy(), second.copy()
    backend.flow(first, second)
    np.testing.assert_array_equal(first, copies[0])
    np.testing.assert_array_equal(second, copies[1])


def test_provenance_tells_backend_options_package_and_weights(backend: FlowBackend):
    assert backend.provenance["backend"] in EMBEDDED["flow"]
    assert backend.provenance["options"]
    assert backend.provenance["package"].split()[1][0].isdigit()
    assert backend.provenance["weights"] is None


def test_batch_gives_what_the_pairs_give_one_by_one(backend: FlowBackend, texture):
    if not isinstance(backend, BatchFlowBackend):
        pytest.skip("takes one pair at a time")
    pairs = [shifted_pair(texture, dx, 1, (40, 130)) for dx in (0, 3, -5)]
    runner: Any = backend._runner  # type: ignore[attr-defined]
    runner.batch_size = 2  # as on a GPU
    try:
        together = list(backend.flow_batch(pairs))
    finally:
        runner.batch_size = 1
    assert len(together) == 3
    for flow, pair in zip(together, pairs, strict=True):
        np.testing.assert_allclose(flow, backend.flow(*pair), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("preset", ["dis-ultrafast", "dis-fast", "dis-medium"])
@pytest.mark.parametrize(("dx", "dy"), [(5, 0), (0, -4), (-3, 7), (12, 6)])
def test_dis_finds_a_translation_with_its_direction(texture, preset, dx, dy):
    backend = load_backend(FlowSettings.model_validate(BACKENDS[preset]))
    flow = backend.flow(*shifted_pair(texture, dx, dy, (160, 192)))
    inside = flow[:, 20:-20, 20:-20]
    error = np.hypot(inside[0] - dx, inside[1] - dy)
    assert error.mean() < 0.3
    assert np.percentile(error, 95) < 0.3


def test_dis_finds_a_rotation(texture):
    turn = cv2.getRotationMatrix2D((95.5, 79.5), 3.0, 1.0)
    first = np.ascontiguousarray(texture[50:210, 50:242])
    second = cv2.warpAffine(texture[50:210, 50:242], turn, (192, 160), borderMode=cv2.BORDER_REFLECT)
    flow = load_backend(FlowSettings()).flow(first, second)
    rows, columns = np.mgrid[0:160, 0:192].astype(np.float64)
    target = np.einsum("ij,jhw->ihw", turn, np.stack([columns, rows, np.ones_like(rows)]))
    error = np.hypot(flow[0] - (target[0] - columns), flow[1] - (target[1] - rows))
    assert error[20:-20, 20:-20].mean() < 0.3


def test_dis_does_not_depend_on_the_number_of_threads_and_leaves_it(texture):
    pair = shifted_pair(texture, 6, -5, (200, 220))
    backend = load_backend(FlowSettings())
    num_threads = cv2.getNumThreads()
    try:
        fields = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            fields.append(backend.flow(*pair))
            assert cv2.getNumThreads() == count
    finally:
        cv2.setNumThreads(num_threads)
    np.testing.assert_array_equal(fields[0], fields[1])


def test_dis_of_one_colour_is_zero():
    frame = np.full((40, 60, 3), 128, np.uint8)
    assert not load_backend(FlowSettings()).flow(frame, frame).any()


def test_dis_starts_without_torch():
    script = "import sys, alba.flow, alba.flow.dis; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
