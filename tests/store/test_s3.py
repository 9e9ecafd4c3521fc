"""Stores in an S3-compatible server on this machine; needs ``s3fs`` and ``moto[server]``."""

import numpy as np
import pytest

import alba.store
from alba.errors import StoreError

s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def bucket(written):
    """The stores of every kind in a bucket, and the options that reach it."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    options = {"key": "any", "secret": "any", "endpoint_url": f"http://{host}:{port}"}
    files = s3fs.S3FileSystem(**options)
    files.mkdir("videos")
    for kind in written.arrays:
        files.put(str(written.path(kind).parent), f"videos/{kind}", recursive=True)
    yield files, options
    running.stop()


def test_stores_are_read_from_s3(bucket, written):
    _, options = bucket
    for kind, arrays in written.arrays.items():
        store = alba.store.open(f"s3://videos/{kind}/bear.zarr", options)
        store.verify()
        for name, values in arrays.items():
            np.testing.assert_array_equal(store.read(name), values)


def test_as_xarray_and_in_windows(bucket, written):
    from alba.store.windows import WindowDataset

    _, options = bucket
    dataset = alba.store.open_xarray("s3://videos/proposals/bear.zarr", options)
    np.testing.assert_array_equal(dataset.masks[3:5], written.arrays["proposals"]["masks"][3:5])
    windows = WindowDataset(["s3://videos/flow/bear.zarr"], length=2, storage_options=options)
    np.testing.assert_array_equal(windows[1]["forward"], written.arrays["flow"]["forward"][1:3])


def test_what_is_not_there_or_not_whole(bucket):
    files, options = bucket
    with pytest.raises(StoreError, match="missing"):
        alba.store.open("s3://videos/none.zarr", options)
    files.cp("videos/flow/bear.zarr", "videos/half/bear.zarr", recursive=True)
    with pytest.raises(StoreError, match="half-written"):
        alba.store.open("s3://videos/half/bear.zarr", options)
