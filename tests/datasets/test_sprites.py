import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import alba.store
from alba.config import DatasetSettings, SpritesSettings
from alba.datasets import list_videos, open_video
from alba.datasets.sprite_draw import PLOTS, draw_scene
from alba.datasets.sprite_motion import Similarity, Wave
from alba.datasets.sprite_render import exact_flow, pixel_grid, render
from alba.datasets.sprites import write_sprites
from alba.errors import DatasetError, StoreError
from alba.store import FlowStore
from alba.store.schema import FLOW_STEP

SETTINGS = SpritesSettings(num_train=2, num_val=1, num_frames=6, height=72, width=128, seed=5)
SIZE = (SETTINGS.height, SETTINGS.width)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    output = tmp_path_factory.mktemp("sprites") / "data"
    write_sprites(SETTINGS, output)
    return output


def dataset(root):
    return DatasetSettings(layout="davis17", root=str(root))


def open_flow(root, name):
    store = alba.store.open(root / "Flow" / "480p" / f"{name}.zarr")
    assert isinstance(store, FlowStore)
    return store


def digest(output):
    return json.loads(alba.store.ready_path(output).read_text())["digest"]


def scene(plot, seed=0):
    return draw_scene(np.random.default_rng(seed), SIZE, 24, plot)


def label_maps(scene):
    return np.stack([scene.object_ids[render(scene, t).layer] for t in range(24)])


def test_same_settings_give_the_same_bytes(root, tmp_path):
    again = tmp_path / "again"
    write_sprites(SETTINGS, again)
    assert digest(again) == digest(root)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((root / path).read_bytes() == (again / path).read_bytes() for path in files)


def test_another_seed_gives_another_data_set(root, tmp_path):
    write_sprites(SETTINGS.model_copy(update={"seed": 6}), tmp_path / "other")
    assert digest(tmp_path / "other") != digest(root)


def test_a_video_does_not_depend_on_how_many_there_are(root, tmp_path):
    write_sprites(SETTINGS.model_copy(update={"num_train": 1}), tmp_path / "fewer")
    name = Path("JPEGImages/480p/val-000/00005.jpg")
    assert (tmp_path / "fewer" / name).read_bytes() == (root / name).read_bytes()


def test_layout_is_read_as_videos(root):
    assert list_videos(dataset(root), "train") == ["train-000", "train-001"]
    assert list_videos(dataset(root), "val") == ["val-000"]
    for name in ("train-000", "train-001", "val-000"):
        video = open_video(dataset(root), name)
        assert (len(video), video.size) == (6, SIZE)
        assert len({video.frame(t).tobytes() for t in range(6)}) == 6


def test_all_objects_are_there_from_frame_0(root):
    for name in ("train-000", "train-001", "val-000"):
        video = open_video(dataset(root), name)
        ids = np.unique(video.annotation(0)).tolist()
        assert ids == list(range(len(ids)))
        assert 3 <= len(ids) <= 5
        assert all(np.isin(video.annotation(t), ids).all() for t in range(6))


def test_exact_flow_is_kept_with_the_ends_filled_in(root):
    flow = open_flow(root, "train-001")
    assert (len(flow), flow.size) == (6, SIZE)
    np.testing.assert_array_equal(flow.backward(0), -flow.forward(0))
    np.testing.assert_array_equal(flow.forward(5), -flow.backward(5))
    assert np.abs(flow.forward(2) + flow.backward(2)).max() > 2 * FLOW_STEP


def test_written_flow_carries_the_next_frame_to_this_one(root):
    for name in ("train-000", "train-001", "val-000"):
        video, flow = open_video(dataset(root), name), open_flow(root, name)
        x, y = np.meshgrid(np.arange(SIZE[1], dtype=np.float32), np.arange(SIZE[0], dtype=np.float32))
        errors = []
        for t in range(5):
            dx, dy = flow.forward(t)
            here, there = (video.frame(i).astype(np.float32) for i in (t, t + 1))
            carried = cv2.remap(there, x + dx, y + dy, cv2.INTER_LINEAR)
            inner = (slice(8, -8), slice(8, -8))
            errors.append([np.square(other - here)[inner].mean() for other in (carried, there)])
        error, still = np.sum(errors, axis=0)
        assert error < 0.5 * still


@pytest.mark.parametrize("plot", PLOTS)
def test_what_a_pixel_shows_is_where_the_flow_says(plot):
    drawn = scene(plot, seed=1)
    num_checked = 0
    for t, other in ((3, 4), (12, 13), (12, 11)):
        now, then = render(drawn, t), render(drawn, other)
        dx, dy = exact_flow(drawn, now, t, other)
        target = pixel_grid(SIZE) + dx + 1j * dy
        column, row = np.floor(target.real).astype(int), np.floor(target.imag).astype(int)
        ok = (column >= 0) & (row >= 0) & (column < SIZE[1] - 1) & (row < SIZE[0] - 1)
        row, column, target = row[ok], column[ok], target[ok]
        u, v = target.real - column, target.imag - row
        corners = [
            (row, column, (1 - u) * (1 - v)),
            (row, column + 1, u * (1 - v)),
            (row + 1, column, (1 - u) * v),
            (row + 1, column + 1, u * v),
        ]
        visible = np.all([then.layer[r, c] == now.layer[ok] for r, c, _ in corners], axis=0)
        seen_there = sum(weight * then.seen[r, c] for r, c, weight in corners)
        error = np.abs(seen_there - now.seen[ok])[visible]
        # Half a pixel's curvature of the deformation is all that the interpolation may miss.
        assert error.max() < 0.02
        num_checked += int((visible & (now.layer[ok] > 0)).sum())
    assert num_checked > 1000


def test_objects_move_and_all_else_moves_as_the_camera_says(root):
    for name in ("train-000", "train-001", "val-000"):
        video, flow = open_video(dataset(root), name), open_flow(root, name)
        for t in range(5):
            label_map = video.annotation(t)
            dx, dy = flow.forward(t)
            points, displacement = pixel_grid(SIZE), dx + 1j * dy
            rest = label_map == 0
            design = np.stack((points[rest], np.ones(rest.sum())), axis=1)
            (factor, shift), *_ = np.linalg.lstsq(design, displacement[rest], rcond=None)
            residual = np.abs(displacement - factor * points - shift)
            assert residual[rest].max() < 1.5 * FLOW_STEP
            moving = [np.median(residual[label_map == i]) for i in np.unique(label_map[label_map > 0])]
            assert max(moving) > 10 * FLOW_STEP


@pytest.mark.parametrize("plot", PLOTS)
def test_stationary_look_alikes_are_visible_and_no_objects(plot):
    for seed in range(3):
        drawn = scene(plot, seed)
        still = [sprite for sprite in drawn.sprites if sprite.object_id == 0]
        assert 2 <= len(still) <= 4
        layer = render(drawn, 0).layer
        for sprite in still:
            own = [i for i, (owner, _) in enumerate(drawn.layers, start=1) if owner is sprite]
            assert np.isin(layer, own).sum() > 50
            assert 2 <= len(sprite.parts) <= 5
        assert len(np.unique(layer[drawn.object_ids[layer] > 0])) > len(drawn.sprites) - len(still)


def test_an_object_leaves_and_comes_back():
    for seed in range(3):
        labels = label_maps(scene("leaves", seed))
        present = np.any(labels == labels[0].max(), axis=(1, 2))
        away = np.flatnonzero(~present)
        assert len(away)
        assert present[: away[0]].all()
        assert present[away[-1] + 1 :].any()


def test_an_object_passes_behind_another():
    for seed in range(3):
        drawn = scene("hides", seed)
        without = replace(drawn, sprites=tuple(s for s in drawn.sprites if s.object_id != 1))
        hidden, alone = (np.sum(label_maps(each) == 2, axis=(1, 2)) for each in (drawn, without))
        assert np.min(hidden / np.maximum(alone, 1)) < 0.2
        assert hidden[0] > 0.7 * alone[0]


def test_maps_of_the_plane_are_undone_exactly():
    points = pixel_grid((20, 30))
    similarity = Similarity(0.9 + 0.4j, 3 - 2j)
    for plane_map in (similarity, Wave(2.5, -1.5, 0.2)):
        np.testing.assert_allclose(plane_map.inverse(plane_map.forward(points)), points, atol=1e-12)
    np.testing.assert_allclose(similarity.inverted().after(similarity).forward(points), points, atol=1e-12)


def test_one_frame_is_a_video_without_motion(tmp_path):
    settings = SETTINGS.model_copy(update={"num_frames": 1, "num_train": 1})
    write_sprites(settings, tmp_path / "single")
    flow = open_flow(tmp_path / "single", "train-000")
    assert not flow.forward(0).any()
    assert not flow.backward(0).any()


def test_unwritable_place_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        write_sprites(SETTINGS, tmp_path / "file" / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failure_half_way_leaves_nothing(tmp_path):
    narrow = SETTINGS.model_copy(update={"width": 12})
    with pytest.raises(DatasetError, match="4/3 of the height"):
        write_sprites(narrow, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
