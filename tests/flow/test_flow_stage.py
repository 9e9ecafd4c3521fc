from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Barrier
from typing import ClassVar
from weakref import WeakSet

import cv2
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import alba.datasets.video
import alba.store
from alba.config import REVISIONS, FlowSettings, ProposalSettings
from alba.datasets import Video
from alba.datasets.read_ahead import read_ahead
from alba.errors import BackendError, DatasetError, StoreError
from alba.flow import FramePair, compute_flow, load_backend
from alba.flow.stage import to_steps
from alba.proposals import compute_proposals
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
    assert sorted(asked) == [0, 1, 2, 3, 4, 5]


def test_frames_are_decoded_side_by_side(video: Video, monkeypatch):
    together = Barrier(2)

    def decode(_: Video, t: int) -> int:
        together.wait(timeout=20)  # passes when a second thread comes
        return t

    monkeypatch.setattr(Video, "frame", decode)
    assert list(read_ahead(video, num_ahead=2)) == [0, 1, 2, 3, 4, 5]


class Counting:
    """Backend whose flow from frame i to frame j is (i, j) everywhere; frames are marked by their grey."""

    provenance: ClassVar = {"backend": "counting", "weights": None}

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        pair = int(first[0, 0, 0]) // 4, int(second[0, 0, 0]) // 4
        self.pairs.append(pair)
        return np.broadcast_to(np.float32(pair)[:, None, None], (2, *first.shape[:2]))


class CountingBatches(Counting):
    """The same, in batches."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.batches: list[int] = []

    def flow_batch(self, pairs: Sequence[FramePair]) -> Iterator[np.ndarray]:
        self.batches.append(len(pairs))
        return (self.flow(*pair) for pair in pairs)


@pytest.fixture
def marked(tmp_path: Path) -> Video:
    """Forty frames, frame t of grey 4 t."""
    paths = tuple(tmp_path / f"marked/{t:05d}.png" for t in range(40))
    paths[0].parent.mkdir()
    for t, path in enumerate(paths):
        Image.new("RGB", (16, 12), (4 * t,) * 3).save(path)
    return Video("marked", paths)


def compute_with(backend: Counting, video: Video, output: Path, monkeypatch, **values: object) -> FlowStore:
    monkeypatch.setattr("alba.flow.stage.load_backend", lambda settings: backend)
    return compute(video, output, **values)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 200])
def test_batches_make_the_same_store(marked: Video, tmp_path: Path, monkeypatch, batch_size):
    one_by_one = compute_with(Counting(), marked, tmp_path / "a.zarr", monkeypatch)
    backend = CountingBatches(batch_size)
    in_batches = compute_with(backend, marked, tmp_path / "b.zarr", monkeypatch)
    assert in_batches.digest == one_by_one.digest
    assert max(backend.batches) == min(batch_size, 2 * 39)
    assert sum(backend.batches) == 2 * 39
    assert in_batches.forward(7)[:, 0, 0].tolist() == [7, 8]
    assert in_batches.backward(7)[:, 0, 0].tolist() == [7, 6]


def test_batch_may_shrink_midway(marked: Video, tmp_path: Path, monkeypatch):
    class Shrinking(CountingBatches):
        def flow_batch(self, pairs: Sequence[FramePair]) -> Iterator[np.ndarray]:
            yield from super().flow_batch(pairs)
            self.batch_size = 3

    backend = Shrinking(8)
    store = compute_with(backend, marked, tmp_path / "b.zarr", monkeypatch)
    assert backend.batches == [8, *[3] * 23, 1]
    assert store.forward(38)[:, 0, 0].tolist() == [38, 39]


def test_forward_alone_needs_half_the_work_and_the_last_frame_is_as_ever(
    marked: Video, tmp_path: Path, monkeypatch
):
    both = compute_with(Counting(), marked, tmp_path / "a.zarr", monkeypatch)
    backend = Counting()
    alone = compute_with(backend, marked, tmp_path / "b.zarr", monkeypatch, backward=False)
    assert backend.pairs == [*((t, t + 1) for t in range(39)), (39, 38)]
    np.testing.assert_array_equal(alone["forward"][:], both["forward"][:])
    assert sorted(alone.group.array_keys()) == ["forward"]
    assert not alone.has_backward
    assert list(alone.window(3, 5)) == ["forward"]
    alone.verify()
    with pytest.raises(StoreError, match=r"b\.zarr holds no backward flow: make it with flow.backward: true"):
        alone.backward(0)


def test_forward_alone_of_a_single_frame_is_zero(video: Video, tmp_path: Path):
    store = compute(Video("still", video.frame_paths[:1]), tmp_path / "still.zarr", backward=False)
    assert not store.forward(0).any()


def test_backward_flow_is_named_in_the_key_only_where_it_is_left_out():
    assert "backward" not in FlowSettings().model_dump()
    assert FlowSettings(backward=False).model_dump()["backward"] is False


def test_few_frames_are_held_whatever_the_length(marked: Video, tmp_path: Path, monkeypatch):
    alive: WeakSet[Frame] = WeakSet()
    most = [0]
    read = Video.frame

    def tracked(video: Video, t: int) -> Frame:
        frame = read(video, t).view(Frame)
        alive.add(frame)
        return frame

    class Watching(CountingBatches):
        def flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
            most[0] = max(most[0], len(alive))
            return super().flow(first, second)

    monkeypatch.setattr(Video, "frame", tracked)
    compute_with(Watching(3), marked, tmp_path / "b.zarr", monkeypatch)
    assert 0 < most[0] <= 3 * 3 + 4


class Frame(np.ndarray):
    """A frame that can be counted by identity."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return self is other


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2160, 3840)])
def test_frames_of_one_pixel_and_of_4k(tmp_path: Path, size):
    paths = []
    for t in range(2):
        paths.append(tmp_path / f"{t:05d}.bmp")
        grey = np.roll(np.add.outer(np.arange(size[0]) // 9 * 40, np.arange(size[1]) // 9 * 90), 3 * t, 1)
        Image.fromarray(np.repeat(grey.astype(np.uint8)[..., None], 3, 2)).save(paths[-1])
    video = Video("odd", tuple(paths))
    store = compute(video, tmp_path / "odd.zarr", options={"preset": "ultrafast"})
    assert store["backward"].shape == (2, 2, *size)
    proposals = ProposalSettings()
    compute_proposals(video, proposals, tmp_path / "odd.zarr", tmp_path / "proposals/odd.zarr")
    found = alba.store.open(tmp_path / "proposals/odd.zarr")
    assert found.size == size
    assert len(found) == 2


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
