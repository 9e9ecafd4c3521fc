"""Data sets that are made from the training videos of another one."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from alba.config import CompositesSettings, DatasetSettings, MirroredSettings
from alba.datasets import list_videos, open_video
from alba.datasets.clip import Clip
from alba.datasets.composite_plan import Composite, Paste, plan_composite
from alba.datasets.composite_render import render_composite
from alba.datasets.composites import write_composites
from alba.datasets.generated import read_made_from
from alba.datasets.mirrored import write_mirrored
from alba.errors import DatasetError
from alba.masks import VOID, write_label_map
from alba.store import ready_path

SIZE = (64, 96)
LENGTHS = {"ant": 8, "bee": 6, "cat": 9, "dog": 7, "val": 5}
TRAIN = [name for name in LENGTHS if name != "val"]
SETTINGS = CompositesSettings(
    kind="composites", source="real", num_train=5, num_frames=7, objects=(2, 2), groups=1, match_colour=0
)


def disc(t, num):
    """A disc that crosses the frame: (H, W) bool."""
    rows, columns = np.indices(SIZE)
    return (rows - 32) ** 2 + (columns - 15 - 10 * t - num) ** 2 < 81


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Grey videos, a disc of one colour in each; an annotation of 255 as DAVIS 2016 has it."""
    root = tmp_path_factory.mktemp("real")
    for num, (name, length) in enumerate(LENGTHS.items()):
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for t in range(length):
            frame = np.full((*SIZE, 3), 128, np.uint8)
            frame[disc(t, num)] = (50 * num, 250 - 50 * num, 20 * num)
            Image.fromarray(frame).save(
                root / f"JPEGImages/480p/{name}/{t:05}.jpg", quality=100, subsampling=0
            )
            write_label_map(
                root / f"Annotations/480p/{name}/{t:05}.png", np.where(disc(t, num), 255, 0).astype(np.uint8)
            )
    (root / "ImageSets/2016").mkdir(parents=True)
    (root / "ImageSets/2016/train.txt").write_text("".join(f"{name}\n" for name in TRAIN))
    (root / "ImageSets/2016/val.txt").write_text("val\n")
    return DatasetSettings(layout="davis16", root=str(root))


def videos_of(dataset):
    return [open_video(dataset, name) for name in list_videos(dataset, "train")]


def files_of(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def pasted(real, offset, *, scale=1.0, mirrored=False, in_front=True, label=2):
    """The object of bee in the video ant, at a given place."""
    ant, bee = (open_video(real, name) for name in ("ant", "bee"))
    paste = Paste(Clip(bee, 0, 6, mirrored), 1, label, scale, offset, np.ones(3, np.float32))
    return Composite(Clip(ant, 0, 6, False), [None, paste] if in_front else [paste, None])


def test_ground_truth_is_where_the_pasted_pixels_are(real):
    composite = pasted(real, (10.0, -12.0))
    bee, ant = (open_video(real, name) for name in ("bee", "ant"))
    for t in range(6):
        frame, label_map = render_composite(composite, t)
        original, moved = ant.frame(t).astype(int), np.zeros(SIZE, bool)
        moved[:-12, 10:] = disc(t, 1)[12:, :-10]
        inside = label_map == 2
        assert (moved & inside).sum() == inside.sum()  # the edge is a pixel further in
        assert inside.sum() > 0.75 * moved.sum()
        colour = bee.frame(t)[disc(t, 1)].mean(0)
        differs = np.abs(frame.astype(int) - original).max(2) > 8
        assert np.abs(frame[inside & ~_rim(inside)] - colour).max() < 12
        assert not (differs & ~(moved | _rim(~moved))).any()  # nothing else has changed
        np.testing.assert_array_equal((label_map == 1), disc(t, 0) & ~inside)


def _rim(mask):
    """Pixels within two of the edge."""
    padded = np.pad(mask, 2)
    shifts = [np.roll(padded, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3)]
    return ~np.logical_and.reduce(shifts)[2:-2, 2:-2]


def test_edges_are_mixed(real):
    composite = pasted(real, (0.0, 20.0))
    frame, label_map = render_composite(composite, 0)
    red = frame[:, :, 0].astype(int)
    across = red[52, : label_map.shape[1]]
    between = ((across > 60) & (across < 120)).sum()
    assert between >= 2


def test_what_is_behind_is_covered_and_keeps_its_id(real):
    front, back = (pasted(real, (4.0, 5.0), in_front=where) for where in (True, False))
    overlap = np.roll(disc(3, 1), (5, 4), (0, 1)) & disc(3, 0)
    overlap &= ~_rim(overlap)
    assert set(render_composite(front, 3)[1][overlap]) == {2}
    frame, label_map = render_composite(back, 3)
    np.testing.assert_array_equal(label_map == 1, disc(3, 0))
    assert (label_map == 2).any()
    original = open_video(real, "ant").frame(3)
    assert np.abs(frame[overlap].astype(int) - original[overlap]).max() < 8


def test_mirrored_and_magnified_about_the_corner(real):
    for mirrored, scale, shift in ((True, 1.0, 0.0), (False, 0.5, 0.0), (True, 1.4, -20.0)):
        composite = pasted(real, (shift, shift), scale=scale, mirrored=mirrored)
        label_map = render_composite(composite, 2)[1]
        shape = disc(2, 1)[:, ::-1] if mirrored else disc(2, 1)
        rows, columns = np.nonzero(label_map == 2)
        wanted = [scale * (axis.mean() + 0.5) - 0.5 + shift for axis in np.nonzero(shape)]
        assert (rows.mean(), columns.mean()) == pytest.approx(wanted, abs=0.5)


def test_an_object_may_leave(real):
    composite = pasted(real, (70.0, 0.0))
    assert (render_composite(composite, 0)[1] == 2).any()
    frame, label_map = render_composite(composite, 5)
    assert not (label_map == 2).any()
    np.testing.assert_array_equal(frame, open_video(real, "ant").frame(5))


def test_void_stays_where_nothing_is_pasted(real, tmp_path):
    ant = open_video(real, "ant")
    path = tmp_path / "void.png"
    write_label_map(path, np.full(SIZE, VOID, np.uint8))
    target = type(ant)("ant", ant.frame_paths[:1], (path,))
    composite = pasted(real, (0.0, 0.0), label=1)
    label_map = render_composite(Composite(Clip(target, 0, 1, False), composite.layers), 0)[1]
    assert set(np.unique(label_map)) == {1, VOID}


@pytest.fixture(scope="module")
def made(real, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "composites"
    write_composites(SETTINGS, real, "train", output, jobs=2)
    return output


def test_data_set_is_read_as_any_other(made):
    dataset = DatasetSettings(root=str(made))
    assert list_videos(dataset, "train") == SETTINGS.video_names(TRAIN)
    origins = json.loads((made / "origins.json").read_text())
    backdrops = {name: shown[0] for name, shown in read_made_from(made).items()}
    assert backdrops == {f"composite-{k:03d}": TRAIN[k % 4] for k in range(5)}
    for name, origin in origins.items():
        video = open_video(dataset, name)
        layers = [layer for layer in origin["back_to_front"] if isinstance(layer, dict)]
        assert len(video) == origin["num_frames"]
        assert len(video) <= min(LENGTHS[layer["video"]] for layer in [origin, *layers])
        assert origin["video"] not in {layer["video"] for layer in layers}
        assert video.backdrop == video.made_from[0] == origin["video"]
        assert set(video.made_from[1:]) == {layer["video"] for layer in layers}
        ids = set(np.unique([video.annotation(t) for t in range(len(video))]))
        assert ids == {0, 1, *(layer["label"] for layer in layers)}


def test_same_settings_give_the_same_bytes_in_any_number_of_processes(made, real, tmp_path):
    write_composites(SETTINGS, real, "train", tmp_path / "again", jobs=1)
    assert files_of(tmp_path / "again") == files_of(made)
    assert ready_path(tmp_path / "again").read_text() == ready_path(made).read_text()
    write_composites(SETTINGS.model_copy(update={"seed": 1, "num_train": 2}), real, "train", tmp_path / "b")
    assert (tmp_path / "b/origins.json").read_text() != (made / "origins.json").read_text()


def test_a_composite_does_not_depend_on_how_many_there_are(made, real, tmp_path):
    write_composites(SETTINGS.model_copy(update={"num_train": 1}), real, "train", tmp_path / "one")
    name = "JPEGImages/480p/composite-000/00003.jpg"
    assert (tmp_path / "one" / name).read_bytes() == (made / name).read_bytes()


def test_objects_stay_within_the_group_of_their_video(real):
    settings = SETTINGS.model_copy(update={"groups": 2})
    videos = videos_of(real)
    for index in range(8):
        composite = plan_composite(settings, videos, index)
        used = {layer.clip.video.name for layer in composite.layers if layer is not None}
        assert {TRAIN.index(name) % 2 for name in used} <= {index % 2}
        assert composite.target.video.name == TRAIN[index % 4]


def test_bounds_on_visibility_and_overlap_hold(real):
    videos = videos_of(real)
    num_pasted = 0
    for index in range(12):
        composite = plan_composite(SETTINGS, videos, index)
        label_maps = np.stack([render_composite(composite, t)[1] for t in range(composite.target.num_frames)])
        num_pasted += len(composite.layers) - 1
        for layer in composite.layers:
            if layer is not None:
                assert SETTINGS.scale[0] <= layer.scale <= SETTINGS.scale[1]
                share = (label_maps == layer.label).sum((1, 2)) / (254 * layer.scale**2)
                # Rims and what lies in front are lost too.
                assert share.mean() > SETTINGS.min_visible * (1 - 2 * SETTINGS.max_overlap) * 0.6
    assert num_pasted > 12


def test_where_its_frame_cuts_an_object_off_the_other_frame_does_too(real):
    videos = videos_of(real)
    found = 0
    for index in range(24):
        composite = plan_composite(SETTINGS, videos, index)
        for layer in composite.layers:
            if layer is None:
                continue
            maps = np.stack([layer.clip.annotation(t) for t in range(layer.clip.num_frames)])
            if maps[:, :, 0].any():
                found += 1
                assert layer.offset[0] <= 0
            if maps[:, :, -1].any():
                found += 1
                assert layer.offset[0] + layer.scale * SIZE[1] >= SIZE[1] - 1e-6
    assert found


def test_colours_move_towards_those_of_the_video(real):
    videos = videos_of(real)
    full = SETTINGS.model_copy(update={"match_colour": 1.0})
    layer = next(layer for layer in plan_composite(full, videos, 0).layers if layer is not None)
    target = plan_composite(full, videos, 0).target
    wanted = target.frame(0).mean((0, 1)) / layer.clip.frame(0).mean((0, 1))
    np.testing.assert_allclose(layer.gains, wanted, atol=0.02)
    assert all(
        (layer.gains == 1).all() for layer in plan_composite(SETTINGS, videos, 0).layers if layer is not None
    )


def test_mirrored(real, tmp_path):
    settings = MirroredSettings(kind="mirrored", source="real")
    write_mirrored(settings, real, "train", tmp_path / "mirrored", jobs=2)
    dataset = DatasetSettings(root=str(tmp_path / "mirrored"))
    assert list_videos(dataset, "train") == [f"{name}-mirrored" for name in TRAIN]
    assert read_made_from(tmp_path / "mirrored") == {f"{name}-mirrored": (name,) for name in TRAIN}
    video, original = open_video(dataset, "cat-mirrored"), open_video(real, "cat")
    assert len(video) == len(original)
    assert video.made_from == (video.backdrop,) == ("cat",)
    assert (original.made_from, original.backdrop) == ((), "cat")
    for t in (0, 8):
        np.testing.assert_array_equal(video.annotation(t), original.annotation(t)[:, ::-1])
        assert np.abs(video.frame(t).astype(int) - original.frame(t)[:, ::-1]).mean() < 2


def test_only_the_training_videos_are_read(real, tmp_path):
    """The others may be missing altogether."""
    root = tmp_path / "train-only"
    for name in TRAIN:
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p").mkdir(parents=True, exist_ok=True)
            (root / kind / "480p" / name).symlink_to(f"{real.root}/{kind}/480p/{name}")
    (root / "ImageSets/2016").mkdir(parents=True)
    (root / "ImageSets/2016/train.txt").write_text("".join(f"{name}\n" for name in TRAIN))
    write_composites(SETTINGS, real.model_copy(update={"root": str(root)}), "train", tmp_path / "composites")
    assert "val" not in (tmp_path / "composites/origins.json").read_text()


def test_mistakes_leave_nothing_behind(real, tmp_path):
    output = tmp_path / "composites"
    with pytest.raises(DatasetError, match="data root none does not exist"):
        write_composites(SETTINGS, DatasetSettings(root="none"), "train", output)
    with pytest.raises(DatasetError, match="no other video may be pasted into ant: set fewer groups"):
        write_composites(SETTINGS.model_copy(update={"groups": 4}), real, "train", output)
    bare = tmp_path / "bare"
    (bare / "JPEGImages").mkdir(parents=True)
    (bare / "JPEGImages/480p").symlink_to(f"{real.root}/JPEGImages/480p")
    (bare / "ImageSets").symlink_to(f"{real.root}/ImageSets")
    for write, settings in (
        (write_composites, SETTINGS),
        (write_mirrored, MirroredSettings(kind="mirrored", source="real")),
    ):
        with pytest.raises(DatasetError, match="has no annotations"):
            write(settings, real.model_copy(update={"root": str(bare)}), "train", output)
    empty = tmp_path / "empty"
    shutil.copytree(real.root, empty)
    for path in empty.glob("Annotations*/480p/*/*.png"):
        Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    with pytest.raises(DatasetError, match="neither ant nor what may be pasted into it has an object"):
        write_composites(SETTINGS, real.model_copy(update={"root": str(empty)}), "train", output)
    assert not list(tmp_path.glob("composites*"))


def test_damaged_origins(tmp_path):
    (tmp_path / "origins.json").write_text('{"a": {}}')
    with pytest.raises(DatasetError, match=r"origins.json cannot be parsed .*: make the data set again"):
        read_made_from(tmp_path)
