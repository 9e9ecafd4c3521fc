"""One store of every kind, small, and what was written into it."""

from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import numpy as np
import pytest
from numpy.typing import NDArray

from alba.masks import pack_masks
from alba.store import SCHEMAS, StoreWriter

SIZE = (9, 13)
COUNTS = (3, 0, 2, 4)
"""Proposals of each frame."""


@dataclass
class Written:
    """Stores ``<kind>/bear.zarr`` under a folder, and the arrays that went in, decoded."""

    root: Path
    arrays: dict[str, dict[str, NDArray]] = field(default_factory=dict)

    def path(self, kind):
        return self.root / kind / "bear.zarr"

    def write(self, kind, stored, decoded):
        with StoreWriter(self.path(kind), SCHEMAS[kind], SIZE, {"stage": kind}) as writer:
            for name, values in stored.items():
                writer.append(name, values)
        self.arrays[kind] = {**stored, **decoded}


def write_all(root, seed=0):
    rng = np.random.default_rng(seed)
    num_frames, num_proposals = len(COUNTS), sum(COUNTS)
    written = Written(root)

    steps = {
        name: rng.integers(-3000, 3000, (num_frames, 2, *SIZE), np.int16) for name in ("forward", "backward")
    }
    written.write("flow", steps, {name: values.astype(np.float32) / 32 for name, values in steps.items()})

    masks = rng.random((num_proposals, *SIZE)) < 0.4
    proposals = {
        "frame_offsets": np.cumsum([0, *COUNTS]),
        "masks": pack_masks(masks),
        "boxes": rng.random((num_proposals, 4), np.float32),
        "scores": rng.random(num_proposals, np.float32),
        "features": rng.random((num_proposals, 3), np.float32),
    }
    written.write("proposals", proposals, {"masks": masks})

    labels = {
        "object_ids": np.array([1, 2], np.uint8),
        "iou": rng.random((num_proposals, 2), np.float32),
        "selected": rng.random(num_proposals) < 0.5,
        "oracle_object": rng.integers(0, 3, num_proposals, np.uint8),
        "oracle_segmentation": rng.integers(0, 3, (num_frames, *SIZE), np.uint8),
        "ground_truth": rng.integers(0, 3, (num_frames, *SIZE), np.uint8),
    }
    written.write("labels", labels, {})

    segmentation = {
        "label_maps": rng.integers(0, 3, (num_frames, *SIZE), np.uint8),
        "selection": rng.random(num_proposals, np.float32),
        "slot": rng.integers(0, 3, num_proposals, np.uint8),
    }
    written.write("segmentation", segmentation, {})
    return written


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """To be read only."""
    return write_all(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def own(tmp_path):
    """To be damaged."""
    return write_all(tmp_path)


@pytest.fixture(autouse=True)
def empty_memory():
    """Nothing stays in fsspec's memory file system from one test to the next."""
    yield
    files = fsspec.filesystem("memory")
    if files.exists("/"):
        for path in files.ls("/", detail=False):
            files.rm(path, recursive=True)
