"""Start-up of the stages: from the start of the process to the first frame, against ``import torch``.

    python benchmarks/startup.py [--repeats 5]

Runs `alba flow` and `alba propose` on a small video up to the moment at which the first frame is asked for,
and `python -c "import torch"`, in turn. Prints the median seconds of each, the same seconds of processor
time, and the ratio of both to `import torch`. Networks load weights from a file, made beforehand with random
content. Backends that are not installed are left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

STOP_AT_FIRST_FRAME = """
import os, sys
from alba.datasets import Video
from alba.cli import main
Video.frame = lambda *_: os._exit(0)
main()
"""

SAVE_WEIGHTS = """
import sys, torch
from alba.config.plugins import make_backend
kind, name, options, path = sys.argv[1:]
backend = make_backend(kind, name, __import__("json").loads(options))
torch.save(backend.model.state_dict(), path)
"""

CASES: Mapping[str, tuple[str, str, Mapping[str, str], str]] = {
    "dis": ("flow", "dis", {}, ""),
    "ptlflow sea_raft_s": ("flow", "ptlflow", {"model": "sea_raft_s"}, "checkpoint"),
    "ptlflow pwcnet": ("flow", "ptlflow", {"model": "pwcnet"}, "checkpoint"),
    "regions": ("proposals", "regions", {}, ""),
    "torchvision v2": ("proposals", "torchvision", {"model": "maskrcnn_resnet50_fpn_v2"}, "weights"),
    "torchvision v1": ("proposals", "torchvision", {"model": "maskrcnn_resnet50_fpn"}, "weights"),
    "detectron2 R50-FPN": ("proposals", "detectron2", {}, "weights"),
}
"""Kind, backend, options, and the option that names the weights."""


def prepare(folder: Path) -> dict[str, list[str]]:
    """Video, flow and weights; gives the command line of every case."""
    (folder / "data/clip").mkdir(parents=True)
    for t in range(2):
        noise = np.random.default_rng(t).integers(0, 255, (120, 160, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"data/clip/{t:05d}.png")
    dataset = json.dumps({"layout": "folder", "root": str(folder / "data")})
    common = ["--dataset", dataset, "--video", "clip"]
    flow = folder / "flow/clip.zarr"
    subprocess.run([sys.executable, "-m", "alba.cli", "flow", *common, "--output", flow], check=True)
    commands = {}
    for name, (kind, backend, options, weights_option) in CASES.items():
        if backend == "detectron2" and find_spec("detectron2") is None:
            continue
        given = dict(options)
        if weights_option:
            path = folder / f"{len(commands)}.pth"
            random = json.dumps({**options, weights_option: "none", "device": "cpu"})
            subprocess.run([sys.executable, "-c", SAVE_WEIGHTS, kind, backend, random, path], check=True)
            given |= {weights_option: str(path), "device": "cpu"}
        settings = ["--settings", json.dumps({"backend": backend, "options": given})]
        verb = ["flow"] if kind == "flow" else ["propose", "--flow", str(flow)]
        output = ["--output", str(folder / f"out/{len(commands)}.zarr")]
        commands[name] = ["-c", STOP_AT_FIRST_FRAME, *verb, *common, *settings, *output]
    return commands


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Seconds that pass and seconds of processor time of a new interpreter."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stderr=subprocess.DEVNULL)
    passed, after = time.perf_counter() - start, os.times()
    return passed, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        commands = {"import torch": ["-c", "import torch"], **prepare(Path(folder))}
        for command in commands.values():
            measure(command)  # so that all files are in memory
        rounds = [{name: measure(command) for name, command in commands.items()} for _ in range(repeats)]
    print(f"{'':20s}{'seconds':>10s}{'CPU s':>10s}{'ratio':>10s}{'CPU ratio':>10s}")
    for name in commands:
        passed, cpu = (statistics.median(each[name][i] for each in rounds) for i in (0, 1))
        ratios = [
            statistics.median(each[name][i] / each["import torch"][i] for each in rounds) for i in (0, 1)
        ]
        print(f"{name:20s}{passed:10.2f}{cpu:10.2f}{ratios[0]:10.2f}{ratios[1]:10.2f}")


if __name__ == "__main__":
    main()
