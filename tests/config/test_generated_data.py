"""Settings of data sets that are generated, from scratch or from other ones."""

import pytest

from alba.config import CompositesSettings, Configuration, SpritesSettings, parse_settings, stage_key
from alba.errors import ConfigError

SPRITES = {"generate": {"num_train": 2}}
MIRRORED = {"generate": {"kind": "mirrored", "source": "real"}}


def configuration(**datasets):
    return parse_settings(Configuration, {"datasets": datasets}, "config.yaml")


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({"train_with": ["mix"]}, "datasets.real.train_with names no data set: 'mix'"),
        ({"train_with": ["real"]}, "datasets.real.train_with names 'real' again"),
        ({"train_with": ["s"], "train_on": "s"}, "sets both train_on and train_with: keep one"),
        (
            {"generate": {"kind": "mirrored", "source": "mix"}},
            "real.generate.source names no data set: 'mix'",
        ),
        ({"generate": {"kind": "mirrored", "source": "m"}}, "real.generate.source is made from another"),
        ({"generate": {"kind": "mirrored", "sauce": "s"}}, "did you mean 'source'?"),
        ({"generate": {"kind": "composites", "source": "s", "object": 1}}, "did you mean 'objects'?"),
        (
            {"generate": {"kind": "composites", "source": "s", "scale": [2, 1]}},
            "scale has its larger bound first",
        ),
        ({"generate": {"kind": "collage"}}, "'sprites', 'mirrored', 'composites'"),
        ({"generate": {}, "resolution": "1080p"}, "resolution is that of alba where data are generated"),
        ({"generate": {}, "train_split": "mine"}, "train_split of generated data is train, or empty"),
        ({"generate": {"kind": "composites", "source": "s", "scale": [1, float("inf")]}}, "finite number"),
        ({"train_on": "borrower"}, "train_on names 'borrower', whose networks are those of 's': name that"),
        ({"train_with": ["c"]}, "train_with names 'c', which is made from 's': make composites from 'real'"),
    ],
)
def test_mistakes_are_named(dataset, words):
    others = {
        "s": {"generate": {}},
        "m": {"generate": {"kind": "mirrored", "source": "s"}},
        "c": {"generate": {"kind": "composites", "source": "s"}},
        "borrower": {"train_on": "s"},
    }
    with pytest.raises(ConfigError) as caught:
        configuration(**others, real={"root": "real", **dataset})
    assert words in str(caught.value)


def test_kinds_are_told_apart_and_sprites_need_no_name():
    datasets = configuration(
        s=SPRITES, c={"generate": {"kind": "composites", "source": "s"}}, n={"generate": {"kind": "sprites"}}
    ).datasets
    assert isinstance(datasets["s"].generate, SpritesSettings)
    assert isinstance(datasets["c"].generate, CompositesSettings)
    assert datasets["n"].generate == SpritesSettings()
    assert (datasets["s"].val_split, datasets["c"].val_split) == ("val", "")


def test_key_of_sprites_does_not_name_the_kind():
    """Data of versions that had no other kind stay in use."""
    key = stage_key(configuration(s={"generate": {}}), "s", "sprites")
    assert (
        key == stage_key(configuration(s={"generate": {"kind": "sprites"}}), "s", "sprites") == "ed1109d7b6"
    )


def test_keys_follow_from_the_source():
    def key(stage, real, **more):
        return stage_key(configuration(real=real, m=MIRRORED, **more), "m", stage)

    real = {"root": "a"}
    for stage in ("mirrored", "flow", "selection"):
        before = key(stage, real)
        assert key(stage, {"root": "a", "val_split": "other"}) == before
        assert key(stage, {"root": "b"}) != before
        assert key(stage, {"root": "a", "train_split": "other"}) != before
    sprites = [{"generate": {"seed": seed}} for seed in (0, 1)]
    assert key("mirrored", sprites[0]) != key("mirrored", sprites[1])


def test_networks_follow_from_all_that_they_learn_from():
    def key(stage, train_with, seed=0):
        composites = {"generate": {"kind": "composites", "source": "real", "seed": seed}}
        datasets = configuration(real={"root": "a", "train_with": train_with}, m=MIRRORED, c=composites)
        return stage_key(datasets, "real", stage)

    keys = [key("reinforce", *given) for given in ([()], [("m",)], [("m", "c")], [("m", "c"), 1])]
    assert len(set(keys)) == 4
    assert key("labels", ()) == key("labels", ("m", "c"))
    assert key("reinforce", (), 1) == keys[0]


def test_another_folder_of_lists_is_another_training():
    def key(stage, image_set=""):
        real = {"root": "a", "image_set": image_set}
        return stage_key(configuration(real=real, m=MIRRORED), "m" if stage == "mirrored" else "real", stage)

    for stage in ("selection", "reinforce", "refinement", "mirrored"):
        assert key(stage) != key(stage, "2016")
    assert key("labels") == key("labels", "2016")


def test_groups_of_composites_fit_the_folds_of_cross_fitting():
    def of(groups, folds):
        made = {"kind": "composites", "source": "real", "groups": groups}
        real = {"train_with": ["c"], "stages": {"selection": {"folds": folds}}}
        return configuration(real=real, c={"generate": made})

    with pytest.raises(
        ConfigError, match=r"datasets\.c\.generate\.groups = 3: .* multiple of selection\.folds, 2"
    ):
        of(3, 2)
    for groups, folds in ((3, 3), (4, 2), (3, 1)):
        of(groups, folds)
