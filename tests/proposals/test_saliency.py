import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from alba.config import CompositesSettings, SpritesSettings
from alba.proposals.regions import saliency
from alba.proposals.regions.backend import RegionsBackend, with_neighbours
from alba.proposals.regions.colour import colour_bins, colour_counts, colour_posterior
from alba.proposals.regions.ranking import agreement
from alba.proposals.regions.saliency import (
    FOLDS,
    GLANCE_CUES,
    SURVEY_CUES,
    VOTES,
    Networks,
    View,
    networks_for,
    survey_cues,
)
from alba.proposals.regions.sets import Sets
from alba.proposals.regions.superpixels import Superpixels
from alba.proposals.regions.unet import WIDTHS, probability, read_weights


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


@pytest.mark.parametrize("which", Networks._fields)
@pytest.mark.parametrize("size", [(8, 8), (16, 40), (120, 216)])
def test_network_equals_the_layers_of_torch(which, size):
    num_cues = len({"glance": GLANCE_CUES, "survey": SURVEY_CUES}[which])
    picture = np.random.default_rng(0).normal(0, 1, (num_cues, *size)).astype(np.float32)
    weights = getattr(networks_for("any"), which)
    expected = 1 / (1 + np.exp(-torch_unet(picture, weights)))
    np.testing.assert_allclose(probability(picture, weights), expected, atol=1e-3)


@pytest.mark.parametrize("which", Networks._fields)
def test_a_training_video_gets_the_networks_that_have_not_seen_it(which):
    folds = [read_weights(saliency.WEIGHTS / f"{which}-without-{fold}.npz") for fold in range(FOLDS)]
    held_out = [set(fold["held_out"].tolist()) for fold in folds]
    assert not held_out[0] & held_out[1] | held_out[0] & held_out[2] | held_out[1] & held_out[2]
    assert len(set.union(*held_out)) == 30 + 24  # of DAVIS 2016 and of sprites
    for fold, names in zip(folds, held_out, strict=True):
        assert all(getattr(networks_for(name), which) is fold for name in names)
    everything = read_weights(saliency.WEIGHTS / f"{which}-all.npz")
    assert getattr(networks_for("my-holiday"), which) is everything


def test_all_that_a_composite_shows_is_unknown_to_the_network_of_its_backdrop():
    """Objects are pasted within a group of the source's list, and some network knows none of a group."""
    paths = [saliency.WEIGHTS / f"survey-without-{fold}.npz" for fold in range(FOLDS)]
    folds = [set(read_weights(path)["held_out"].tolist()) for path in paths]
    groups = CompositesSettings(kind="composites", source="any").groups
    sprites = SpritesSettings().video_names("train")
    davis = sorted(set.union(*folds) - set(sprites))  # as in the official list
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


def test_colours_of_other_frames_tell_an_object_apart():
    lab = np.tile(np.array([50, 0, 0], np.float32), (24, 1))
    lab[:4] = 60, 50, 40
    share = np.zeros(24, np.float32)
    share[:4] = 1
    bins = colour_bins(lab)
    table = colour_posterior(colour_counts(bins, share), colour_counts(bins, 1 - share))
    posterior = table[bins[::-1]]  # the object is elsewhere now
    assert (posterior[-4:] > 0.9).all()
    assert (posterior[:-4] < 0.1).all()
    nothing = np.zeros_like(share)
    np.testing.assert_array_equal(
        colour_posterior(colour_counts(bins, nothing), colour_counts(bins, share)), 0.5
    )


def views_of_a_square(num_frames: int, hidden: int) -> list[View]:
    """A bright square that moves by 2 pixels a frame; in one frame the first network has missed it."""
    views = []
    for t in range(num_frames):
        lab = np.full((3, 24, 40), 20, np.float32)
        opinion = np.zeros((24, 40), np.float32)
        flow = np.zeros((4, 24, 40), np.float32)
        square = np.s_[8:16, 4 + 2 * t : 12 + 2 * t]
        lab[(slice(None), *square)] = 60
        flow[(0, *square)], flow[(2, *square)] = 2, -2
        opinion[square] = t != hidden
        cues = np.zeros((len(GLANCE_CUES) + len(VOTES) + 1, 24, 40), np.float32)
        bins = colour_bins(np.moveaxis(lab, 0, -1))
        counts = colour_counts(bins, opinion), colour_counts(bins, 1 - opinion)
        views.append(View(cues, opinion, flow, lab, bins, *counts))
    return views


def test_second_network_hears_from_other_frames_of_what_the_first_missed():
    views = views_of_a_square(9, hidden=4)
    so_far = sum(view.inside for view in views), sum(view.outside for view in views)
    cues = dict(zip(SURVEY_CUES, survey_cues(views, 4, so_far), strict=True))
    square, outside = np.s_[10:14, 15:17], np.s_[:6, :10]  # well within it, in all frames around
    for name in ("opinion_1_off", "opinion_3_off", "colour_so_far", "colour_nearby"):
        assert cues[name][square].min() > 0.8
        assert cues[name][outside].max() < 0.2
    assert not cues["opinion_6_off"][outside].any()


@pytest.mark.parametrize(("num_items", "reach"), [(0, 2), (1, 2), (2, 2), (5, 2), (9, 1), (4, 0)])
def test_every_item_comes_once_with_its_neighbours(num_items, reach):
    runs = [(list(run), t) for run, t in with_neighbours(range(num_items), reach)]
    assert [run[t] for run, t in runs] == list(range(num_items))
    for item, (run, _) in enumerate(runs):
        assert set(run) >= set(range(max(0, item - reach), min(num_items, item + reach + 1)))
        assert len(run) <= 2 * reach + 1


def test_frames_are_taken_no_further_ahead_than_they_are_heard_of():
    taken = []
    items = (taken.append(t) or t for t in range(20))
    runs = with_neighbours(items, 3)
    for t in range(10):
        next(runs)
        assert len(taken) == t + 4


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
