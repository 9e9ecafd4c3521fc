import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from alba.config import CompositesSettings, SpritesSettings
from alba.proposals.regions import saliency
from alba.proposals.regions.backend import RegionsBackend
from alba.proposals.regions.ranking import agreement
from alba.proposals.regions.saliency import (
    CUES,
    WIDTHS,
    ColourModel,
    Ensemble,
    read_ensemble,
    saliency_networks,
)
from alba.proposals.regions.sets import Sets
from alba.proposals.regions.superpixels import Superpixels


def grid(rows=4, columns=6, side=8):
    """Square superpixels in rows, as a partition with its graph."""
    labels = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    edges = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], 1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], 1),
        ]
    )
    pixels = labels.repeat(side, 0).repeat(side, 1)
    areas = np.full(labels.size, side * side, np.float32)
    return Superpixels(pixels, areas, edges.astype(np.int32), np.full(len(edges), side, np.float32))


def torch_unet(picture, weights):
    """The same network by torch's own layers."""

    def block(x, name):
        for layer in (0, 1):
            kernel = torch.from_numpy(weights[f"{name}.{layer}.weight"]).permute(2, 3, 0, 1)
            bias = torch.from_numpy(weights[f"{name}.{layer}.bias"])
            x = functional.conv2d(x, kernel, bias, padding=1).relu()
        return x

    x, skipped = torch.from_numpy(picture)[None], []
    for scale in range(len(WIDTHS)):
        x = block(functional.max_pool2d(x, 2) if scale else x, f"down.{scale}")
        skipped.append(x)
    for scale in reversed(range(len(WIDTHS) - 1)):
        enlarged = nn.Upsample(scale_factor=2, mode="nearest")(x)
        x = block(torch.cat([skipped[scale], enlarged], 1), f"up.{scale}")
    kernel = torch.from_numpy(weights["out.weight"])[None, :, None, None]
    return functional.conv2d(x, kernel)[0, 0].numpy() + float(weights["out.bias"])


@pytest.mark.parametrize("size", [(8, 8), (16, 40), (120, 216)])
def test_network_equals_the_layers_of_torch(size):
    picture = np.random.default_rng(0).normal(0, 1, (len(CUES), *size)).astype(np.float32)
    for weights in saliency_networks("any").members:
        expected = torch_unet(picture, weights)
        np.testing.assert_allclose(
            saliency._unet(picture, weights), expected, atol=1e-3 * abs(expected).max()
        )


def test_saliency_is_the_mean_of_different_networks():
    superpixels = grid()
    cues = np.random.default_rng(0).normal(0, 1, (len(CUES), 32, 48)).astype(np.float32)
    both = saliency_networks("any")
    assert len(both.members) == 2
    alone = [
        saliency.saliency(superpixels, cues, Ensemble((weights,), frozenset())) for weights in both.members
    ]
    assert abs(alone[0] - alone[1]).max() > 0.01
    np.testing.assert_allclose(saliency.saliency(superpixels, cues, both), np.mean(alone, 0), atol=1e-6)


def test_a_training_video_gets_networks_that_have_not_seen_it():
    folds = [read_ensemble(path) for path in saliency._FOLDS]
    held_out = [fold.held_out for fold in folds]
    assert not held_out[0] & held_out[1] | held_out[0] & held_out[2] | held_out[1] & held_out[2]
    assert len(set().union(*held_out)) == 30 + 24  # of DAVIS 2016 and of sprites
    for fold, names in zip(folds, held_out, strict=True):
        assert all(saliency_networks(name) is fold for name in names)
    assert saliency_networks("my-holiday") is read_ensemble(saliency._FOLDER / "all.npz")


def test_all_that_a_composite_shows_is_unknown_to_the_networks_of_its_backdrop():
    """Objects are pasted within a group of the source's list; some network knows none of a group."""
    folds = [read_ensemble(path).held_out for path in saliency._FOLDS]
    groups = CompositesSettings(kind="composites", source="any").groups
    sprites = SpritesSettings().video_names("train")
    davis = sorted(set().union(*folds) - set(sprites))  # as in the official list
    for names in (sprites, davis):
        for start in range(groups):
            group = set(names[start::groups])
            assert sum(group <= fold for fold in folds) == 1


def test_the_backend_asks_by_the_name_of_the_video():
    from alba.config.backends import RegionsOptions

    backend = RegionsBackend(RegionsOptions())
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (48, 64, 3), np.uint8)
    flow = np.zeros((2, 48, 64), np.float32)
    flow[:, 10:30, 10:40] = 4
    scores = {}
    for name in ("my-holiday", "another", "bear"):
        backend.begin_video(name)
        scores[name] = backend.propose(frame, flow, -flow).scores
    np.testing.assert_array_equal(scores["my-holiday"], scores["another"])
    assert len(scores["bear"]) != len(scores["another"]) or (scores["bear"] != scores["another"]).any()


def test_colour_model_tells_colours_of_the_past_apart():
    superpixels = grid()
    lab = np.tile(np.array([50, 0, 0], np.float32), (len(superpixels), 1))
    lab[:4] = 60, 50, 40
    share = np.zeros(len(superpixels), np.float32)
    share[:4] = 1
    colours = ColourModel()
    colours.learn(superpixels, lab, share)
    moved = lab[::-1].copy()  # the object is elsewhere now
    posterior = colours.posterior(moved)
    assert (posterior[-4:] > 0.9).all()
    assert (posterior[:-4] < 0.1).all()


def test_what_the_saliency_covers_agrees_best():
    superpixels = grid()
    truth = np.zeros(len(superpixels), bool)
    truth[[7, 8, 13, 14]] = True
    half, other = truth.copy(), np.zeros_like(truth)
    half[[7, 8]] = False
    other[[10, 11]] = True
    cues = agreement(Sets(superpixels, np.stack([truth, half, other])), truth * np.float32(0.9))
    overlap, certain = cues[:, 2], cues[:, 3]
    assert overlap[0] > overlap[1] > overlap[2] == 0
    np.testing.assert_allclose(certain, [1, 0.5, 0])
    assert cues[0, 1] == pytest.approx(0.9)  # nothing around it
