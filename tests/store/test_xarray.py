"""Stores as xarray Datasets: named dimensions, decoded values, read lazily."""

import subprocess
import sys

import fsspec
import numpy as np
import pytest

import alba.store
from alba.errors import StoreError
from alba.store import SCHEMAS

xarray = pytest.importorskip("xarray")


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_kind_opens_with_names_units_and_values(written, kind):
    dataset = alba.store.open_xarray(written.path(kind))
    assert dataset.attrs["schema"] == kind
    for name, spec in SCHEMAS[kind].arrays.items():
        variable = dataset[name]
        assert variable.dims == spec.decoded_axes
        assert (variable.attrs["units"], variable.dtype) == (spec.units, np.dtype(spec.decoded_dtype))
        np.testing.assert_array_equal(variable.values, written.arrays[kind][name])


def test_the_proposals_of_a_frame_are_selected_by_coordinate(written):
    dataset = alba.store.open_xarray(written.path("proposals"))
    of_frame = dataset.isel(proposal=dataset.frame == 2)
    np.testing.assert_array_equal(of_frame.masks, written.arrays["proposals"]["masks"][3:5])
    np.testing.assert_array_equal(of_frame.scores, written.arrays["proposals"]["scores"][3:5])


@pytest.mark.parametrize(
    "key",
    [
        np.s_[3],
        np.s_[-2:],
        np.s_[8:2:-3],
        np.s_[[5, 2, 5]],
        np.s_[2:7, 1:9:3, ::-1],
        np.s_[[3, 1], 5],
        np.s_[2, [4, 0], :7],
        np.s_[:, [4, 0], 3],
        np.s_[:, 3, [1, 2]],
        np.s_[2:2],
    ],
)
def test_any_indexing_equals_numpys(written, key):
    masks = alba.store.open_xarray(written.path("proposals")).masks
    np.testing.assert_array_equal(masks[key], written.arrays["proposals"]["masks"][key])


def test_vectors_keep_their_axis(written):
    forward = alba.store.open_xarray(written.path("flow")).forward
    values = written.arrays["flow"]["forward"]
    np.testing.assert_array_equal(forward[1:3, [1, 0], :, 5], values[1:3][:, [1, 0]][..., 5])
    np.testing.assert_array_equal(forward[:, 1, [3, 4, 8], 2], values[:, 1][:, [3, 4, 8]][..., 2])


def test_nothing_is_read_before_it_is_asked_for(own):
    path = own.path("proposals")
    dataset = alba.store.open_xarray(path)
    for shard in (path / "masks" / "c").rglob("0"):
        if shard.is_file():
            shard.unlink()
    few = dataset.masks[2:4, :3]
    dataset.scores.load()
    with pytest.raises(StoreError, match="masks"):
        few.load()


def test_from_a_url(written):
    files = fsspec.filesystem("memory")
    files.put(str(written.path("flow").parent), "/xarray", recursive=True)
    dataset = alba.store.open_xarray("memory://xarray/bear.zarr")
    np.testing.assert_array_equal(dataset.backward[1:3], written.arrays["flow"]["backward"][1:3])


def test_xarray_alone_opens_flow_in_pixels(written):
    dataset = xarray.open_zarr(written.path("flow"), consolidated=False, chunks=None)
    np.testing.assert_array_equal(dataset.forward, written.arrays["flow"]["forward"])


def test_without_xarray_the_error_names_the_extra(written):
    code = f"""
import sys
sys.modules["xarray"] = None
import alba.store
from alba.errors import StoreError
try:
    alba.store.open_xarray({str(written.path("flow"))!r})
except StoreError as error:
    print(error.remedy)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'alba[xarray]'" in run.stdout
