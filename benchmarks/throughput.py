"""Frames a second of a stage, with reading and writing, against its bare network in a loop.

    python benchmarks/throughput.py [--frames 200] [--device cpu] [--cases NAME ...] [--weights NAME=FILE]

Makes a video of 480 x 854 by `sprites` and works through it twice: the network's own inference on tensors
that are on the device, in batches of the same size and precision, and the stage from files to the published
store. Prints both rates and their ratio; start-up is in neither. Flow counts both directions. Networks have
random weights unless a file is given; the segmenter's threshold is then so low that it finds something.
"""

import argparse
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alba.config import DatasetSettings, FlowSettings, ProposalSettings, SpritesSettings
from alba.datasets import Video, open_video
from alba.datasets.sprites import write_sprites
from alba.flow import compute_flow
from alba.flow import stage as flow_stage
from alba.flow.dis import DisBackend
from alba.flow.ptlflow_backend import to_model_input
from alba.proposals import compute_proposals
from alba.proposals import stage as proposal_stage
from alba.proposals.torchvision_backend import TorchvisionBackend

CASES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "dis": ("flow", "dis", {}),
    "pwcnet": ("flow", "ptlflow", {"model": "pwcnet"}),
    "sea_raft_s": ("flow", "ptlflow", {"model": "sea_raft_s"}),
    "maskrcnn_v2": ("proposals", "torchvision", {"model": "maskrcnn_resnet50_fpn_v2"}),
}


def make_options(name: str, weights: str, device: str) -> dict[str, Any]:
    _, backend, options = CASES[name]
    if backend == "dis":
        return dict(options)
    if backend == "ptlflow":
        return {**options, "checkpoint": weights, "device": device}
    found = {"score_threshold": 0.02, "max_proposals": 15} if weights == "none" else {}
    return {**options, "weights": weights, "device": device, **found}


def seconds(call: Callable[[], object]) -> float:
    """Time of one call, until the GPU is done too."""
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def bare(backend: Any, frames: list[NDArray[np.uint8]]) -> Callable[[], object]:
    """The network's own inference on what is on the device already."""
    if isinstance(backend, DisBackend):
        pairs = [pair for a, b in pairwise(frames) for pair in ((a, b), (b, a))]
        return lambda: deque((backend.flow(*pair) for pair in pairs), maxlen=0)
    runner = backend._runner
    if isinstance(backend, TorchvisionBackend):
        backend.model.roi_heads.detections_per_img = (
            100  # torchvision's own; the backend keeps all till later
        )
        pictures = [torch.from_numpy(f).to(runner.device).permute(2, 0, 1).float() / 255 for f in frames]
        return lambda: deque(runner.run(pictures, backend.model), maxlen=0)
    tensors = [to_model_input([(frame, frame)])[0, 0].to(runner.device) for frame in frames]
    inputs = [pair for a, b in pairwise(tensors) for pair in ((a, b), (b, a))]

    def run(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
        images = torch.stack([torch.stack(pair) for pair in pairs])
        return list(backend.model({"images": images})["flows"])

    return lambda: deque(runner.run(inputs, run), maxlen=0)


def measure(name: str, weights: str, device: str, video: Video, folder: Path) -> None:
    kind, backend_name, _ = CASES[name]
    values = {"backend": backend_name, "options": make_options(name, weights, device)}
    output = folder / f"{name}.zarr"
    if kind == "flow":
        settings: Any = FlowSettings.model_validate(values)
        backend: Any = flow_stage.load_backend(settings)
        flow_stage.load_backend = lambda _: backend
        stage = partial(compute_flow, video, settings, output)
    else:
        settings = ProposalSettings.model_validate(values)
        backend = proposal_stage.load_backend(settings)
        proposal_stage.load_backend = lambda _: backend
        stage = partial(compute_proposals, video, settings, None, output)
    loop = bare(backend, [video.frame(t) for t in range(len(video))])
    loop()  # warm
    alone = len(video) / seconds(loop)
    if isinstance(backend, TorchvisionBackend):
        backend.model.roi_heads.detections_per_img = torch.iinfo(torch.int64).max
    whole = len(video) / seconds(stage)
    batch = getattr(backend, "batch_size", 1)
    print(f"{name:14s}{batch:8d}{alone:12.2f}{whole:12.2f}{whole / alone:10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--weights", nargs="*", default=[], help="NAME=FILE")
    arguments = parser.parse_args()
    weights = dict(entry.split("=", 1) for entry in arguments.weights)
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU")
    print(f"{'':14s}{'batch':>8s}{'bare f/s':>12s}{'stage f/s':>12s}{'ratio':>10s}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = SpritesSettings(num_train=1, num_val=1, num_frames=arguments.frames, height=480, width=854)
        write_sprites(made, root / "sprites")
        video = open_video(DatasetSettings(root=str(root / "sprites")), "train-000")
        for name in arguments.cases:
            measure(name, weights.get(name, "none"), arguments.device, video, root)


if __name__ == "__main__":
    main()
