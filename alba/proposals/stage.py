"""The proposal stage: one video, and its flow where the backend looks at it, in; one proposals store out."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alba.config import REVISIONS, ProposalSettings
from alba.config.plugins import make_backend
from alba.datasets import Video
from alba.datasets.read_ahead import read_ahead
from alba.errors import StoreError
from alba.masks import pack_masks
from alba.progress import progress
from alba.proposals.protocol import BatchProposalBackend, FrameInput, ProposalBackend, Proposals
from alba.store import PROPOSALS, FlowStore, StoreWriter
from alba.store import open as open_store
from alba.store.write_behind import write_behind


def load_backend(settings: ProposalSettings) -> ProposalBackend:
    """Make the backend that the settings name; imports no other backend.

    Raises
    ------
    BackendError
        It is not installed, or its model, weights or device is missing.
    """
    backend: ProposalBackend = make_backend("proposals", settings.backend, settings.options)
    return backend


def compute_proposals(video: Video, settings: ProposalSettings, flow: Path | None, output: Path) -> None:
    """Find the proposals of every frame and publish them as a proposals store.

    A frame may have none, and so may all of them. Frames are read ahead and proposals are written behind
    while the backend computes; of a video of any length a few batches are held.

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
        The backend cannot be loaded, or the memory is too small for a frame.
    DatasetError
        A frame is missing, damaged or of another size.
    StoreError
        The flow store is missing or of another video, or the store cannot be written.
    """
    flow_store = _open_flow(flow, video, settings.backend) if settings.uses_flow else None
    backend = load_backend(settings)
    backend.begin_video(video.backdrop)
    batch_size = backend.batch_size if isinstance(backend, BatchProposalBackend) else 1
    frames = read_ahead(video, 2 * batch_size)
    inputs = ((frame, *_flow_fields(flow_store, t)) for t, frame in enumerate(frames))
    provenance = _provenance(video, settings, backend, flow_store)
    with StoreWriter(output, PROPOSALS, video.size, provenance) as store, write_behind() as submit:
        offsets = [0]
        for found in progress(_propose(backend, inputs), f"proposals {video.name}", len(video)):
            submit(_append, store, found)
            offsets.append(offsets[-1] + len(found))
        submit(store.append, "frame_offsets", np.array(offsets, np.int64))


def _propose(backend: ProposalBackend, inputs: Iterable[FrameInput]) -> Iterator[Proposals]:
    """Proposals of frame after frame."""
    if not isinstance(backend, BatchProposalBackend):
        for each in inputs:
            yield backend.propose(*each)
        return
    coming = iter(inputs)
    while batch := list(islice(coming, backend.batch_size)):
        yield from backend.propose_batch(batch)


def _flow_fields(
    flow: FlowStore | None, t: int
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Forward and backward flow of a frame; nothing of a single frame, whose stored flow says nothing."""
    if flow is None or len(flow) == 1:
        return None, None
    return flow.forward(t), flow.backward(t) if flow.has_backward else None


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
        "backend": dict(backend.provenance),
        "feature_names": list(backend.feature_names),
        "inputs": inputs,
    }
