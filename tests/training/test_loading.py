"""What the networks are given of a video, and of its mirror image, number by number."""

import numpy as np
import pytest
import torch
from PIL import Image

from alba.config import EncoderSettings, GroupingSettings, SelectionSettings
from alba.datasets import Video, open_as
from alba.grouping import PictureObserver
from alba.masks import pack_masks
from alba.networks import SelectionNetwork, crop_proposals
from alba.store import SCHEMAS, FlowStore, StoreWriter
from alba.training.crops import Sample, cut, cut_samples
from alba.training.loading import FLOW_SCALE, load_grouping_video, load_selection_video, read_pictures

SIZE = (32, 48)
COUNTS = (3, 2)
BOXES = np.array([[8, 4, 24, 20], [0, 0, 8, 8], [24, 8, 48, 32], [8, 8, 16, 16], [0, 16, 48, 32]], np.float32)
SCORES = np.array([0.2, 0.9, 0.5, 0.6, 0.7], np.float32)
FEATURES = np.arange(10, dtype=np.float32).reshape(5, 2)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A video of two frames and its stores; masks are their boxes, the flow of a frame is constant."""
    root = tmp_path_factory.mktemp("loading")
    frames = []
    for t in range(2):
        frames.append(root / f"{t}.png")
        Image.fromarray(np.full((*SIZE, 3), (51, 102, 204), np.uint8)).save(frames[-1])
    masks = np.zeros((5, *SIZE), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    flow = np.zeros((2, 2, *SIZE), np.int16)
    flow[:, 0], flow[:, 1] = 32, -64  # one pixel to the right, two up
    content = {
        "proposals": {
            "frame_offsets": np.cumsum([0, *COUNTS]),
            "masks": pack_masks(masks),
            "boxes": BOXES,
            "scores": SCORES,
            "features": FEATURES,
        },
        "flow": {"forward": flow, "backward": -2 * flow},
        "labels": {
            "object_ids": np.array([1, 2], np.uint8),
            "iou": np.array([[0.1, 0.3], [0, 0], [0.9, 0.2], [0.5, 0.6], [0, 0.1]], np.float32),
            "selected": np.array([True, False, True, True, False]),
            "oracle_object": np.zeros(5, np.uint8),
            "oracle_segmentation": np.zeros((2, *SIZE), np.uint8),
            "ground_truth": np.repeat(np.arange(32, dtype=np.uint8) % 20, 48).reshape(1, *SIZE).repeat(2, 0),
        },
    }
    paths = {}
    for kind, arrays in content.items():
        paths[kind] = root / kind / "clip.zarr"
        with StoreWriter(paths[kind], SCHEMAS[kind], SIZE, {"inputs": {"video": "clip"}}) as writer:
            for name, values in arrays.items():
                writer.append(name, values)
    return Video("clip", tuple(frames)), paths


@pytest.fixture(scope="module")
def video(stores):
    """For the selection network, at half of the size."""
    clip, paths = stores
    return load_selection_video(clip, paths["proposals"], paths["flow"], paths["labels"], 16)


def test_pictures_are_colours_and_flow_by_the_width_of_the_frame(stores, video):
    colours = np.array([51, 102, 204]) / 255 - 0.5
    step = FLOW_SCALE * SIZE[1]
    assert video.pictures.shape == (2, 5, 16, 24)
    for picture in video.pictures:
        means = picture.astype(np.float64).mean((1, 2))
        np.testing.assert_allclose(means, [*colours, 1 / step, -2 / step], atol=1e-3)


def test_flow_of_a_picture_is_clipped(stores, monkeypatch):
    monkeypatch.setattr("alba.training.loading.FLOW_SCALE", 1e-3)
    clip, paths = stores
    picture = read_pictures(clip, open_as(FlowStore, paths["flow"], clip), (8, 8))[0].astype(float)
    assert picture[3].min() == 4
    assert picture[4].max() == -4


def test_selection_sees_boxes_masks_and_labels_at_its_own_size(video):
    np.testing.assert_array_equal(video.boxes, BOXES / 2)
    np.testing.assert_array_equal(video.offsets, [0, 3, 5])
    masks = video.masks(np.arange(5))
    for mask, (x0, y0, x1, y1) in zip(masks, (BOXES / 2).astype(int), strict=True):
        expected = np.zeros((16, 24), bool)
        expected[y0:y1, x0:x1] = True
        np.testing.assert_array_equal(mask, expected)
    np.testing.assert_allclose(video.iou, [0.3, 0, 0.9, 0.6, 0.1])
    np.testing.assert_array_equal(video.selected, [True, False, True, True, False])
    np.testing.assert_array_equal(video.known(slice(0, 2), False), FEATURES[:2])
    np.testing.assert_array_equal(video.known(slice(0, 2), True), np.c_[FEATURES[:2], SCORES[:2]])


def test_a_crop_is_the_enlarged_box(video):
    """A box whose sides are enlarged by half on every side holds the mask in the middle half of the crop."""
    settings = SelectionSettings(encoder=EncoderSettings(input_size=16), crop_margin=0.5)
    crops = cut(video, 0, np.array([0]), settings)
    assert crops.shape == (1, 6, 16, 16)
    mask = crops[0, 5].numpy()
    assert mask[5:11, 5:11].min() == 1
    assert mask[:3].max() == mask[-3:].max() == mask[:, :3].max() == mask[:, -3:].max() == 0
    whole = cut(video, 0, np.array([0]), settings.model_copy(update={"crop_margin": 0.0}))
    assert whole[0, 5].min() > 0.5  # nothing but the box, whose rim is interpolated


def test_each_crop_has_its_own_mask(video):
    settings = SelectionSettings(encoder=EncoderSettings(input_size=16), crop_margin=0.0)
    rows = np.array([1, 0])
    together = cut(video, 0, rows, settings)
    for crop, row in zip(together, rows, strict=True):
        torch.testing.assert_close(crop, cut(video, 0, np.array([row]), settings)[0])
    assert together[:, 5, 4:12, 4:12].min() == 1


def test_crops_show_their_place_in_their_picture_and_nothing_outside():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    pictures = torch.stack([torch.stack([rows, columns, rows, columns, rows]) + 100 * f for f in range(2)])
    boxes = torch.tensor([[2.0, 4.0, 6.0, 8.0], [4.0, 0.0, 12.0, 8.0]])
    masks = torch.ones(2, 8, 8)
    crops = crop_proposals(pictures, masks, boxes, torch.tensor([1, 0]), 4, 0.0)
    expected = torch.arange(4.0)
    torch.testing.assert_close(crops[0, 0], 104 + expected[:, None].expand(4, 4))
    torch.testing.assert_close(crops[0, 1], 102 + expected[None].expand(4, 4))
    assert (crops[1, :, :, 2:] == 0).all()  # beyond the right edge
    assert (crops[1, 5, :, :2] == 1).all()


def test_mirrored_samples_look_the_other_way(video):
    settings = SelectionSettings(encoder=EncoderSettings(input_size=16), crop_margin=0.5)
    rows = np.array([2])
    (straight, *answers), (mirrored, *same) = (
        cut_samples([Sample(video, 0, rows, flip)], settings) for flip in (False, True)
    )
    back = mirrored.flip(-1)
    torch.testing.assert_close(back[:, 3], -straight[:, 3])
    assert straight[:, 3].abs().max() > 0
    for channel in (0, 1, 2, 4, 5):
        torch.testing.assert_close(back[:, channel], straight[:, channel])
    assert not torch.equal(mirrored[:, 2], straight[:, 2])  # the box reaches beyond the frame on one side
    assert all(torch.equal(a, b) for a, b in zip(answers, same, strict=True))


def test_network_without_colours_sees_flow_and_mask():
    network = SelectionNetwork(SelectionSettings(encoder=EncoderSettings(rgb=False), hidden=(4,)), 1)
    crops, known = torch.rand(2, 6, 48, 48), torch.zeros(2, 1)
    before = network(crops, known)
    colourless = crops.clone()
    colourless[:, :3] = 0
    torch.testing.assert_close(network(colourless, known), before)
    for channel in (3, 4, 5):
        changed = crops.clone()
        changed[:, channel] = 0
        assert not torch.equal(network(changed, known), before)


def test_mirrored_pictures_look_the_other_way():
    """Early fusion: slots, proposals and pictures are mirrored, u is negated, nothing else changes."""
    rng = torch.Generator().manual_seed(0)
    slot_maps = torch.randint(0, 4, (2, 2, 4, 4), generator=rng, dtype=torch.uint8)
    proposals = torch.rand(2, 4, 4, generator=rng) > 0.5
    pictures = torch.randn(2, 5, 4, 4, generator=rng)
    features, rows = torch.randn(2, 3, generator=rng), torch.arange(2)
    seen = (slot_maps, features, rows, proposals, rows, pictures)
    mirrored = PictureObserver().mirror(seen)
    sign = torch.tensor([1, 1, 1, -1, 1.0]).view(1, 5, 1, 1)
    expected = (slot_maps.flip(-1), features, rows, proposals.flip(-1), rows, pictures.flip(-1) * sign)
    for one, other in zip(mirrored, expected, strict=True):
        torch.testing.assert_close(one, other)


SELECTION = np.array([0.5, 0.1, 0.8, 0.3, 0.2], np.float32)


@pytest.mark.parametrize(
    ("order", "threshold", "expected"),
    [
        ("selection", 0.0, [[2, 0, 1], [3, 4]]),
        ("score", 0.0, [[1, 2, 0], [4, 3]]),
        ("selection", 0.2, [[2, 0], [3]]),
        ("score", 0.6, [[2], []]),
    ],
)
def test_selected_proposals_are_decided_on_in_order(stores, order, threshold, expected):
    clip, paths = stores
    settings = GroupingSettings(order=order, working_height=16)
    video, rows = load_grouping_video(clip, paths["proposals"], paths["flow"], SELECTION, threshold, settings)
    assert [chosen.tolist() for chosen in rows] == expected
    for frame, known, chosen in zip(video.frames, video.features, rows, strict=True):
        np.testing.assert_array_equal(known, np.c_[FEATURES, SCORES, SELECTION][chosen])
        for member, box in zip(frame.membership, (BOXES[chosen] / 2).astype(int), strict=True):
            mask = np.zeros((16, 24), bool)
            mask[box[1] : box[3], box[0] : box[2]] = True
            np.testing.assert_array_equal(member[frame.cell_map], mask)


def test_grouping_sees_motion_and_truth_at_its_own_size(stores, monkeypatch):
    """The flow back is two pixels to the left and four down: half as many at half of the size."""
    seen = []
    monkeypatch.setattr("alba.training.loading.group_video", lambda *arguments: seen.append(arguments))
    clip, paths = stores
    load_grouping_video(
        clip,
        paths["proposals"],
        paths["flow"],
        SELECTION,
        0.0,
        GroupingSettings(working_height=16),
        labels=paths["labels"],
        picture_size=8,
    )
    [(name, _, _, backward, truth, pictures)] = seen
    assert name == "clip"
    assert backward.shape == (2, 2, 16, 24)
    assert np.unique(backward[:, 0]).tolist() == [-1]
    assert np.unique(backward[:, 1]).tolist() == [2]
    np.testing.assert_array_equal(truth[0, :, 0], np.arange(1, 32, 2) % 20)
    assert pictures.shape == (2, 5, 8, 8)
