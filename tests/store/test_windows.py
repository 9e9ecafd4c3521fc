"""Windows of frames as a torch Dataset, over many stores, in worker processes, collated."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, StackDataset

from alba.errors import StoreError
from alba.store import SCHEMAS, StoreWriter
from alba.store.windows import WindowDataset


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    """Flow stores of 7, 2 and 5 frames; every value names its store and frame."""
    root = tmp_path_factory.mktemp("flows")
    paths = []
    for which, num_frames in enumerate((7, 2, 5)):
        paths.append(root / f"{which}.zarr")
        with StoreWriter(paths[-1], SCHEMAS["flow"], (4, 6), {}) as writer:
            for t in range(num_frames):
                for name in ("forward", "backward"):
                    writer.append(name, np.full((1, 2, 4, 6), 32 * (10 * which + t), np.int16))
    return paths


def frames_of(item):
    return item["forward"][:, 0, 0, 0].int().tolist()


def test_every_whole_window_of_every_store_comes_once(flows):
    windows = WindowDataset(flows, length=3, step=2)
    assert [frames_of(windows[i]) for i in range(len(windows))] == [
        [0, 1, 2],
        [2, 3, 4],
        [4, 5, 6],
        [20, 21, 22],
        [22, 23, 24],
    ]
    assert [(windows[i]["store"], windows[i]["start"]) for i in (2, 3)] == [(0, 4), (2, 0)]
    with pytest.raises(IndexError):
        windows[5]
    assert len(WindowDataset([], length=3)) == 0
    assert len(WindowDataset(flows)) == 14


def test_windows_collate_in_worker_processes(flows):
    windows = WindowDataset(flows, length=2, step=2, names=["forward"])
    windows[0]  # what this process has read must not hold up its children
    loader = DataLoader(windows, batch_size=2, num_workers=1, multiprocessing_context="fork")
    batches = list(loader)
    assert [batch["forward"].shape for batch in batches] == [(2, 2, 2, 4, 6)] * 3
    assert batches[0]["forward"].dtype == torch.float32
    assert [batch["store"].tolist() for batch in batches] == [[0, 0], [0, 1], [2, 2]]


def test_what_a_worker_gets_is_small_and_opens_stores_anew(flows):
    windows = WindowDataset(flows, length=2)
    windows[0]
    bytes_ = pickle.dumps(windows)
    assert len(bytes_) < 2000
    assert frames_of(pickle.loads(bytes_)[7]) == [20, 21]


def test_proposals_are_ragged_or_padded(written):
    arrays = written.arrays["proposals"]
    path = written.path("proposals")
    ragged = WindowDataset([path], length=2)[2]
    assert ragged["frame_offsets"].tolist() == [0, 2, 6]
    np.testing.assert_array_equal(ragged["masks"], arrays["masks"][3:9])

    padded = WindowDataset([path], length=2, max_proposals=3, names=["masks", "scores"])
    item = padded[2]
    assert item["num_proposals"].tolist() == [2, 3]
    assert item["masks"].shape == (2, 3, 9, 13)
    assert item["masks"].dtype == torch.bool
    np.testing.assert_array_equal(item["scores"][0], [*arrays["scores"][3:5], 0])
    np.testing.assert_array_equal(item["scores"][1], arrays["scores"][5:8])
    assert not item["masks"][0, 2].any()
    batch = next(iter(DataLoader(padded, batch_size=3)))
    assert batch["masks"].shape == (3, 2, 3, 9, 13)


def test_kinds_of_the_same_videos_go_side_by_side(written):
    both = StackDataset(
        flow=WindowDataset([written.path("flow")], length=2),
        proposals=WindowDataset([written.path("proposals")], length=2, max_proposals=4),
    )
    item = both[1]
    assert item["flow"]["start"] == item["proposals"]["start"] == 1
    np.testing.assert_array_equal(item["flow"]["forward"], written.arrays["flow"]["forward"][1:3])


def test_wrong_arguments(flows, tmp_path):
    for wrong in ({"length": 0}, {"step": 0}, {"max_proposals": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            WindowDataset(flows, **wrong)
    with pytest.raises(StoreError):
        WindowDataset([tmp_path / "none.zarr"])


def test_reading_stores_loads_no_torch(written):
    code = f"""
import sys, alba.store
alba.store.open({str(written.path("proposals"))!r}).frame_masks(0)
print("torch" in sys.modules, "xarray" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
