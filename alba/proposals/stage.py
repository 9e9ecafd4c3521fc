"""The proposal stage: one video, and its flow where the backend looks at it, in; one proposals store out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alba.config import REVISIONS, ProposalSettings
from alba.config.backends import RegionsOptions, TorchvisionOptions
from alba.datasets import Video
from alba.datasets.read_ahead import read_ahead
from alba.errors import StoreError
from alba.masks import pack_masks
from alba.progress import progress
from alba.proposals.protocol import ProposalBackend, Proposals
from alba.store import PROPOSALS, FlowStore, StoreWriter
from alba.store import open as open_store


def load_backend(settings: ProposalSettings) -> ProposalBackend:
    """Make the backend that the settings name; imports no other backend.

    Raises
    ------
    BackendError
        Its model, weights or device is missing.
    """
    if settings.backend == "torchvision":
        from alba.proposals.torchvision_backend import TorchvisionBackend

        return TorchvisionBackend(TorchvisionOptions.model_validate(settings.options))
    from alba.proposals.regions.backend import RegionsBackend

    return RegionsBackend(RegionsOptions.model_validate(settings.options))


def compute_proposals(video: Video, settings: ProposalSettings, flow: Path | None, output: Path) -> None:
    """Find the proposals of every frame and publish them as a proposals store.

    A frame may have none, and so may all of them.

    Parameters
    ----------
    video : Video
    settings : ProposalSettings
    flow : Path, optional
        The video's flow store; needed where the backend looks at flow, else not opened.
    output : Path
        ``<video>.zarr``.

    Raises
    ------
    BackendError
        The backend cannot be loaded.
    DatasetError
        A frame is missing, damaged or of another size.
    StoreError
        The flow store is missing or of another video, or the store cannot be written.
    """
    flow_store = _open_flow(flow, video, settings.backend) if settings.uses_flow else None
    backend = load_backend(settings)
    backend.begin_video()
    with StoreWriter(
        output, PROPOSALS, video.size, _provenance(video, settings, backend, flow_store)
    ) as store:
        offsets = [0]
        for t, frame in enumerate(progress(read_ahead(video), f"proposals {video.name}", len(video))):
            found = backend.propose(frame, *_flow_fields(flow_store, t))
            _append(store, found)
            offsets.append(offsets[-1] + len(found))
        store.append("frame_offsets", np.array(offsets, np.int64))


def _flow_fields(
    flow: FlowStore | None, t: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | tuple[None, None]:
    """Forward and backward flow of a frame; nothing of a single frame, whose stored flow says nothing."""
    if flow is None or len(flow) == 1:
        return None, None
    return flow.forward(t), flow.backward(t)


def _append(store: StoreWriter, found: Proposals) -> None:
    store.append("masks", pack_masks(found.masks))
    store.append("boxes", found.boxes)
    store.append("scores", found.scores)
    store.append("features", found.features)


def _open_flow(path: Path | None, video: Video, backend: str) -> FlowStore:
    if path is None:
        raise StoreError(f"proposal backend {backend} needs the flow of {video.name}", "name its flow store")
    store = open_store(path)
    if not isinstance(store, FlowStore):
        raise StoreError(f"{path} holds {store.schema_name}, not flow", "name the video's flow store")
    if (len(store), store.size) != (len(video), video.size):
        raise StoreError(
            f"{path} has {len(store)} frames of {store.size[0]} x {store.size[1]} pixels, "
            f"video {video.name} has {len(video)} of {video.size[0]} x {video.size[1]}",
            "let the workflow make the flow again, or name the video's own",
        )
    return store


def _provenance(
    video: Video, settings: ProposalSettings, backend: ProposalBackend, flow: FlowStore | None
) -> Mapping[str, Any]:
    inputs = {"video": video.name, "frames_digest": video.digest}
    if flow is not None:
        inputs["flow_digest"] = flow.digest
    return {
        "stage": "proposals",
        "revision": REVISIONS["proposals"],
        "settings": settings.model_dump(mode="json"),
        # What uses no weights is told whole by its settings and need not say more.
        "backend": getattr(backend, "provenance", {"backend": settings.backend, "weights": None}),
        "feature_names": list(backend.feature_names),
        "inputs": inputs,
    }
