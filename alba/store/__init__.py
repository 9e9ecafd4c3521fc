"""Zarr stores: what each holds, how one is published, and how it is read.

Every store is one Zarr v3 group per video; `docs/stores.md` documents each array. Optional views of them load
what they need only when they are used: `open_xarray`, and the torch Dataset in `alba.store.windows`.
"""

from alba.store.publish import STORE_SIGN, StoreWriter, check_place, make_ready, publish_folder, ready_path
from alba.store.reader import (
    FlowStore,
    LabelStore,
    ProposalStore,
    SegmentationStore,
    Store,
    open,
    open_xarray,
)
from alba.store.schema import FLOW, LABELS, PROPOSALS, SCHEMAS, SEGMENTATION, ArraySpec, StoreSchema

__all__ = [
    "FLOW",
    "LABELS",
    "PROPOSALS",
    "SCHEMAS",
    "SEGMENTATION",
    "STORE_SIGN",
    "ArraySpec",
    "FlowStore",
    "LabelStore",
    "ProposalStore",
    "SegmentationStore",
    "Store",
    "StoreSchema",
    "StoreWriter",
    "check_place",
    "make_ready",
    "open",
    "open_xarray",
    "publish_folder",
    "ready_path",
]
