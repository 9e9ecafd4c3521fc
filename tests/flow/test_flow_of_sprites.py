"""Direction, units, order of components and colours, against the exact flow of `sprites`.

A network without trained weights cannot show them, so ptlflow's adapter runs one that finds the flow in the
pictures that it is handed: everything but the network itself is as in use.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import alba.store
from alba.config import DatasetSettings, FlowSettings, SpritesSettings
from alba.datasets import Video, open_video
from alba.datasets.sprites import write_sprites
from alba.flow import FlowBackend, compute_flow, load_backend
from alba.store import FlowStore

SETTINGS = SpritesSettings(num_train=1, num_val=1, num_frames=4)


class Analytic(torch.nn.Module):
    """Takes what ptlflow's networks take and gives what they give; the flow is that of OpenCV's DIS."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        flows = []
        for pair in inputs["images"]:
            bgr = (pair * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
            first, second = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in bgr)
            dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            dis.setFinestScale(0)  # as the backend has it for small frames
            flows.append(torch.from_numpy(dis.calc(first, second, None)).permute(2, 0, 1))
        return {"flows": torch.stack(flows)[:, None]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sprites") / "sprites"
    write_sprites(SETTINGS, path)
    return path


@pytest.fixture(params=["dis", "ptlflow"])
def settings(request: pytest.FixtureRequest, monkeypatch) -> FlowSettings:
    if request.param == "dis":
        return FlowSettings()
    monkeypatch.setattr("alba.flow.ptlflow_backend._make_model", lambda name: Analytic())
    return FlowSettings(backend="ptlflow", options={"checkpoint": "none", "device": "cpu"})


def open_sprites(root: Path, name: str) -> tuple[Video, FlowStore]:
    """A video and its exact flow."""
    exact = alba.store.open(root / f"Flow/480p/{name}.zarr")
    assert isinstance(exact, FlowStore)
    return open_video(DatasetSettings(root=str(root)), name), exact


def error(flow: np.ndarray, exact: np.ndarray) -> float:
    """Median end-point error in pixels: occluded pixels, where nothing can be found, do not count."""
    return float(np.median(np.hypot(*(flow - exact))))


@pytest.mark.parametrize("name", ["train-000", "val-000"])
def test_store_holds_flow_in_pixels_with_its_direction_both_ways(root, settings, tmp_path, name):
    video, exact = open_sprites(root, name)
    compute_flow(video, settings, tmp_path / f"{name}.zarr")
    found = alba.store.open(tmp_path / f"{name}.zarr")
    assert isinstance(found, FlowStore)
    for way in ("forward", "backward"):
        flow, truth = (getattr(store, way)(slice(0, 4)) for store in (found, exact))
        for t in range(4):
            right = error(flow[t], truth[t])
            assert right < 0.2
            wrong = {"negated": -flow[t], "components swapped": flow[t, ::-1], "halved": flow[t] / 2}
            for what, field in wrong.items():
                assert right < 0.5 * error(field, truth[t]), what


def test_adapter_hands_pictures_over_untouched_and_in_the_right_colours(root, monkeypatch):
    monkeypatch.setattr("alba.flow.ptlflow_backend._make_model", lambda name: Analytic())
    options = {"checkpoint": "none", "device": "cpu"}
    adapter = load_backend(FlowSettings(backend="ptlflow", options=options))
    video, _ = open_sprites(root, "train-000")
    first, second = video.frame(0), video.frame(1)
    np.testing.assert_array_equal(
        adapter.flow(first, second), load_backend(FlowSettings()).flow(first, second)
    )
    mixed_up = adapter.flow(first[..., ::-1], second[..., ::-1])
    assert not np.array_equal(mixed_up, adapter.flow(first, second))  # so the order of colours does show


@pytest.mark.parametrize("size", [(144, 100), (90, 200), (70, 60)])
def test_small_frames_keep_their_place_when_they_are_extended(root, settings, size):
    video, exact = open_sprites(root, "val-000")
    backend: FlowBackend = load_backend(settings)
    height, width = size
    first, second = (np.ascontiguousarray(video.frame(t)[:height, :width]) for t in (1, 2))
    assert error(backend.flow(first, second), exact.forward(1)[:, :height, :width]) < 0.3


def test_flow_of_small_frames_is_better_inside_objects_than_the_presets_own(root):
    video, exact = open_sprites(root, "train-000")
    preset = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    errors = []
    for t in range(3):
        first, second = video.frame(t), video.frame(t + 1)
        plain = preset.calc(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)), None)
        found = load_backend(FlowSettings()).flow(first, second)
        inside = video.annotation(t) > 0
        fields = (found, plain.transpose(2, 0, 1))
        errors.append([np.hypot(*(field - exact.forward(t)))[inside].mean() for field in fields])
    ours, presets = np.mean(errors, axis=0)
    assert ours < 0.8 * presets
