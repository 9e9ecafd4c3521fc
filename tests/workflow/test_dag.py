"""What runs, what runs again and what does not."""

import json
import os
from pathlib import Path

import pytest
import yaml
from conftest import CONFIG, ROOT, SPRITES

DEMO_AND_REAL = ("demo", "results/real/metrics.csv")
AFTER_FLOW = {
    "make_proposals",
    "make_labels",
    "train_selection",
    "train_assignment",
    "train_pairwise",
    "reinforce_assignment",
    "train_refinement",
    "segment_video",
    "refine_masks",
    "evaluate_videos",
    "evaluate_row",
    "compare_rows",
    "draw_curves",
    "draw_overlay",
    "copy_masks",
}


def test_one_call_runs_every_stage_once_per_video(finished):
    verbs = [call.split()[0] for call in finished.calls()]
    # sprites: 3 videos, real: 1; six rows for the one validation video of sprites, one for the real one.
    assert {verb: verbs.count(verb) for verb in sorted(set(verbs))} == {
        "ablation": 1,
        "curves": 1,
        "evaluate": 7,
        "flow": 4,
        "label": 3,
        "overlay": 1,
        "propose": 4,
        "refine": 1,
        "reinforce": 1,
        "segment": 7,
        "sprites": 1,
        "train-assignment": 2,
        "train-refinement": 1,
        "train-selection": 1,
    }


def test_rows_are_given_what_they_read(finished):
    options = {}
    for call in finished.calls():
        words = call.split()
        if words[0] == "segment" and "val-000" in words:
            given = {"--proposals", "--flow", "--labels", "--selection", "--assignment"}
            options[words[words.index("--row") + 1]] = {word for word in words if word in given}
            if "--assignment" in words:
                stage = Path(words[words.index("--assignment") + 1]).name.split("-")[0]
                options[words[words.index("--row") + 1]].add(stage)
    assert options == {
        "proposals": {"--proposals"},
        "oracle": {"--proposals", "--labels"},
        "selection": {"--proposals", "--flow", "--selection"},
        "pairwise": {"--proposals", "--flow", "--selection", "--assignment", "pairwise"},
        "relational": {"--proposals", "--flow", "--selection", "--assignment", "assignment"},
        "reinforced": {"--proposals", "--flow", "--selection", "--assignment", "reinforce"},
    }


def test_simple_network_is_trained_like_the_other_but_for_what_it_is(finished):
    trained = [call for call in finished.calls() if call.startswith("train-assignment")]
    simple = next(call for call in trained if "cache/sprites/pairwise-" in call)
    other = next(call for call in trained if "cache/sprites/assignment-" in call)
    assert '"network":"pairwise"' in simple
    assert '"network"' not in other
    assert simple.replace('"network":"pairwise",', "").split("--output")[0] == other.split("--output")[0]


def test_metrics_of_a_data_set_without_training_use_the_named_networks(finished):
    calls = finished.calls()
    segmented, refined = (
        next(call for call in calls if call.startswith(f"{verb} ") and "bear" in call)
        for verb in ("segment", "refine")
    )
    assert "cache/sprites/selection-" in segmented
    assert "cache/sprites/reinforce-" in segmented
    assert "cache/sprites/refinement-" in refined
    assert "cache/real/segment-reinforced-" in refined
    scored = next(call for call in calls if call.startswith("evaluate ") and "results/real" in call)
    assert "--predictions cache/real/segment-refined-" in scored


def test_second_call_has_nothing_to_do(finished):
    assert not finished.planned(*DEMO_AND_REAL)
    before = len(finished.calls())
    finished.run(*DEMO_AND_REAL)
    assert len(finished.calls()) == before


def test_rl_setting_reruns_nothing_before_rl(finished):
    finished.configure(stages={"reinforce": {"entropy_weight": 0.01}})
    assert finished.planned(*DEMO_AND_REAL) == {
        "reinforce_assignment": 1,
        "train_refinement": 1,
        "segment_video": 2,
        "refine_masks": 1,
        "evaluate_videos": 2,
        "compare_rows": 1,
        "draw_curves": 1,
        "draw_overlay": 1,
        "copy_masks": 1,
    }


def test_flow_setting_reruns_all_that_follows(finished):
    finished.configure(stages={"flow": {"options": {"preset": "fast"}}})
    planned = finished.planned(*DEMO_AND_REAL)
    assert set(planned) == AFTER_FLOW | {"estimate_flow"}
    assert planned["estimate_flow"] == 4


def test_settings_of_one_data_set_leave_the_others_alone(finished):
    real = {"root": "real", "train_on": "sprites", "stages": {"segment": {"tracks": "main"}}}
    datasets = {"sprites": SPRITES, "real": real}
    finished.configure(datasets=datasets)
    assert finished.planned(*DEMO_AND_REAL) == {
        "segment_video": 1,
        "refine_masks": 1,
        "evaluate_videos": 1,
    }


def test_two_configurations_live_side_by_side(finished):
    stores = sorted(finished.path.glob("cache/sprites/*/*.ready.json"))
    finished.configure(stages={"reinforce": {"entropy_weight": 0.01}})
    finished.run(*DEMO_AND_REAL)
    assert all(path.exists() for path in stores)
    finished.configure()
    again = finished.planned(*DEMO_AND_REAL)
    # Back under the first settings only results are drawn anew, from stores that are still there.
    assert set(again) == {
        "evaluate_videos",
        "compare_rows",
        "draw_curves",
        "draw_overlay",
        "copy_masks",
    }


def test_raised_revision_reruns_the_stage(finished):
    snakefile = finished.path / "Snakefile"
    revised = "import alba.config.keys as keys\nkeys.REVISIONS['segment'] += 1\n"
    snakefile.write_text(revised + snakefile.read_text())
    planned = finished.planned(*DEMO_AND_REAL)
    assert planned["segment_video"] == 7
    assert planned["refine_masks"] == 1
    assert "train_selection" not in planned


def test_refinement_is_applied_by_a_setting_that_makes_nothing_else_anew(finished):
    sprites, real = (CONFIG["datasets"][name] for name in ("sprites", "real"))
    applied = {**sprites, "stages": {"ablation": {"seeds": [0]}}}
    finished.configure(datasets={"sprites": applied, "real": real})
    assert finished.planned(*DEMO_AND_REAL) == {
        "refine_masks": 1,
        "evaluate_videos": 1,  # now of the refined tracks; those of the grouping are a row beside it
        "evaluate_row": 1,
        "compare_rows": 1,
        "draw_curves": 1,
        "draw_overlay": 1,
        "copy_masks": 1,
    }
    finished.run("results/sprites/ablation.csv")
    rows = [word for word in finished.calls()[-1].split() if "=" in word]
    assert rows[-3:] == [
        "reinforced=results/sprites/reinforced/metrics.csv",
        "refined=results/sprites/metrics.csv",
        "oracle=results/sprites/oracle/metrics.csv",
    ]
    without = {**real, "stages": {"refinement": {"apply": False}}}
    finished.configure(datasets={"sprites": sprites, "real": without})
    assert finished.planned("results/real/metrics.csv") == {"evaluate_videos": 1}


def test_refinement_setting_reruns_its_training_and_what_follows(finished):
    finished.configure(stages={"refinement": {"epochs": 4}})
    assert finished.planned(*DEMO_AND_REAL) == {
        "train_refinement": 1,
        "refine_masks": 1,
        "evaluate_videos": 1,
    }


def test_frames_that_come_or_go_rerun_their_video(finished):
    frames = finished.path / "data/real/JPEGImages/480p/bear"
    os.utime(frames)  # as after a copy
    assert not finished.planned(*DEMO_AND_REAL)
    (frames / "00003.jpg").touch()
    planned = finished.planned(*DEMO_AND_REAL)
    assert planned == {
        "estimate_flow": 1,
        "make_proposals": 1,
        "segment_video": 1,
        "refine_masks": 1,
        "evaluate_videos": 1,
    }


def test_failed_job_leaves_nothing_that_counts_as_whole(project):
    (project.path / "fail.txt").write_text("flow val-000")
    result = project.snakemake("results/sprites/metrics.csv")
    assert result.returncode != 0
    assert "cannot be decoded: download the file again" in result.stdout + result.stderr
    assert not list(project.path.glob("cache/sprites/flow-*/val-000*"))
    assert not (project.path / "results/sprites/metrics.csv").exists()
    # The other videos went on meanwhile; only the damaged one is left to do.
    (project.path / "fail.txt").unlink()
    assert project.planned("results/sprites/metrics.csv")["estimate_flow"] == 1
    project.run("results/sprites/metrics.csv")
    assert (project.path / "results/sprites/metrics.csv").exists()


def test_progress_of_a_training_outlives_the_failed_job_and_is_found_again(project):
    (project.path / "fail.txt").write_text("reinforce ")
    target = "all_networks"
    assert project.snakemake(target).returncode != 0
    assert not list(project.path.glob("cache/sprites/reinforce-*.ready.json"))
    (kept,) = project.path.glob("cache/sprites/reinforce-*")
    assert kept.name.endswith(".training")
    (project.path / "fail.txt").unlink()
    project.run(target)
    again = [call for call in project.calls() if call.startswith("reinforce ")][-1]
    assert again.endswith("(goes on)")
    assert not project.planned(target)


@pytest.mark.parametrize(
    ("target", "num_jobs"),
    [
        ("all_flow", {"generate_sprites": 1, "estimate_flow": 3, "all_flow": 1}),
        (
            "all_labels",
            {
                "generate_sprites": 1,
                "estimate_flow": 2,
                "make_proposals": 2,
                "make_labels": 2,
                "all_labels": 1,
            },
        ),
    ],
)
def test_stage_targets(project, target, num_jobs):
    datasets = {
        "sprites": SPRITES,
        "absent": {"root": "not-there"},
    }
    project.configure(datasets=datasets)
    assert project.planned(target) == num_jobs


def test_another_workflow_can_import_it(project):
    importer = project.path / "importer.smk"
    importer.write_text(
        f'module alba:\n    snakefile: "{Path(__file__).parents[2]}/Snakefile"\n'
        '    config: {"datasets": {"mine": {"generate": {"num_train": 1, "num_val": 1}}}}\n'
        '    prefix: "elsewhere"\n'
        "\n\nuse rule * from alba as alba_*\n"
    )
    result = project.snakemake("--dry-run", "elsewhere/results/mine/metrics.csv", snakefile="importer.smk")
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    assert "elsewhere/cache/mine/segment-reinforced-" in text
    assert " cache/mine" not in text


@pytest.fixture
def with_peers(finished):
    """Masks of two other methods for the real data set, already scored and compared."""
    datasets = {
        "sprites": SPRITES,
        "real": {"root": "real", "train_on": "sprites", "peers": "peers"},
    }
    finished.configure(datasets=datasets)
    for method in ("cut", "ags"):
        folder = finished.path / "data/peers" / method / "bear"
        folder.mkdir(parents=True)
        (folder / "00000.png").touch()
    finished.run("results/real/peers.csv")
    return finished


def test_peers_are_scored_like_this_system_and_compared(with_peers):
    calls = with_peers.calls()
    evaluated = [call for call in calls if call.startswith("evaluate") and "data/peers" in call]
    assert len(evaluated) == 2
    own = next(call for call in calls if call.startswith("evaluate") and "--output results/real " in call)
    rules = own.split("--predictions")[0]
    assert all(call.startswith(rules) for call in evaluated)
    assert calls[-1].startswith("peers --output results/real/peers.csv --figure results/real/peers.png")
    assert calls[-1].split()[-3:] == [
        "alba=results/real/metrics.csv",
        "ags=results/real/peers/ags/metrics.csv",
        "cut=results/real/peers/cut/metrics.csv",
    ]


def test_masks_that_change_make_their_method_be_scored_again(with_peers):
    assert not with_peers.planned("results/real/peers.csv")
    (with_peers.path / "data/peers/cut/bear/00001.png").touch()
    assert with_peers.planned("results/real/peers.csv") == {"evaluate_peer": 1, "compare_peers": 1}
    (with_peers.path / "data/peers/new").mkdir()
    assert with_peers.planned("results/real/peers.csv") == {"evaluate_peer": 2, "compare_peers": 1}


def test_layouts_of_every_benchmark_are_planned(project):
    fbms, youtube = project.path / "data/FBMS/Testset/cats01", project.path / "data/YouTube-VOS/valid"
    for folder in (fbms, youtube / "JPEGImages/0a"):
        folder.mkdir(parents=True)
        (folder / "00000.jpg").touch()
    (fbms / "GroundTruth").mkdir()
    (youtube / "meta.json").write_text('{"videos": {"0a": {}}}')
    rules = {"fbms": {"protocol": "fbms"}, "yt": {"protocol": "youtube-vos", "tracks": "first-frame"}}
    borrowed = {"train_on": "sprites", "train_split": ""}
    datasets = {
        "sprites": {"generate": {"num_train": 1, "num_val": 1}},
        "fbms": {"layout": "fbms", "root": "FBMS", "stages": {"evaluation": rules["fbms"]}, **borrowed},
        "yt": {
            "layout": "youtube-vos",
            "root": "YouTube-VOS",
            "stages": {"evaluation": rules["yt"]},
            **borrowed,
        },
    }
    project.configure(datasets=datasets)
    planned = project.planned("results/fbms/metrics.csv", "results/yt/metrics.csv")
    assert planned["segment_video"] == planned["refine_masks"] == planned["evaluate_videos"] == 2
    project.run("results/yt/metrics.csv")
    assert "--protocol youtube-vos --tracks first-frame" in project.calls()[-1]


MADE_FROM_SPRITES = {
    "mirror": {"generate": {"kind": "mirrored", "source": "sprites"}},
    "mix": {"generate": {"kind": "composites", "source": "sprites", "num_train": 3}},
}


def test_more_data_to_train_on_reruns_training_and_what_follows(finished):
    real = {"root": "real", "train_on": "sprites"}
    finished.configure(datasets={"sprites": SPRITES, "real": real, **MADE_FROM_SPRITES})
    assert not finished.planned(*DEMO_AND_REAL)  # made only when they are asked for
    more = {**SPRITES, "train_with": ["mirror", "mix"]}
    finished.configure(datasets={"sprites": more, "real": real, **MADE_FROM_SPRITES})
    planned = finished.planned("results/real/metrics.csv")
    assert planned == {
        "generate_mirrored": 1,
        "generate_composites": 1,
        "estimate_flow": 5,
        "make_proposals": 5,
        "make_labels": 5,
        "train_selection": 1,
        "train_assignment": 1,
        "reinforce_assignment": 1,
        "train_refinement": 1,
        "segment_video": 1,
        "refine_masks": 1,
        "evaluate_videos": 1,
    }


def test_networks_are_given_every_data_set_with_its_stores(project):
    project.configure(datasets={"sprites": {**SPRITES, "train_with": ["mirror", "mix"]}, **MADE_FROM_SPRITES})
    project.run("results/sprites/metrics.csv")
    calls = {call.split()[0]: call.split() for call in project.calls()}
    for verb in ("train-selection", "train-assignment", "reinforce"):
        words = calls[verb]
        given = {
            option: [words[i + 1] for i, word in enumerate(words) if word == f"--{option}"]
            for option in ("dataset", "split", "proposals", "flow", "labels")
        }
        for stage in ("proposals", "flow", "labels"):
            owners = [Path(path).parts[1] for path in given[stage]]
            assert owners == ["sprites", "mirror", "mix"]
        owners = [json.loads(text)["root"].split("/")[1] for text in given["dataset"]]
        assert owners == ["sprites", "mirror", "mix"]
        assert given["split"] == ["train"] * 3
    composites = calls["composites"]
    assert "cache/sprites/sprites-" in composites[composites.index("--dataset") + 1]
    assert composites[composites.index("--split") + 1] == "train"


def test_made_from_another_data_set_only_where_that_one_is(project):
    lists = project.path / "data/real/ImageSets/2017"
    (lists / "train.txt").write_text("bear\n")
    made = {
        name: {"generate": {"kind": "composites", "source": source, "num_train": 2}}
        for name, source in (("mix", "real"), ("none", "absent"))
    }
    project.configure(datasets={"real": {"root": "real"}, "absent": {"root": "absent"}, **made})
    assert project.planned("all_data") == {"generate_composites": 1, "all_data": 1}
    assert project.planned("all_flow")["estimate_flow"] == 3
    (project.path / "data/real/ImageSets/2017/train.txt").unlink()
    result = project.snakemake("--dry-run", "all_data")
    assert "train.txt is missing" in result.stdout + result.stderr


def test_settings_of_the_source_hold_for_what_is_made_from_it(project):
    sprites = {**SPRITES, "stages": {"flow": {"options": {"preset": "fast"}}}}
    project.configure(datasets={"sprites": sprites, **MADE_FROM_SPRITES})
    project.run("all_flow")
    flow = [call for call in project.calls() if call.startswith("flow")]
    assert len(flow) == 3 + 2 + 3
    assert all('"preset":"fast"' in call for call in flow)


THREE_RUNS = {
    "sprites": {**SPRITES, "stages": {**SPRITES["stages"], "ablation": {"seeds": [0, 1, 4]}}},
    "real": {"root": "real", "train_on": "sprites"},
}


def test_further_runs_of_the_ablation_train_anew_and_segment_what_follows(finished):
    before = len(finished.calls())
    finished.configure(datasets=THREE_RUNS)
    planned = finished.planned("results/sprites/ablation.csv")
    assert planned == {
        "train_selection": 2,
        "train_assignment": 2,
        "train_pairwise": 2,
        "reinforce_assignment": 2,
        "segment_video": 8,
        "evaluate_run": 8,
        "compare_rows": 1,
    }
    assert not finished.planned("results/sprites/metrics.csv", "results/real/metrics.csv")
    finished.run("results/sprites/ablation.csv")
    calls = [call.split() for call in finished.calls()[before:]]
    for verb in ("train-selection", "train-assignment", "reinforce"):
        settings = [words[words.index("--settings") + 1] for words in calls if words[0] == verb]
        assert sorted({json.loads(text)["seed"] for text in settings}) == [1, 4]
    # Each network follows from those of its own run: its folder is the only one that is named with it.
    made = {}
    for words in calls:
        if words[0] in ("train-assignment", "reinforce"):
            given = tuple(words[words.index(f"--{k}") + 1] for k in ("selection",))
            made.setdefault(given, []).append(words[0])
    assert sorted(map(sorted, made.values())) == [["reinforce", "train-assignment", "train-assignment"]] * 2
    compared = next(words for words in calls if words[0] == "ablation")
    assert [word for word in compared if "=" in word] == [
        "proposals=results/sprites/proposals/metrics.csv",
        "selection=results/sprites/selection/metrics.csv",
        "selection=results/sprites/seeds/1/selection/metrics.csv",
        "selection=results/sprites/seeds/4/selection/metrics.csv",
        "pairwise=results/sprites/pairwise/metrics.csv",
        "pairwise=results/sprites/seeds/1/pairwise/metrics.csv",
        "pairwise=results/sprites/seeds/4/pairwise/metrics.csv",
        "relational=results/sprites/relational/metrics.csv",
        "relational=results/sprites/seeds/1/relational/metrics.csv",
        "relational=results/sprites/seeds/4/relational/metrics.csv",
        "reinforced=results/sprites/metrics.csv",
        "reinforced=results/sprites/seeds/1/reinforced/metrics.csv",
        "reinforced=results/sprites/seeds/4/reinforced/metrics.csv",
        "oracle=results/sprites/oracle/metrics.csv",
    ]


def test_runs_of_a_data_set_that_borrows_its_networks_are_those_of_its_trainer(finished):
    real = {**THREE_RUNS["real"], "stages": {"ablation": {"seeds": [0, 2]}}}
    finished.configure(datasets={"sprites": SPRITES, "real": real})
    planned = finished.planned("results/real/seeds/2/reinforced/metrics.csv")
    assert planned["reinforce_assignment"] == planned["train_selection"] == 1
    assert planned["segment_video"] == planned["evaluate_run"] == 1


def test_run_that_is_not_among_the_seeds_is_refused_by_its_number(project):
    project.configure(datasets=THREE_RUNS)
    result = project.snakemake("--dry-run", "results/sprites/seeds/7/reinforced/metrics.csv")
    assert result.returncode
    message = "no run 7: ablation.seeds is [0, 1, 2, 4]: add 7 to ablation.seeds"
    assert message in result.stdout + result.stderr


def test_given_networks_are_used_instead_of_training(project):
    model = project.path / "models/small"
    for stage in ("selection", "reinforce", "refinement"):
        (model / stage).mkdir(parents=True)
        for file in ("network.json", "network.safetensors"):
            (model / stage / file).write_text(stage)
    project.configure(datasets={"real": {"root": "real", "models": "small", "train_split": ""}})
    project.run("results/real/metrics.csv")
    verbs = [call.split()[0] for call in project.calls()]
    assert verbs == ["flow", "propose", "segment", "refine", "evaluate"]
    segment = next(call for call in project.calls() if call.startswith("segment"))
    assert "--selection models/small/selection --assignment models/small/reinforce" in segment
    assert not project.planned("results/real/metrics.csv")
    assert project.planned("all_networks") == {"all_networks": 1}
    (model / "reinforce/network.safetensors").write_text("better")
    assert project.planned("results/real/metrics.csv") == {
        "segment_video": 1,
        "refine_masks": 1,
        "evaluate_videos": 1,
    }
    refine = next(call for call in project.calls() if call.startswith("refine "))
    assert "--refinement models/small/refinement" in refine
    result = project.snakemake("--dry-run", "results/real/relational/metrics.csv")
    assert "models/small/assignment/network.json is missing" in result.stdout + result.stderr
    result = project.snakemake("--dry-run", "results/real/model")
    assert "networks of real are given, not trained: leave models empty" in result.stdout + result.stderr


def test_model_is_exported_with_its_scores_licence_and_settings(finished):
    assert finished.planned("results/sprites/model") == {"export_model": 1}
    finished.run("results/sprites/model")
    words = finished.calls()[-1]
    for stage in ("selection", "assignment", "reinforce"):
        assert f" {stage}=cache/sprites/{stage}-" in words
    for row in ("selection/metrics.csv", "relational/metrics.csv", "metrics.csv"):
        assert f"=results/sprites/{row}" in words
    assert "--licence sprites: not stated" in words
    assert '"num_train": 2' in words


TRAININGS = {
    "train_selection": "selection",
    "train_assignment": "assignment",
    "train_pairwise": "pairwise",
    "reinforce_assignment": "reinforce",
    "train_refinement": "refinement",
}


def test_trainings_ask_for_a_gpu_unless_their_settings_say_cpu(project):
    targets = ("results/sprites/ablation.csv", "results/real/metrics.csv")
    none = {"estimate_flow": {0}, "make_proposals": {0}}
    assert project.gpus(*targets) == {**none, **{rule: {1} for rule in TRAININGS}}
    cuda, cpu = {"device": "cuda:1"}, {"device": "cpu"}
    project.configure(stages={"selection": cuda, "assignment": cpu, "reinforce": cpu, "refinement": cpu})
    assert project.gpus(*targets) == {
        **none,
        **{rule: {int(rule == "train_selection")} for rule in TRAININGS},
    }


def test_cluster_profile_has_a_partition_for_every_training():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert {
        rule for rule, asked in profile["set-resources"].items() if asked["slurm_partition"] == "gpu"
    } == {*TRAININGS}


def test_targets_of_all_data_sets_leave_out_what_one_does_not_need(project):
    """One borrows networks and has no training list, one has its networks given."""
    borrower = {"root": "real", "train_on": "sprites"}
    given = {"root": "real", "models": str(ROOT / "models/davis16-regions")}
    project.configure(datasets={"sprites": SPRITES, "borrower": borrower, "given": given})
    assert project.planned("all_flow")["estimate_flow"] == 5  # three of sprites, one each of the others
    assert project.planned("all_labels")["make_labels"] == 2
    assert project.planned("all_curves")["draw_curves"] == 2
    assert project.planned("all_networks")["train_pairwise"] == 1


def test_grouping_by_pairs_has_no_relational_row(project):
    project.configure(stages={"assignment": {"network": "pairwise"}})
    planned = project.planned("results/sprites/ablation.csv")
    assert planned["evaluate_row"] == 4  # proposals, selection, pairwise, oracle; reinforced is the result
    result = project.snakemake("--dry-run", "results/sprites/relational/metrics.csv")
    assert result.returncode != 0
    assert "assignment.network of datasets.sprites is pairwise" in result.stdout + result.stderr


def test_data_that_have_moved_are_taken_for_the_same_by_touch(finished):
    (finished.path / "data").rename(finished.path / "elsewhere")
    target = "results/real/metrics.csv"
    moved = ["--config", "data_root=elsewhere", "--", target]
    assert finished.planned(*moved)["estimate_flow"] == 1
    finished.run("--touch", *moved)
    assert not finished.planned(*moved)


def test_borrowed_networks_group_as_they_were_trained_to(finished):
    """The settings of the borrower hold for its rows without such a network."""
    stages = {"grouping": {"num_slots": 5}}
    real = {"root": "real", "train_on": "sprites", "stages": stages}
    finished.configure(datasets={"sprites": SPRITES, "real": real})
    assert not finished.planned("results/real/metrics.csv")
    finished.run("results/real/relational/metrics.csv", "results/real/selection/metrics.csv")
    calls = [call for call in finished.calls() if call.startswith("segment")]
    relational = next(call for call in calls[::-1] if "--row relational" in call)
    assert "--grouping" not in relational
    naive = next(call for call in calls[::-1] if "--row selection" in call)
    assert '--grouping {"num_slots":5,' in naive
