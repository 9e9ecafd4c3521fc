"""Mistakes in the configuration and missing data are told in a line, before anything runs."""

import pytest
from conftest import SPRITES

METRICS = "results/real/metrics.csv"


def failure(project, target):
    result = project.snakemake("--dry-run", target)
    assert result.returncode != 0
    return result.stdout + result.stderr


def test_misspelt_key_is_named_with_the_nearest_right_one(project):
    project.configure(stages={"reinforce": {"discuont": 0.9}})
    text = failure(project, METRICS)
    assert "config.yaml: unknown key 'stages.reinforce.discuont': did you mean 'discount'?" in text
    assert "Traceback" not in text


def test_data_that_is_not_there_is_named_with_the_remedy(project):
    project.configure(datasets={"real": {"root": "not-there"}})
    assert "data root data/not-there does not exist: put the data set there" in failure(project, METRICS)


def test_missing_frame_is_found_before_anything_runs(project):
    (project.path / "data/real/JPEGImages/480p/bear/00001.jpg").unlink()
    assert "bear/00001.jpg is missing: restore the frame" in failure(project, METRICS)


def test_unknown_data_set(project):
    assert "no data set 'davis'" in failure(project, "results/davis/metrics.csv")


def test_networks_without_training_data(project):
    project.configure(datasets={"real": {"root": "real", "train_split": ""}})
    assert "datasets.real.train_split is empty: name a list of videos, or set train_on" in failure(
        project, METRICS
    )


@pytest.mark.parametrize("name", ["bear.v2", "a bear"])
def test_video_names_that_paths_cannot_hold(project, name):
    (project.path / "data/real/ImageSets/2017/val.txt").write_text(f"480p/{name.replace(' ', '%')}/0.jpg\n")
    assert "use letters, digits, - and _" in failure(project, METRICS)


def test_peers_must_be_named_and_there(project):
    peers = "results/real/peers.csv"
    assert "datasets.real.peers is empty: name the folder" in failure(project, peers)
    project.configure(datasets={"real": {"root": "real", "peers": "none"}})
    assert "folder of peers data/none does not exist" in failure(project, peers)
    (project.path / "data/none/alba").mkdir(parents=True)
    assert "method name 'alba'" in failure(project, peers)


def test_data_to_train_on_only_is_not_scored(project):
    others = {"s": {"generate": {}}, "m": {"generate": {"kind": "mirrored", "source": "s"}}}
    project.configure(datasets=others)
    assert "datasets.m.val_split is empty" in failure(project, "results/m/metrics.csv")


def test_mistakes_are_told_where_results_are_there_already(finished):
    """Below a table that exists Snakemake takes its files for sources where their rules cannot be planned."""
    ablation, real = "results/sprites/ablation.csv", {"root": "real", "train_on": "sprites"}
    finished.configure(datasets={"sprites": {**SPRITES, "train_split": ""}, "real": real})
    for target in (ablation, "demo", "results/real/metrics.csv"):
        assert "datasets.sprites.train_split is empty" in failure(finished, target)
    finished.configure(datasets={"sprites": SPRITES, "real": {**real, "val_split": "vall"}})
    assert "vall.txt is missing" in failure(finished, "all_metrics")


def test_training_sets_with_videos_of_one_name_are_told_before_anything_runs(project):
    made = {"kind": "composites", "source": "sprites", "num_train": 2}
    datasets = {"sprites": {**SPRITES, "train_with": ["a", "b"]}, "a": {"generate": made}}
    project.configure(datasets={**datasets, "b": {"generate": {**made, "seed": 1}}})
    text = failure(project, "results/sprites/metrics.csv")
    assert "a and b both have a training video composite-000" in text
    assert "leave one of them out of datasets.sprites.train_with" in text


def test_roots_may_end_in_a_slash_and_not_be_empty(project):
    project.configure(cache_root="cache/", results_root="results/")
    assert project.planned(METRICS)["evaluate_videos"] == 1
    project.configure(cache_root="")
    assert "cache_root" in failure(project, METRICS)


def test_rules_that_cannot_score_a_data_set_are_told_where_it_is_asked_for(project):
    project.configure(stages={"evaluation": {"protocol": "fbms"}})
    assert "protocol fbms cannot score datasets.real of layout davis17" in failure(project, METRICS)
    assert project.planned("results/real/masks/bear")["copy_masks"] == 1
    project.configure(stages={"evaluation": {"tracks": "first-frame"}})
    assert "evaluation.tracks of datasets.real is 'first-frame': leave it out" in failure(project, METRICS)


def test_stores_of_the_forward_flow_alone_are_made_and_not_grouped(finished):
    """Also where there are results of other settings already."""
    finished.configure(stages={"flow": {"backward": False}})
    for target in ("results/sprites/ablation.csv", "results/real/metrics.csv", "results/real/masks/bear"):
        assert "flow.backward of datasets." in failure(finished, target)
    assert finished.planned("all_flow")["estimate_flow"] == 4


def test_what_is_learned_from_is_not_scored_by_another_list(project):
    """As where the root of a YouTube-VOS is one split of it, so that every list is that one."""
    folder = project.path / "data/yt/train"
    (folder / "JPEGImages/0a").mkdir(parents=True)
    (folder / "JPEGImages/0a/00000.jpg").touch()
    (folder / "meta.json").write_text('{"videos": {"0a": {}}}')
    rules = {"evaluation": {"protocol": "youtube-vos"}}
    settings = {"layout": "youtube-vos", "root": "yt/train", "stages": rules}
    project.configure(datasets={"yt": settings})
    text = failure(project, "results/yt/metrics.csv")
    assert "train and val of datasets.yt both list 0a: name lists without a common video" in text
    project.configure(datasets={"yt": {**settings, "val_split": "train"}})  # as it is meant then
    assert project.planned("results/yt/metrics.csv")["evaluate_videos"] == 1


def test_folders_of_frames_are_segmented_and_neither_scored_nor_learned_from(project):
    folder = project.path / "data/clips/my"
    folder.mkdir(parents=True)
    (folder / "00000.jpg").touch()
    clips = {"layout": "folder", "root": "clips"}
    given = {**clips, "train_on": "sprites"}
    project.configure(datasets={"sprites": SPRITES, "clips": given})
    for table in ("metrics.csv", "reinforced/metrics.csv", "ablation.csv"):
        assert "datasets.clips of layout folder has no ground truth" in failure(
            project, f"results/clips/{table}"
        )
    assert project.planned("results/clips/masks/my")["copy_masks"] == 1
    for target in ("all_metrics", "all_ablation"):
        assert (
            project.planned(target)["evaluate_videos"]
            == project.planned(f"results/sprites/{target[4:]}.csv")["evaluate_videos"]
        )
    project.configure(datasets={"clips": clips})
    text = failure(project, "results/clips/masks/my")
    assert (
        "datasets.clips of layout folder has no ground truth to learn from: set train_on, or models" in text
    )
