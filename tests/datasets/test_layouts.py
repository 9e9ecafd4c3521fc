"""Layouts on disk, and what is said when they are damaged."""

import numpy as np
import pytest
from PIL import Image

from alba.config import DatasetSettings
from alba.datasets import list_videos, open_video
from alba.errors import DatasetError
from alba.masks import write_label_map

SIZE = (6, 10)


@pytest.fixture
def root(tmp_path):
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / kind / "480p" / "bear").mkdir(parents=True)
    for t in range(4):
        frame = np.full((*SIZE, 3), 40 * t, np.uint8)
        Image.fromarray(frame).save(tmp_path / f"JPEGImages/480p/bear/{t:05}.jpg")
        write_label_map(tmp_path / f"Annotations/480p/bear/{t:05}.png", np.full(SIZE, t % 3, np.uint8))
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("bear\n")
    return tmp_path


def video_of(root, layout="davis17"):
    return open_video(DatasetSettings(layout=layout, root=str(root)), "bear")


def test_davis17(root):
    dataset = DatasetSettings(root=str(root))
    assert list_videos(dataset, "val") == ["bear"]
    video = open_video(dataset, "bear")
    assert (len(video), video.size) == (4, SIZE)
    assert video.annotation(2).max() == 2


def test_davis16_annotations_are_foreground_and_lists_may_pair_files(root):
    write_label_map(root / "Annotations/480p/bear/00001.png", np.full(SIZE, 255, np.uint8))
    (root / "ImageSets/480p").mkdir()
    (root / "ImageSets/480p/train.txt").write_text(
        "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n" * 2
    )
    assert list_videos(DatasetSettings(layout="davis16", root=str(root)), "train") == ["bear"]
    assert np.unique(video_of(root, "davis16").annotation(1)).tolist() == [1]


def test_unsupervised_annotations_come_first_except_in_davis16(root):
    (root / "Annotations_unsupervised/480p").mkdir(parents=True)
    for t in range(4):
        folder = root / "Annotations_unsupervised/480p/bear"
        folder.mkdir(exist_ok=True)
        write_label_map(folder / f"{t:05}.png", np.full(SIZE, 255, np.uint8))
    assert np.unique(video_of(root).annotation(0)).tolist() == [255]
    assert np.unique(video_of(root, "davis16").annotation(0)).tolist() == [0]
    named = open_video(DatasetSettings(root=str(root)), "bear", ("Annotations",))
    assert np.unique(named.annotation(1)).tolist() == [1]


def test_list_of_another_year_is_read_only_when_it_is_named(root):
    (root / "ImageSets/2019").mkdir()
    (root / "ImageSets/2019/val.txt").write_text("camel\n")
    assert list_videos(DatasetSettings(root=str(root)), "val") == ["bear"]
    assert list_videos(DatasetSettings(root=str(root), image_set="2019"), "val") == ["camel"]
    with pytest.raises(DatasetError, match=r"2016/val\.txt is missing"):
        list_videos(DatasetSettings(root=str(root), image_set="2016"), "val")


def test_folder_of_frames(root):
    dataset = DatasetSettings(layout="folder", root=str(root / "JPEGImages/480p"))
    assert list_videos(dataset, "val") == ["bear"]
    assert open_video(dataset, "bear").annotation_paths is None


def test_missing_frame(root):
    (root / "JPEGImages/480p/bear/00002.jpg").unlink()
    with pytest.raises(DatasetError, match=r"00002\.jpg is missing"):
        video_of(root)


def test_missing_last_frame_is_seen_by_its_annotation(root):
    (root / "JPEGImages/480p/bear/00003.jpg").unlink()
    with pytest.raises(DatasetError, match=r"00003\.jpg is missing"):
        video_of(root)


def test_missing_annotation(root):
    (root / "Annotations/480p/bear/00001.png").unlink()
    with pytest.raises(DatasetError, match=r"00001\.png is missing"):
        video_of(root)


@pytest.mark.parametrize("path", ["JPEGImages/480p/bear/00001.jpg", "Annotations/480p/bear/00001.png"])
def test_truncated_file(root, path):
    whole = (root / path).read_bytes()
    (root / path).write_bytes(whole[: len(whole) // 2])
    video = video_of(root)
    with pytest.raises(DatasetError, match=r"00001\.(jpg|png) cannot be decoded"):
        video.frame(1) if path.endswith("jpg") else video.annotation(1)


def test_other_size(root):
    write_label_map(root / "Annotations/480p/bear/00001.png", np.zeros((6, 9), np.uint8))
    Image.fromarray(np.zeros((5, 10, 3), np.uint8)).save(root / "JPEGImages/480p/bear/00002.jpg")
    video = video_of(root)
    with pytest.raises(DatasetError, match=r"00001\.png is 6 x 9"):
        video.annotation(1)
    with pytest.raises(DatasetError, match=r"00002\.jpg is 5 x 10"):
        video.frame(2)


def test_id_above_the_limit(root):
    write_label_map(root / "Annotations/480p/bear/00001.png", np.full(SIZE, 21, np.uint8))
    with pytest.raises(DatasetError, match="object id 21"):
        video_of(root).annotation(1)


def test_colours_are_no_ids(root):
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(root / "Annotations/480p/bear/00001.png")
    with pytest.raises(DatasetError, match="holds colours"):
        video_of(root).annotation(1)


def test_empty_or_absent_root(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        list_videos(DatasetSettings(root=str(tmp_path / "none")), "val")
    with pytest.raises(DatasetError, match=r"val\.txt is missing"):
        list_videos(DatasetSettings(root=str(tmp_path)), "val")
    with pytest.raises(DatasetError, match="no folder with frames"):
        list_videos(DatasetSettings(root=str(tmp_path), layout="folder"), "val")


def clip_of(root, names, mode="RGB"):
    (root / "clip").mkdir()
    for value, name in enumerate(names, 1):
        levels = np.full(SIZE, value, np.uint8)
        image = Image.fromarray(levels.astype(np.uint16) * 257 if mode == "I;16" else levels)
        (image if mode == "I;16" else image.convert(mode)).save(root / "clip" / name)
    return open_video(DatasetSettings(layout="folder", root=str(root)), "clip")


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    names = [f"{n}.png" for n in range(12)]
    assert [path.name for path in clip_of(tmp_path, names).frame_paths] == names


def test_two_frames_of_one_name_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"holds 00001\.jpg and 00001\.png"):
        clip_of(tmp_path, ["00000.png", "00001.png", "00001.jpg"])


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA"])
def test_frames_of_other_modes_are_brought_to_eight_bits_of_three_colours(tmp_path, mode):
    video = clip_of(tmp_path, [f"{n}.png" for n in range(3)], mode)
    assert [np.unique(video.frame(t)).tolist() for t in range(3)] == [[1], [2], [3]]
    assert video.frame(0).shape == (*SIZE, 3)


def test_a_list_that_is_no_text_is_named(root):
    (root / "ImageSets/2017/val.txt").write_bytes("bär".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"val\.txt is no text in UTF-8"):
        list_videos(DatasetSettings(root=str(root)), "val")
