"""The flow stage: one video in, one flow store out."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alba.config import REVISIONS, FlowSettings
from alba.config.plugins import make_backend
from alba.datasets import Video
from alba.datasets.read_ahead import read_ahead
from alba.errors import BackendError
from alba.flow.protocol import BatchFlowBackend, FlowBackend, FramePair
from alba.progress import progress
from alba.store import FLOW, StoreWriter
from alba.store.schema import FLOW_STEP
from alba.store.write_behind import write_behind

_MAX_STEPS = np.iinfo(np.int16).max


def load_backend(settings: FlowSettings) -> FlowBackend:
    """Make the backend that the settings name; imports no other backend.

    Raises
    ------
    BackendError
        It is not installed, or its model, weights or device is missing.
    """
    backend: FlowBackend = make_backend("flow", settings.backend, settings.options)
    return backend


def compute_flow(video: Video, settings: FlowSettings, output: Path) -> None:
    """Compute the flow of a video, both ways or forward alone, and publish it as a flow store.

    A video of T frames has T - 1 pairs: the last frame's forward flow is its negated backward flow, the
    first frame's backward flow is its negated forward flow. The flow of a single frame is zero, as no
    motion is known. Frames are read ahead and flow is written behind while the backend computes; of a
    video of any length a few batches are held.

    Parameters
    ----------
    video : Video
    settings : FlowSettings
    output : Path
        ``<video>.zarr``.

    Raises
    ------
    BackendError
        The backend cannot be loaded, its flow is not finite, or the memory is too small for a frame.
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
    names = ("forward", "backward") if settings.backward else ("forward",)
    schema = replace(FLOW, arrays={name: FLOW.arrays[name] for name in names})
    fields = progress(_video_flow(video, backend, settings.backward), f"flow {video.name}", len(video))
    with StoreWriter(output, schema, video.size, provenance) as store, write_behind() as submit:
        for path, (forward, backward) in zip(video.frame_paths, fields, strict=True):
            submit(_append, store, "forward", forward, path)
            if settings.backward:
                submit(_append, store, "backward", backward, path)


def to_steps(flow: NDArray[np.float32]) -> NDArray[np.int16]:
    """Flow in pixels as multiples of `FLOW_STEP`, rounded to the nearest.

    Clipped to +-32767 steps (1024 pixels), so that the negated flow can be stored as well.
    """
    return np.clip(np.rint(flow / FLOW_STEP), -_MAX_STEPS, _MAX_STEPS).astype(np.int16)


def _video_flow(
    video: Video, backend: FlowBackend, both_ways: bool
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Forward and backward flow of every frame, (2, H, W) each.

    Without `both_ways` the backward flow is computed for the last frame alone, and only a stand-in for the
    others.
    """
    if len(video) == 1:
        zero = np.zeros((2, *video.size), np.float32)
        yield zero, zero
        return
    batch_size = backend.batch_size if isinstance(backend, BatchFlowBackend) else 1
    fields = _flow(backend, _pairs(read_ahead(video, 2 * batch_size), len(video), both_ways))
    last = len(video) - 1
    backward: NDArray[np.float32] | None = None
    for t in range(last):
        forward = next(fields)
        yield forward, -forward if backward is None else backward
        if both_ways or t + 1 == last:
            backward = next(fields)
    assert backward is not None
    yield -backward, backward


def _pairs(frames: Iterable[NDArray[np.uint8]], num_frames: int, both_ways: bool) -> Iterator[FramePair]:
    """Each two neighbours forward, and then backward: all of them, or only the last two."""
    for t, (frame, following) in enumerate(pairwise(frames)):
        yield frame, following
        if both_ways or t + 2 == num_frames:
            yield following, frame


def _flow(backend: FlowBackend, pairs: Iterator[FramePair]) -> Iterator[NDArray[np.float32]]:
    """Flow of pair after pair."""
    if not isinstance(backend, BatchFlowBackend):
        for pair in pairs:
            yield backend.flow(*pair)
        return
    while batch := list(islice(pairs, backend.batch_size)):
        yield from backend.flow_batch(batch)


def _append(store: StoreWriter, name: str, flow: NDArray[np.float32], frame: Path) -> None:
    if not np.isfinite(flow).all():
        raise BackendError(
            f"the flow of {frame} is not finite", "choose another backend, model or checkpoint"
        )
    store.append(name, to_steps(flow)[None])
