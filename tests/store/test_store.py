"""Stores are published whole or not at all, and anyone can read them."""

import numpy as np
import pytest
import zarr

import alba.store
from alba.errors import StoreError
from alba.masks import pack_masks
from alba.store import FLOW, PROPOSALS, StoreWriter, publish_folder, ready_path

SIZE = (9, 13)


def write_proposals(path, counts, seed=0):
    rng = np.random.default_rng(seed)
    masks = rng.random((sum(counts), *SIZE)) < 0.4
    with StoreWriter(path, PROPOSALS, SIZE, {"stage": "proposals"}) as writer:
        writer.append("frame_offsets", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        writer.append("masks", pack_masks(masks))
        writer.append("boxes", np.zeros((len(masks), 4), np.float32))
        writer.append("scores", np.ones(len(masks), np.float32))
        writer.append("features", np.zeros((len(masks), 3), np.float32))
    return masks


def test_masks_come_back_by_frame(tmp_path):
    masks = write_proposals(tmp_path / "a.zarr", [3, 0, 2])
    store = alba.store.open(tmp_path / "a.zarr")
    assert len(store) == 3
    np.testing.assert_array_equal(store.frame_masks(0), masks[:3])
    assert store.frame_masks(1).shape == (0, *SIZE)
    np.testing.assert_array_equal(store.frame_masks(2), masks[3:])


def test_zarr_alone_reads_a_store_as_documented(tmp_path):
    masks = write_proposals(tmp_path / "a.zarr", [3, 0, 2])
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    first, last = group["frame_offsets"][2:4]
    bits = group["masks"][first:last]
    read = np.unpackbits(bits, axis=-1, count=group.attrs["width"]).astype(bool)
    np.testing.assert_array_equal(read, masks[3:])
    assert group["masks"].metadata.dimension_names == ("proposal", "row", "packed_column")


def test_appending_in_pieces_equals_appending_at_once(tmp_path):
    flow = np.arange(70 * 2 * SIZE[0] * SIZE[1], dtype=np.int16).reshape(70, 2, *SIZE)
    for name, step in (("once", 70), ("pieces", 7)):
        with StoreWriter(tmp_path / f"{name}.zarr", FLOW, SIZE, {}) as writer:
            for start in range(0, 70, step):
                writer.append("forward", flow[start : start + step])
                writer.append("backward", -flow[start : start + step])
    once, pieces = (alba.store.open(tmp_path / f"{name}.zarr") for name in ("once", "pieces"))
    np.testing.assert_array_equal(pieces["forward"][:], flow)
    assert once.digest == pieces.digest


def write_flow(path, num_forward, num_backward, failure=None):
    with StoreWriter(path, FLOW, SIZE, {}) as writer:
        writer.append("forward", np.zeros((num_forward, 2, *SIZE), np.int16))
        if failure:
            raise failure
        writer.append("backward", np.zeros((num_backward, 2, *SIZE), np.int16))


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        write_flow(tmp_path / "a.zarr", 1, 1, RuntimeError())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rerun_does_not_announce_the_old_store(tmp_path):
    path = tmp_path / "a.zarr"
    write_proposals(path, [1])
    with pytest.raises(RuntimeError), StoreWriter(path, PROPOSALS, SIZE, {}):
        raise RuntimeError
    assert not ready_path(path).exists()


def test_what_is_written_anew_can_be_read_until_then(tmp_path):
    path = tmp_path / "model"
    for content in ("old", "new"):
        with publish_folder(path, "it.txt") as partial:
            before = (path / "it.txt").read_text() if path.is_dir() else ""
            (partial / "it.txt").write_text(before + content)
    assert (path / "it.txt").read_text() == "oldnew"


@pytest.mark.parametrize("name", ["thesis", "frames.zarr"])
def test_a_folder_of_something_else_is_not_written_over(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "00000.png").write_text("precious")
    with pytest.raises(StoreError, match="was not made by alba"):
        write_proposals(tmp_path / name, [1])
    assert (tmp_path / name / "00000.png").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_not_written_over(tmp_path):
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(StoreError, match="notes is there and was not made by alba"):
        write_proposals(tmp_path / "notes", [1])
    assert (tmp_path / "notes").read_text() == "precious"


def test_an_empty_folder_and_an_own_store_without_its_marker_are_written_over(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/.snakemake_timestamp").write_text("")
    for _ in range(2):
        write_proposals(tmp_path / "a.zarr", [1])
        ready_path(tmp_path / "a.zarr").unlink()


def test_arrays_of_different_length_are_refused(tmp_path):
    with pytest.raises(StoreError, match="axis frame"):
        write_flow(tmp_path / "a.zarr", 2, 1)
    assert list(tmp_path.iterdir()) == []


def test_stale_partial_is_removed(tmp_path):
    (tmp_path / "a.zarr.partial").mkdir()
    (tmp_path / "a.zarr.partial" / "rubbish").write_text("x")
    write_proposals(tmp_path / "a.zarr", [1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ready.json", "a.zarr"]
    assert not (tmp_path / "a.zarr" / "rubbish").exists()


def test_unwritable_place_and_foreign_groups_are_one_line_errors(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_proposals(tmp_path / "file" / "a.zarr", [1])
    with pytest.raises(StoreError, match="missing"):
        alba.store.open(tmp_path / "none.zarr")
    zarr.open_group(tmp_path / "foreign.zarr", mode="w")
    with pytest.raises(StoreError, match="no store of alba"):
        alba.store.open(tmp_path / "foreign.zarr")
