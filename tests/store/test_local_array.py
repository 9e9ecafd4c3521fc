"""What is read without Zarr is what Zarr reads, for every store that alba writes, and damage is noticed."""

import pickle
import struct
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, GzipCodec, ZstdCodec

import alba.store
from alba.errors import StoreError
from alba.masks import pack_masks, unpack_masks
from alba.store import SCHEMAS, StoreWriter
from alba.store.local_array import open_local

SIZE = (9, 13)
NUM_FRAMES = 150


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    """Proposals in three shards, the last chunk part full, some frames without any; three shards of flow."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 30, NUM_FRAMES)
    counts[[0, 70, 71, NUM_FRAMES - 1]] = 0
    root, edges = tmp_path_factory.mktemp("ragged"), np.cumsum([0, *counts])
    with StoreWriter(root / "proposals.zarr", SCHEMAS["proposals"], SIZE, {}) as writer:
        writer.append("frame_offsets", edges)
        for start, stop in pairwise(edges):
            writer.append("masks", pack_masks(rng.random((stop - start, *SIZE)) < 0.4))
        writer.append("boxes", rng.random((edges[-1], 4), np.float32))
        writer.append("scores", rng.random(edges[-1], np.float32))
        writer.append("features", rng.random((edges[-1], 3), np.float32))
    with StoreWriter(root / "flow.zarr", SCHEMAS["flow"], SIZE, {}) as writer:
        for name in ("forward", "backward"):
            writer.append(name, rng.integers(-(2**15), 2**15, (NUM_FRAMES, 2, *SIZE), np.int16))
    stores = {kind: alba.store.open(root / f"{kind}.zarr") for kind in ("proposals", "flow")}
    for store, name in ((stores["proposals"], "masks"), (stores["flow"], "forward")):
        array = store[name]
        assert array.shape[0] > 2 * array.shards[0]
        assert array.shape[0] % array.chunks[0]
    return stores


@pytest.mark.parametrize("kind", [*SCHEMAS])
def test_no_array_that_alba_writes_needs_zarr(written, kind, monkeypatch):
    store = alba.store.open(written.path(kind))
    monkeypatch.setattr(zarr.Group, "__getitem__", None)
    for name, values in written.arrays[kind].items():
        np.testing.assert_array_equal(store.read(name), values)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_range_and_row_is_what_zarr_reads(ragged, data):
    others = [(kind, name) for kind in ragged for name in ragged[kind].schema.arrays if name != "masks"]
    kind, name = data.draw(st.just(("proposals", "masks")) | st.sampled_from(others))
    store = ragged[kind]
    stored = store[name]
    edge = st.none() | st.integers(-stored.shape[0] - 3, stored.shape[0] + 3)
    row = st.integers(-stored.shape[0], stored.shape[0] - 1)
    rows = data.draw(row | st.builds(slice, edge, edge, st.sampled_from([None, 1, 7])))
    expected = np.asarray(stored[:])[rows]
    if name == "masks":
        expected = unpack_masks(expected, SIZE[1])
    found = store.read(name, rows)
    assert found.shape == expected.shape
    assert found.flags.writeable
    factor = stored.attrs.get("scale_factor")
    np.testing.assert_array_equal(found, expected if factor is None else expected * np.float32(factor))


def test_masks_of_every_frame_are_what_zarr_reads(ragged):
    store = ragged["proposals"]
    bits, edges = store["masks"][:], store["frame_offsets"][:]
    assert (np.diff(edges) == 0).sum() >= 4
    for t in range(NUM_FRAMES):
        masks = unpack_masks(bits[edges[t] : edges[t + 1]], SIZE[1])
        np.testing.assert_array_equal(store.frame_masks(t), masks)


def test_threads_read_one_store_at_once(ragged):
    store = alba.store.open(ragged["proposals"].address)
    expected = [masks.sum() for masks in map(ragged["proposals"].frame_masks, range(NUM_FRAMES))]
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda t: store.frame_masks(t % NUM_FRAMES), range(4 * NUM_FRAMES)):
            assert found.sum() == expected[0]
            expected.append(expected.pop(0))


def test_an_open_store_can_be_pickled(ragged):
    store = ragged["proposals"]
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.frame_masks(3), store.frame_masks(3))


@pytest.mark.parametrize(
    "layout",
    [
        {"compressors": GzipCodec()},
        {"compressors": None},
        {"compressors": [ZstdCodec(), GzipCodec()]},
        {"serializer": BytesCodec(endian="big")},
        {"chunks": (2, 2, 3, 13)},
        {"chunks": (2, 2, 3, 13), "shards": (4, 2, 9, 13)},
        {"shards": (4, 4, 9, 13)},
        {"shards": {"shape": (4, 2, 9, 13), "index_location": "start"}},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"chunk_key_encoding": {"name": "default", "separator": "."}},
    ],
    ids=str,
)
def test_arrays_laid_out_by_others_are_read_by_zarr(own, layout):
    path, values = own.path("flow"), own.arrays["flow"]["forward"]
    steps = (values * 32).astype(np.int16)
    group = zarr.open_group(path, mode="r+")
    group.create_array(
        "forward",
        data=steps,
        overwrite=True,
        **{"chunks": (2, *steps.shape[1:]), "compressors": ZstdCodec(), **layout},
    )
    assert open_local(path / "forward", "int16") is None
    store = alba.store.open(path)
    np.testing.assert_array_equal(store.forward(slice(1, 4)), values[1:4])
    np.testing.assert_array_equal(store.backward(2), own.arrays["flow"]["backward"][2])


def test_files_of_one_chunk_may_have_no_index(own):
    path, values = own.path("flow"), own.arrays["flow"]["forward"]
    steps = (values * 32).astype(np.int16)
    group = zarr.open_group(path, mode="r+")
    group.create_array(
        "forward", data=steps, overwrite=True, chunks=(3, *steps.shape[1:]), compressors=ZstdCodec()
    )
    assert open_local(path / "forward", "int16") is not None
    np.testing.assert_array_equal(alba.store.open(path).forward(slice(1, 4)), values[1:4])


def masks_file(path):
    return path / "masks/c/0/0/0"


@pytest.mark.parametrize("name", ["masks", "scores"])
def test_whatever_byte_is_wrong_it_is_noticed_as_zarr_does(own, name):
    """Neither compressor has a checksum here, so that some bytes change values, which `verify` would tell."""
    path = own.path("proposals")
    store = alba.store.open(path)
    [file] = [file for file in (path / name / "c").rglob("*") if file.is_file()]
    content, stored, num_noticed = file.read_bytes(), store[name], 0
    for position in range(0, len(content), 2):
        file.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        try:
            expected = stored[:]
        except (RuntimeError, ValueError):
            num_noticed += 1
            with pytest.raises(StoreError, match=f"array {name} of .*bear.zarr is damaged") as caught:
                store.read(name)
            assert str(file) in str(caught.value)
        else:
            decoded = unpack_masks(expected, SIZE[1]) if name == "masks" else expected
            np.testing.assert_array_equal(store.read(name), decoded)
    assert num_noticed > len(content) // 4


@pytest.mark.parametrize("kept", [0, 4, 100, -200, -1])
def test_a_file_that_was_cut_off_is_damage(own, kept):
    file = masks_file(own.path("proposals"))
    file.write_bytes(file.read_bytes()[:kept])
    store = alba.store.open(own.path("proposals"))
    with pytest.raises(StoreError, match=r"array masks of .*bear\.zarr is damaged") as caught:
        store.frame_masks(0)
    assert str(file) in str(caught.value)
    assert "make it again" in caught.value.remedy
    assert store.frame_masks(1).shape == (0, *SIZE)
    assert store.read("scores").shape == (9,)


def test_a_file_that_is_missing_is_damage(own):
    file = masks_file(own.path("proposals"))
    file.unlink()
    with pytest.raises(StoreError, match="array masks of") as caught:
        alba.store.open(own.path("proposals")).frame_masks(0)
    assert str(file) in str(caught.value)


def test_a_chunk_that_the_index_does_not_know_is_damage_not_zeros(own):
    file = masks_file(own.path("proposals"))
    content = bytearray(file.read_bytes())
    size = 16 * 16
    index = content[-size - 4 : -4]
    index[:16] = bytes([0xFF] * 16)
    content[-size - 4 :] = index + struct.pack("<I", google_crc32c.value(bytes(index)))
    file.write_bytes(content)
    store = alba.store.open(own.path("proposals"))
    assert not store["masks"][:].any()
    with pytest.raises(StoreError, match="a chunk is missing"):
        store.frame_masks(0)
