from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

import numpy as np
import pytest
import zarr
from PIL import Image

import alba.store
from alba.config import REVISIONS, FlowSettings, ProposalSettings
from alba.datasets import Video
from alba.errors import DatasetError, StoreError
from alba.flow import compute_flow
from alba.proposals import FrameInput, Proposals, compute_proposals
from alba.store import ProposalStore

SIZE = (40, 53)
COUNTS = (2, 0, 3, 1)


class Painter:
    """Backend that proposes known bars: as many in frame t as `COUNTS` says, t in the red channel."""

    num_features = 3
    feature_names = ("frame", "bar", "flow")
    provenance = {"backend": "painter", "weights": None}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.flows: list[np.ndarray | None] = []
        self.flows_backward: list[np.ndarray | None] = []

    def begin_video(self, name: str) -> None:
        self.asked.append(name)
        self.flows.clear()

    def propose(self, frame, flow_forward, flow_backward) -> Proposals:
        t = round(int(frame[0, 0, 0]) / 40)
        self.flows.append(flow_forward)
        self.flows_backward.append(flow_backward)
        n = COUNTS[t]
        masks = np.zeros((n, *SIZE), bool)
        for i in range(n):
            masks[i, 5 * i : 5 * i + 3, t : t + 20] = True
        boxes = np.float32([[t, 5 * i, t + 20, 5 * i + 3] for i in range(n)]).reshape(n, 4)
        scores = np.float32([0.9 - 0.1 * i for i in range(n)])
        features = np.float32([[t, i, 0] for i in range(n)]).reshape(n, 3)
        return Proposals(masks, boxes, scores, features)


class BatchPainter(Painter):
    """The same, in batches."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.batches: list[int] = []

    def propose_batch(self, inputs: Sequence[FrameInput]) -> Iterator[Proposals]:
        self.batches.append(len(inputs))
        return (self.propose(*each) for each in inputs)


@pytest.fixture
def video(tmp_path: Path) -> Video:
    return write_video(tmp_path, [np.full((*SIZE, 3), 40 * t, np.uint8) for t in range(4)])


@pytest.fixture
def painter(monkeypatch) -> Painter:
    painter = Painter()
    monkeypatch.setattr("alba.proposals.stage.load_backend", lambda settings: painter)
    return painter


NO_FLOW = ProposalSettings(backend="torchvision", options={"weights": "none"})
WITH_FLOW = ProposalSettings()


def write_video(folder: Path, frames: list[np.ndarray]) -> Video:
    paths = tuple(folder / f"frames/{t:05d}.png" for t in range(len(frames)))
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return Video("bars", paths)


def open_proposals(path: Path) -> ProposalStore:
    store = alba.store.open(path)
    assert isinstance(store, ProposalStore)
    return store


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_store_holds_each_frames_proposals_in_order(video: Video, painter: Painter, tmp_path: Path):
    compute_proposals(video, NO_FLOW, None, tmp_path / "cache/bars.zarr")
    store = open_proposals(tmp_path / "cache/bars.zarr")
    assert store.offsets.tolist() == [0, 2, 2, 5, 6]
    for t in range(4):
        expected = Painter().propose(video.frame(t), None, None)
        rows = store.rows(t)
        np.testing.assert_array_equal(store.frame_masks(t), expected.masks)
        np.testing.assert_array_equal(store["boxes"][rows], expected.boxes)
        np.testing.assert_array_equal(store["scores"][rows], expected.scores)
        np.testing.assert_array_equal(store["features"][rows], expected.features)


def test_backend_is_told_which_video_fills_the_frames(video: Video, painter: Painter, tmp_path: Path):
    compute_proposals(video, NO_FLOW, None, tmp_path / "own/bars.zarr")
    composite = replace(video, made_from=("street", "dog"))
    compute_proposals(composite, NO_FLOW, None, tmp_path / "made/bars.zarr")
    assert painter.asked == ["bars", "street"]


def test_zarr_alone_reads_it_with_its_provenance(video: Video, painter: Painter, tmp_path: Path):
    compute_flow(video, FlowSettings(), tmp_path / "flow.zarr")
    compute_proposals(video, WITH_FLOW, tmp_path / "flow.zarr", tmp_path / "bars.zarr")
    group = zarr.open_group(tmp_path / "bars.zarr", mode="r")
    assert np.unpackbits(group["masks"][2], axis=-1, count=53)[:3, 2:22].all()
    provenance = group.attrs["provenance"]
    assert provenance["stage"] == "proposals"
    assert provenance["revision"] == REVISIONS["proposals"]
    assert provenance["settings"] == WITH_FLOW.model_dump(mode="json")
    assert provenance["backend"] == {"backend": "painter", "weights": None}
    assert provenance["feature_names"] == ["frame", "bar", "flow"]
    assert provenance["inputs"] == {
        "video": "bars",
        "frames_digest": video.digest,
        "flow_digest": alba.store.open(tmp_path / "flow.zarr").digest,
    }


def test_backend_that_uses_flow_gets_each_frames_own(
    video: Video, painter: Painter, tmp_path: Path, monkeypatch
):
    fields = (np.full((2, *SIZE), float(n), np.float32) for n in range(1, 99))
    monkeypatch.setattr("alba.flow.dis.DisBackend.flow", lambda *_: next(fields))
    compute_flow(video, FlowSettings(), tmp_path / "flow.zarr")
    compute_proposals(video, WITH_FLOW, tmp_path / "flow.zarr", tmp_path / "bars.zarr")
    assert [float(flow[0, 0, 0]) for flow in painter.flows] == [1, 3, 5, -6]


def test_backend_that_uses_flow_gets_the_forward_alone_where_nothing_else_is_stored(
    video: Video, painter: Painter, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("alba.flow.dis.DisBackend.flow", lambda *_: np.ones((2, *SIZE), np.float32))
    compute_flow(video, FlowSettings(backward=False), tmp_path / "flow.zarr")
    compute_proposals(video, WITH_FLOW, tmp_path / "flow.zarr", tmp_path / "bars.zarr")
    assert [float(flow[0, 0, 0]) for flow in painter.flows] == [1, 1, 1, -1]
    assert painter.flows_backward == [None] * 4


@pytest.mark.parametrize("batch_size", [1, 3, 9])
def test_batches_make_the_same_store(video: Video, painter: Painter, tmp_path: Path, monkeypatch, batch_size):
    compute_proposals(video, NO_FLOW, None, tmp_path / "a.zarr")
    backend = BatchPainter(batch_size)
    monkeypatch.setattr("alba.proposals.stage.load_backend", lambda settings: backend)
    compute_proposals(video, NO_FLOW, None, tmp_path / "b.zarr")
    assert backend.batches == {1: [1] * 4, 3: [3, 1], 9: [4]}[batch_size]
    assert open_proposals(tmp_path / "b.zarr").digest == open_proposals(tmp_path / "a.zarr").digest


def test_proposals_of_few_frames_are_held_whatever_the_length(tmp_path: Path, monkeypatch):
    alive: WeakSet[Proposals] = WeakSet()
    most = [0]

    class Watched(Painter):
        def propose(self, *inputs) -> Proposals:
            found = super().propose(*inputs)
            alive.add(found)
            most[0] = max(most[0], len(alive))
            return found

    monkeypatch.setattr("alba.proposals.stage.load_backend", lambda settings: Watched())
    monkeypatch.setattr(Proposals, "__hash__", object.__hash__)
    long = write_video(tmp_path, [np.full((*SIZE, 3), 80, np.uint8)] * 30)
    compute_proposals(long, NO_FLOW, None, tmp_path / "bars.zarr")
    assert 0 < most[0] <= 5


def test_backend_that_does_not_use_flow_gets_none(video: Video, painter: Painter, tmp_path: Path):
    compute_proposals(video, NO_FLOW, tmp_path / "absent.zarr", tmp_path / "bars.zarr")
    assert painter.flows == [None] * 4


def test_video_without_any_proposal_is_whole(painter: Painter, tmp_path: Path):
    empty = write_video(tmp_path, [np.full((*SIZE, 3), 40, np.uint8)] * 3)
    compute_proposals(empty, NO_FLOW, None, tmp_path / "bars.zarr")
    store = open_proposals(tmp_path / "bars.zarr")
    assert store.offsets.tolist() == [0, 0, 0, 0]
    assert store["masks"].shape == (0, 40, 7)
    assert store["boxes"].shape == (0, 4)
    assert store["scores"].shape == (0,)
    assert store["features"].shape == (0, 3)
    assert store.frame_masks(1).shape == (0, *SIZE)


def test_grey_video_goes_through_the_default_backend(tmp_path: Path):
    grey = write_video(tmp_path, [np.full((48, 64, 3), 128, np.uint8)] * 2)
    compute_flow(grey, FlowSettings(), tmp_path / "flow.zarr")
    compute_proposals(grey, WITH_FLOW, tmp_path / "flow.zarr", tmp_path / "bars.zarr")
    store = open_proposals(tmp_path / "bars.zarr")
    assert len(store) == 2
    assert store["masks"].shape[1:] == (48, 8)
    assert store.attributes["provenance"]["backend"]["backend"] == "regions"


def test_single_frame_goes_through_without_flow(painter: Painter, tmp_path: Path):
    still = write_video(tmp_path, [np.zeros((*SIZE, 3), np.uint8)])
    compute_flow(still, FlowSettings(), tmp_path / "flow.zarr")
    compute_proposals(still, WITH_FLOW, tmp_path / "flow.zarr", tmp_path / "bars.zarr")
    assert open_proposals(tmp_path / "bars.zarr").offsets.tolist() == [0, 2]
    assert painter.flows == [None]


def test_flow_is_asked_for_where_it_is_needed(video: Video, painter: Painter, tmp_path: Path):
    with pytest.raises(StoreError, match="regions needs the flow of bars"):
        compute_proposals(video, WITH_FLOW, None, tmp_path / "cache/bars.zarr")
    with pytest.raises(StoreError, match=r"absent\.zarr is missing"):
        compute_proposals(video, WITH_FLOW, tmp_path / "absent.zarr", tmp_path / "cache/bars.zarr")
    assert left_over(tmp_path / "cache") == []


def test_flow_of_another_length_or_size_is_refused(video: Video, painter: Painter, tmp_path: Path):
    compute_flow(Video("bars", video.frame_paths[:3]), FlowSettings(), tmp_path / "short.zarr")
    with pytest.raises(StoreError, match=r"short\.zarr has 3 frames of 40 x 53 pixels.* has 4"):
        compute_proposals(video, WITH_FLOW, tmp_path / "short.zarr", tmp_path / "cache/bars.zarr")
    wide = write_video(tmp_path / "wide", [np.zeros((40, 60, 3), np.uint8)] * 4)
    compute_flow(wide, FlowSettings(), tmp_path / "wide.zarr")
    with pytest.raises(StoreError, match=r"wide\.zarr has 4 frames of 40 x 60"):
        compute_proposals(video, WITH_FLOW, tmp_path / "wide.zarr", tmp_path / "cache/bars.zarr")
    assert left_over(tmp_path / "cache") == []


def test_store_of_another_kind_is_refused_as_flow(video: Video, painter: Painter, tmp_path: Path):
    compute_proposals(video, NO_FLOW, None, tmp_path / "bars.zarr")
    with pytest.raises(StoreError, match=r"bars\.zarr holds proposals, not flow"):
        compute_proposals(video, WITH_FLOW, tmp_path / "bars.zarr", tmp_path / "cache/bars.zarr")


def test_truncated_frame_midway_leaves_nothing(video: Video, painter: Painter, tmp_path: Path):
    path = video.frame_paths[2].with_suffix(".jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    broken = Video("bars", (*video.frame_paths[:2], path, video.frame_paths[3]))
    with pytest.raises(DatasetError, match=r"00002\.jpg cannot be decoded"):
        compute_proposals(broken, NO_FLOW, None, tmp_path / "cache/bars.zarr")
    assert left_over(tmp_path / "cache") == []


def test_frame_of_another_size_is_named(video: Video, painter: Painter, tmp_path: Path):
    Image.new("RGB", (53, 41)).save(video.frame_paths[1])
    with pytest.raises(DatasetError, match=r"00001\.png is 41 x 53 pixels"):
        compute_proposals(video, NO_FLOW, None, tmp_path / "cache/bars.zarr")
    assert left_over(tmp_path / "cache") == []


def test_unwritable_cache_is_one_line(video: Video, painter: Painter, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"bars\.zarr cannot be written") as caught:
        compute_proposals(video, NO_FLOW, None, tmp_path / "cache/bars.zarr")
    assert "\n" not in str(caught.value)
