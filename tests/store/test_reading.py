"""Every kind of store is read by array, frame, window and proposal, from a path or a URL, or by zarr."""

import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from zarr.storage import FsspecStore, LocalStore

import alba.store
from alba.errors import StoreError
from alba.store import SCHEMAS, StoreWriter, local_array

KINDS = tuple(SCHEMAS)


@pytest.fixture(params=["path", "text", "URL", "URL of a path"])
def address(request, written, tmp_path):
    """Where the stores are, in every way to say it; copied into memory for the URL."""

    def at(kind):
        path = written.path(kind)
        if request.param == "URL":
            files = fsspec.filesystem("memory")
            files.put(str(path.parent), f"/bucket/{kind}", recursive=True)
            return f"memory://bucket/{kind}/bear.zarr"
        if request.param == "URL of a path":
            return path.as_uri()
        return path if request.param == "path" else str(path)

    return at


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_comes_back_decoded(address, written, kind):
    store = alba.store.open(address(kind))
    assert (store.schema_name, len(store), store.size) == (kind, 4, (9, 13))
    assert set(written.arrays[kind]) == set(store.schema.arrays)
    for name, values in written.arrays[kind].items():
        read = store.read(name)
        assert read.dtype == values.dtype == np.dtype(store.schema.arrays[name].decoded_dtype)
        np.testing.assert_array_equal(read, values)
    store.verify()


@pytest.mark.parametrize("kind", KINDS)
def test_zarr_alone_finds_what_the_schema_says(written, kind):
    group = zarr.open_group(written.path(kind), mode="r")
    assert (group.attrs["schema"], group.attrs["height"], group.attrs["width"]) == (kind, 9, 13)
    assert set(group.array_keys()) == set(SCHEMAS[kind].arrays)
    for name, spec in SCHEMAS[kind].arrays.items():
        array, values = group[name], group[name][:]
        assert array.metadata.dimension_names == spec.axes
        assert array.attrs["units"] == spec.units
        assert array.attrs["description"] == spec.description
        if name == "masks":
            values = np.unpackbits(values, axis=-1, count=13).astype(bool)
        values = values * np.float32(array.attrs["scale_factor"]) if "scale_factor" in array.attrs else values
        np.testing.assert_array_equal(values, written.arrays[kind][name])


def test_frames_and_windows_of_flow(written):
    store, arrays = alba.store.open(written.path("flow")), written.arrays["flow"]
    frame, window = store.frame(2), store.window(1, 3, ["backward"])
    assert (set(frame), set(window)) == ({"forward", "backward"}, {"backward"})
    np.testing.assert_array_equal(frame["forward"], arrays["forward"][2])
    np.testing.assert_array_equal(window["backward"], arrays["backward"][1:3])
    np.testing.assert_array_equal(store.forward(slice(1, 4)), arrays["forward"][1:4])


def test_frames_windows_and_single_proposals(written):
    store, arrays = alba.store.open(written.path("proposals")), written.arrays["proposals"]
    window = store.window(1, 4)
    np.testing.assert_array_equal(window.pop("frame_offsets"), [0, 0, 2, 6])
    for name, values in window.items():
        np.testing.assert_array_equal(values, arrays[name][3:9])
        np.testing.assert_array_equal(store.frame(2)[name], arrays[name][3:5])
        np.testing.assert_array_equal(store.proposal(4)[name], arrays[name][4])
    assert store.frame(1)["masks"].shape == (0, 9, 13)
    assert [store.frame_of(i) for i in range(9)] == [0, 0, 0, 2, 2, 3, 3, 3, 3]


def test_what_labels_and_decisions_say_of_a_frame(written):
    rows = alba.store.open(written.path("proposals")).rows(2)
    labels = alba.store.open(written.path("labels"))
    assert set(labels.frame(2)) == {"oracle_segmentation", "ground_truth"}
    of_proposals = labels.proposals(rows)
    assert set(of_proposals) == {"iou", "selected", "oracle_object"}
    np.testing.assert_array_equal(of_proposals["iou"], written.arrays["labels"]["iou"][3:5])
    segmentation = alba.store.open(written.path("segmentation"))
    assert segmentation.proposals(rows, ["slot"])["slot"].shape == (2,)
    np.testing.assert_array_equal(
        segmentation.frame(3)["label_maps"], written.arrays["segmentation"]["label_maps"][3]
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda flow, proposals: flow.frame(4),
        lambda flow, proposals: flow.frame(-1),
        lambda flow, proposals: flow.window(2, 5),
        lambda flow, proposals: proposals.rows(-1),
        lambda flow, proposals: proposals.frame_masks(4),
        lambda flow, proposals: proposals.proposal(9),
        lambda flow, proposals: proposals.frame_of(9),
    ],
)
def test_what_is_not_there_is_an_index_error(written, ask):
    with pytest.raises(IndexError):
        ask(*(alba.store.open(written.path(kind)) for kind in ("flow", "proposals")))


def test_unknown_arrays_are_key_errors_that_name_the_known(written):
    store = alba.store.open(written.path("flow"))
    with pytest.raises(KeyError, match="forward"):
        store["depth"]
    with pytest.raises(KeyError, match="scores"):
        alba.store.open(written.path("proposals")).frame(0, ["frame_offsets"])


@pytest.fixture
def reads(monkeypatch):
    """Bytes of every read of a chunk or of a shard's index, by array."""
    seen = []
    bytes_at, get = local_array._bytes_at, LocalStore.get_sync

    def counted_here(file, *part):
        value = bytes_at(file, *part)
        seen.append((Path(file.name.split("/c/")[0]).name, len(value)))
        return value

    def counted_by_zarr(self, key, **how):
        value = get(self, key, **how)
        if "/c/" in key:
            seen.append((key.split("/")[0], len(value)))
        return value

    monkeypatch.setattr(local_array, "_bytes_at", counted_here)
    monkeypatch.setattr(LocalStore, "get_sync", counted_by_zarr)
    return seen


def noisy_flow(path, num_frames):
    """Incompressible, 2 frames a chunk: 1 MiB each."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, SCHEMAS["flow"], (512, 1024), {}) as writer:
        for _ in range(num_frames):
            for name in ("forward", "backward"):
                writer.append(name, rng.integers(-(2**15), 2**15, (1, 2, 512, 1024), np.int16))


def test_only_the_chunks_that_hold_a_frame_are_read(tmp_path, reads):
    noisy_flow(tmp_path / "bear.zarr", 8)
    store = alba.store.open(tmp_path / "bear.zarr")
    chunk = 2 * 2 * 2 * 512 * 1024
    assert store["forward"].chunks[0] == 2
    assert reads == []
    for ask, names, num_chunks in (
        (lambda: store.forward(3), {"forward"}, 1),
        (lambda: store.frame(3), {"forward", "backward"}, 2),
        (lambda: store.window(1, 4, ["backward"]), {"backward"}, 2),
    ):
        reads.clear()
        ask()
        assert {name for name, _ in reads} == names
        assert num_chunks * chunk <= sum(size for _, size in reads) < num_chunks * chunk * 1.01


def test_one_proposal_reads_one_chunk_of_masks(tmp_path, reads):
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "bear.zarr", SCHEMAS["proposals"], (512, 1024), {}) as writer:
        writer.append("frame_offsets", np.array([0, 64, 128]))
        writer.append("masks", rng.integers(0, 256, (128, 512, 128), np.uint8))
        writer.append("boxes", np.zeros((128, 4), np.float32))
        writer.append("scores", np.zeros(128, np.float32))
        writer.append("features", np.zeros((128, 3), np.float32))
    store = alba.store.open(tmp_path / "bear.zarr")
    chunk = store["masks"].chunks[0] * 512 * 128
    reads.clear()
    assert store.proposal(70, ["masks"])["masks"].shape == (512, 1024)
    assert {name for name, _ in reads} == {"masks"}
    assert chunk <= sum(size for _, size in reads) < 1.01 * chunk


def test_large_frames_bound_what_the_writer_holds(tmp_path):
    size = (2160, 3840)
    with StoreWriter(tmp_path / "bear.zarr", SCHEMAS["flow"], size, {}) as writer:
        for name in ("forward", "backward"):
            writer.append(name, np.zeros((1, 2, *size), np.int16))
    array = alba.store.open(tmp_path / "bear.zarr")["forward"]
    assert array.shards[0] * 2 * 2 * 2160 * 3840 <= 64 * 1024**2


@pytest.mark.parametrize(
    ("address", "problem", "remedy"),
    [
        ("memory://bucket/none.zarr", "missing", "check the path"),
        ("nonsense://bucket/bear.zarr", "Protocol not known", "check the address"),
        ("http://127.0.0.1:9/bear.zarr", "cannot be read", "check the address"),
    ],
)
def test_addresses_that_lead_nowhere(address, problem, remedy):
    with pytest.raises(StoreError, match=problem) as caught:
        alba.store.open(address)
    assert remedy in caught.value.remedy


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves files and parts of files, as any real server does."""

    def do_GET(self):
        path, asked = Path(self.translate_path(self.path)), self.headers.get("Range")
        if asked is None or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first, last = asked.removeprefix("bytes=").split("-")
        start = int(first) if first else len(content) - int(last)
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        self.send_response(206)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:stop])

    def log_message(self, *args):
        pass


def test_over_http(written):
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(RangeHandler, directory=written.root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = alba.store.open(f"http://127.0.0.1:{server.server_port}/proposals/bear.zarr")
        np.testing.assert_array_equal(store.frame_masks(2), written.arrays["proposals"]["masks"][3:5])
        store.verify()
    finally:
        server.shutdown()
        server.server_close()


def test_a_lost_connection_is_a_store_error(written, monkeypatch):
    class ConnectionLostError(Exception):
        pass

    async def lose(*args, **kwargs):
        raise ConnectionLostError("the server went away")

    files = fsspec.filesystem("memory")
    files.put(str(written.path("flow").parent), "/flow", recursive=True)
    store = alba.store.open("memory://flow/bear.zarr")
    monkeypatch.setattr(FsspecStore, "get", lose)
    for ask in (lambda: store.frame(0), lambda: alba.store.open("memory://flow/bear.zarr")):
        with pytest.raises(StoreError, match="ConnectionLostError: the server went away"):
            ask()


def test_a_file_system_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    with pytest.raises(StoreError, match=r"pip install 'alba\[s3\]'"):
        alba.store.open("s3://bucket/bear.zarr")
