"""The flow stage: one video in, one flow store out."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from alba.config import REVISIONS, FlowSettings
from alba.config.backends import DisOptions, PtlflowOptions
from alba.datasets import Video
from alba.datasets.read_ahead import read_ahead
from alba.errors import BackendError
from alba.flow.protocol import FlowBackend
from alba.progress import progress
from alba.store import FLOW, StoreWriter
from alba.store.schema import FLOW_STEP

_MAX_STEPS = np.iinfo(np.int16).max

Steps: TypeAlias = NDArray[np.int16]


def load_backend(settings: FlowSettings) -> FlowBackend:
    """Make the backend that the settings name; imports no other backend.

    Raises
    ------
    BackendError
        Its model, weights or device is missing.
    """
    if settings.backend == "ptlflow":
        from alba.flow.ptlflow_backend import PtlflowBackend

        return PtlflowBackend(PtlflowOptions.model_validate(settings.options))
    from alba.flow.dis import DisBackend

    return DisBackend(DisOptions.model_validate(settings.options))


def compute_flow(video: Video, settings: FlowSettings, output: Path) -> None:
    """Compute forward and backward flow of a video and publish them as a flow store.

    A video of T frames has T - 1 pairs: the last frame's forward flow is its negated backward flow, the
    first frame's backward flow is its negated forward flow. The flow of a single frame is zero, as no
    motion is known.

    Parameters
    ----------
    video : Video
    settings : FlowSettings
    output : Path
        ``<video>.zarr``.

    Raises
    ------
    BackendError
        The backend cannot be loaded, or its flow is not finite.
    DatasetError
        A frame is missing, damaged or of another size.
    StoreError
        The store cannot be written.
    """
    backend = load_backend(settings)
    provenance = {
        "stage": "flow",
        "revision": REVISIONS["flow"],
        "settings": settings.model_dump(mode="json"),
        "backend": dict(backend.provenance),
        "inputs": {"video": video.name, "frames_digest": video.digest},
    }
    fields = _video_flow(video, backend)
    with StoreWriter(output, FLOW, video.size, provenance) as store:
        for forward, backward in progress(fields, f"flow {video.name}", len(video)):
            store.append("forward", forward[None])
            store.append("backward", backward[None])


def to_steps(flow: NDArray[np.float32]) -> Steps:
    """Flow in pixels as multiples of `FLOW_STEP`, rounded to the nearest.

    Clipped to +-32767 steps (1024 pixels), so that the negated flow can be stored as well.
    """
    return np.clip(np.rint(flow / FLOW_STEP), -_MAX_STEPS, _MAX_STEPS).astype(np.int16)


def _video_flow(video: Video, backend: FlowBackend) -> Iterator[tuple[Steps, Steps]]:
    """Forward and backward flow of every frame, (2, H, W) each."""
    if len(video) == 1:
        zero = np.zeros((2, *video.size), np.int16)
        yield zero, zero
        return
    backward: Steps | None = None
    for t, (frame, following) in enumerate(pairwise(read_ahead(video))):
        forward = _checked(backend.flow(frame, following), video, t)
        yield forward, -forward if backward is None else backward
        backward = _checked(backend.flow(following, frame), video, t + 1)
    assert backward is not None
    yield -backward, backward


def _checked(flow: NDArray[np.float32], video: Video, t: int) -> Steps:
    if not np.isfinite(flow).all():
        raise BackendError(
            f"the flow of {video.frame_paths[t]} is not finite", "choose another backend, model or checkpoint"
        )
    return to_steps(flow)
