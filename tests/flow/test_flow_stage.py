from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import alba.datasets.video
import alba.store
from alba.config import REVISIONS, FlowSettings
from alba.datasets import Video
from alba.datasets.read_ahead import read_ahead
from alba.errors import BackendError, DatasetError, StoreError
from alba.flow import compute_flow, load_backend
from alba.flow.stage import to_steps
from alba.store import FlowStore
from alba.store.schema import FLOW_STEP


@pytest.fixture
def video(tmp_path: Path) -> Video:
    """Six frames of a texture that moves by (2, 1) a frame."""
    generator = np.random.default_rng(0)
    texture = cv2.resize(
        generator.integers(0, 256, (25, 25, 3), np.uint8), (200, 200), interpolation=cv2.INTER_CUBIC
    )
    paths = []
    for t in range(6):
        path = tmp_path / "frames" / f"{t:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(texture[50 - t : 98 - t, 50 - 2 * t : 114 - 2 * t]).save(path, quality=95)
        paths.append(path)
    return Video("moving", tuple(paths))


def compute(video: Video, output: Path, **values: object) -> FlowStore:
    compute_flow(video, FlowSettings.model_validate(values), output)
    store = alba.store.open(output)
    assert isinstance(store, FlowStore)
    return store


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_store_holds_the_backends_flow_both_ways_to_a_64th_of_a_pixel(video: Video, tmp_path: Path):
    store = compute(video, tmp_path / "cache/moving.zarr")
    backend = load_backend(FlowSettings())
    assert len(store) == 6
    assert store.size == (48, 64)
    for t in range(5):
        forward = backend.flow(video.frame(t), video.frame(t + 1))
        backward = backend.flow(video.frame(t + 1), video.frame(t))
        assert np.abs(store.forward(t) - forward).max() <= FLOW_STEP / 2
        assert np.abs(store.backward(t + 1) - backward).max() <= FLOW_STEP / 2
    assert np.abs(np.median(store.forward(2), axis=(1, 2)) - (2, 1)).max() < 0.1
    assert np.abs(np.median(store.backward(2), axis=(1, 2)) - (-2, -1)).max() < 0.1


def test_ends_are_the_negated_flow_of_the_other_direction(video: Video, tmp_path: Path):
    store = compute(video, tmp_path / "moving.zarr")
    np.testing.assert_array_equal(store.forward(5), -store.backward(5))
    np.testing.assert_array_equal(store.backward(0), -store.forward(0))
    assert store.forward(5).any()


def test_zarr_alone_reads_it_with_its_provenance(video: Video, tmp_path: Path):
    compute(video, tmp_path / "moving.zarr", options={"preset": "fast"})
    group = zarr.open_group(tmp_path / "moving.zarr", mode="r")
    assert group["forward"].dtype == np.int16
    assert group["forward"].attrs["scale_factor"] == FLOW_STEP
    provenance = group.attrs["provenance"]
    assert provenance["stage"] == "flow"
    assert provenance["revision"] == REVISIONS["flow"]
    assert provenance["settings"] == {"backend": "dis", "options": {"preset": "fast"}}
    assert provenance["backend"]["options"] == {"preset": "fast"}
    assert provenance["inputs"] == {"video": "moving", "frames_digest": video.digest}


def test_same_video_gives_the_same_store(video: Video, tmp_path: Path):
    first = compute(video, tmp_path / "a.zarr")
    assert compute(video, tmp_path / "b.zarr").digest == first.digest


def test_network_backend_fills_the_same_store(video: Video, tmp_path: Path):
    options = {"model": "pwcnet_nodc", "checkpoint": "none", "device": "cpu"}
    store = compute(
        Video("short", video.frame_paths[:2]), tmp_path / "short.zarr", backend="ptlflow", options=options
    )
    assert store["forward"].shape == (2, 2, 48, 64)
    assert store.attributes["provenance"]["backend"]["options"].items() >= options.items()


def test_single_frame_has_zero_flow(video: Video, tmp_path: Path):
    store = compute(Video("still", video.frame_paths[:1]), tmp_path / "still.zarr")
    assert store["forward"].shape == store["backward"].shape == (1, 2, 48, 64)
    assert not store.forward(0).any()
    assert not store.backward(0).any()


def test_truncated_frame_midway_leaves_nothing(video: Video, tmp_path: Path):
    broken = video.frame_paths[3]
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"00003\.jpg cannot be decoded"):
        compute(video, tmp_path / "cache/moving.zarr")
    assert left_over(tmp_path / "cache") == []


def test_failure_also_removes_the_store_of_an_earlier_run(video: Video, tmp_path: Path):
    compute(video, tmp_path / "cache/moving.zarr")
    video.frame_paths[4].write_bytes(b"")
    with pytest.raises(DatasetError, match=r"00004\.jpg"):
        compute(video, tmp_path / "cache/moving.zarr")
    assert left_over(tmp_path / "cache") == []


def test_missing_frame_is_named(video: Video, tmp_path: Path):
    video.frame_paths[2].unlink()
    with pytest.raises(DatasetError, match=r"00002\.jpg is missing"):
        compute(video, tmp_path / "cache/moving.zarr")
    assert left_over(tmp_path / "cache") == []


def test_frame_of_another_size_is_named(video: Video, tmp_path: Path):
    Image.new("RGB", (64, 50)).save(video.frame_paths[5])
    with pytest.raises(DatasetError, match=r"00005\.jpg is 50 x 64 pixels"):
        compute(video, tmp_path / "cache/moving.zarr")
    assert left_over(tmp_path / "cache") == []


def test_unwritable_cache_is_one_line(video: Video, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"moving\.zarr cannot be written") as caught:
        compute(video, tmp_path / "cache/moving.zarr")
    assert "\n" not in str(caught.value)


def test_flow_that_is_not_finite_is_refused(video: Video, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("alba.flow.dis.DisBackend.flow", lambda *_: np.full((2, 48, 64), np.nan, np.float32))
    with pytest.raises(BackendError, match=r"00000\.jpg is not finite"):
        compute(video, tmp_path / "cache/moving.zarr")
    assert left_over(tmp_path / "cache") == []


def test_every_frame_is_decoded_once(video: Video, tmp_path: Path, monkeypatch):
    decoded: Counter[Path] = Counter()
    read = alba.datasets.video.read_frame

    def counting(path: Path) -> np.ndarray:
        decoded[path] += 1
        return read(path)

    assert video.size == (48, 64)  # decodes the first frame, once for the lifetime of the video
    monkeypatch.setattr(alba.datasets.video, "read_frame", counting)
    compute(video, tmp_path / "moving.zarr")
    assert decoded == dict.fromkeys(video.frame_paths, 1)


def test_reading_ahead_holds_few_frames_and_keeps_their_order(video: Video, monkeypatch):
    asked = []
    monkeypatch.setattr(Video, "frame", lambda _, t: asked.append(t) or t)
    frames = read_ahead(video, num_ahead=2)
    assert next(frames) == 0
    assert len(asked) <= 3
    assert list(frames) == [1, 2, 3, 4, 5]
    assert asked == [0, 1, 2, 3, 4, 5]


@given(st.floats(-1023, 1023, width=32))
def test_steps_are_the_nearest(pixels: float):
    steps = to_steps(np.float32([pixels]))
    assert steps.dtype == np.int16
    assert abs(float(steps[0]) * FLOW_STEP - pixels) <= FLOW_STEP / 2


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_any_step_can_be_negated(pixels: float):
    steps = to_steps(np.float32([pixels]))
    assert int((-steps)[0]) == -int(steps[0])
    if abs(pixels) > 1024:
        assert abs(int(steps[0])) == 32767
