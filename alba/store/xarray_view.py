"""A store as an xarray Dataset that reads lazily; needs the extra ``alba[xarray]``."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alba.errors import StoreError

try:
    import xarray
    from xarray.backends import BackendArray
    from xarray.core import indexing
except ImportError:
    raise StoreError("xarray is not installed", "run pip install 'alba[xarray]'") from None

if TYPE_CHECKING:
    from alba.store.reader import Store


def to_xarray(store: "Store") -> xarray.Dataset:
    """View a store as a Dataset.

    Variables, dimensions and attributes are those of `docs/stores.md`, with three differences: flow is
    float32 in pixels; masks are (proposal, row, column) bool instead of bits; a proposals store has the
    coordinate ``frame`` on its proposals.

    Parameters
    ----------
    store : Store

    Returns
    -------
    xarray.Dataset
        Reads what is indexed, when it is computed on or loaded.
    """
    # Not in dask's chunks but in xarray's own lazy arrays; `.chunk()` brings dask in where it is wanted.
    variables = {
        name: xarray.Variable(
            spec.decoded_axes,
            indexing.LazilyIndexedArray(_Decoded(store, name)),
            {"units": spec.units, "description": spec.description},
        )
        for name, spec in store.schema.arrays.items()
    }
    dataset = xarray.Dataset(variables, attrs=store.attributes)
    if "frame_offsets" in variables:
        counts = np.diff(store.read("frame_offsets"))
        dataset = dataset.assign_coords(frame=("proposal", np.repeat(np.arange(len(counts)), counts)))
    return dataset


class _Decoded(BackendArray):
    """An array of a store, decoded as it is read."""

    def __init__(self, store: "Store", name: str) -> None:
        self.store = store
        self.name = name
        spec, stored = store.schema.arrays[name], store[name].shape
        self.shape = stored if spec.decoded_axes == spec.axes else (stored[0], *store.size)
        self.dtype = np.dtype(spec.decoded_dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Whole rows of the first axis, then what `key` wants of them; one part of it may be a vector."""
        rows, *rest = key
        values = self.store.read(self.name, rows)
        before = 0 if isinstance(rows, int | np.integer) else 1
        for axis in reversed(range(len(rest))):  # one after the other, as NumPy would move a vector's axis
            values = values[(slice(None),) * (before + axis) + (rest[axis],)]
        return values
