"""Trained networks that are handed on as a model."""

import json
from pathlib import Path

import pytest
import yaml

from alba.config import (
    AssignmentSettings,
    Configuration,
    GroupingSettings,
    SelectionSettings,
    find_model,
    parse_settings,
    stage_key,
)
from alba.errors import CheckpointError, ConfigError, EvaluationError
from alba.inference.decisions import Sources
from alba.inference.model import describe_models, export_model
from alba.training.checkpoint import (
    build_assignment,
    build_selection,
    describe_assignment,
    load_assignment,
    load_selection,
    save_checkpoint,
)

ROOT = Path(__file__).parents[2]
CONFIGURATION = {"datasets": {"real": {"root": "real"}}, "stages": {"selection": {"epochs": 1}}}


@pytest.fixture
def trained(tmp_path):
    """Checkpoints as trainings leave them, with what only trainings need beside the network."""
    selection = build_selection(SelectionSettings(hidden=(8,)), 4)
    description = {"kind": "selection", "settings": selection.settings.model_dump(mode="json")}
    description |= {"num_features": 4, "provenance": {}}
    held_out = {"held_out": selection.network.state_dict()}
    save_checkpoint(tmp_path / "selection-0", selection.network, description, [{"epoch": 1}], held_out)
    assignment = build_assignment(AssignmentSettings(hidden=(8,)), GroupingSettings(), 4)
    for stage in ("assignment", "reinforce"):
        described = describe_assignment(assignment, {"stage": stage})
        save_checkpoint(tmp_path / f"{stage}-0", assignment.network, described, [{"epoch": 1}])
    (tmp_path / "metrics.csv").write_text("J&F-Mean,J-Mean,F-Mean\n0.5125,0.5,0.525\n")
    return {stage: tmp_path / f"{stage}-0" for stage in ("selection", "assignment", "reinforce")}


@pytest.fixture
def model(trained, tmp_path):
    output = tmp_path / "models/small"
    scores = {"reinforced": tmp_path / "metrics.csv"}
    export_model(trained, scores, "real", "real: CC BY 4.0", CONFIGURATION, output)
    return output


def test_model_holds_networks_figures_licence_and_settings(model, trained):
    files = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
    networks = [f"{stage}/network.{kind}" for stage in sorted(trained) for kind in ("json", "safetensors")]
    assert files == sorted([*networks, "model.json", "settings.yaml"])
    described = json.loads((model / "model.json").read_text())
    assert described["figures"] == {"reinforced": {"J&F-Mean": 0.5125, "J-Mean": 0.5, "F-Mean": 0.525}}
    assert described["licence"] == "real: CC BY 4.0"
    assert set(described["networks"]) == set(trained)
    again = parse_settings(Configuration, yaml.safe_load((model / "settings.yaml").read_text()), "settings")
    assert again.stages.selection.epochs == 1
    assert load_selection(model / "selection").num_features == 4
    assert load_assignment(model / "reinforce").num_features == 4


def test_table_of_models(model):
    table = describe_models(model.parent).splitlines()
    assert table[2].startswith("| small | reinforced | real: J&F-Mean 0.512, J-Mean 0.500 |")
    assert f"results/real/model --configfile {model}/settings.yaml" in table[2]
    (model / "model.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"model.json cannot be parsed .*: export the model again"):
        describe_models(model.parent)
    (model / "model.json").unlink()
    (model / "model.json").mkdir()
    with pytest.raises(CheckpointError, match=r"model.json cannot be parsed"):
        describe_models(model.parent)
    with pytest.raises(ConfigError, match=r"nothing holds no model"):
        describe_models(model / "nothing")


def test_readme_of_the_models_that_come_with_alba_is_up_to_date(monkeypatch):
    monkeypatch.chdir(ROOT)
    table = describe_models(Path("models"))
    assert Path("models/README.md").read_text().endswith(f"\n\n{table}"), "see target model of the Makefile"


def test_damage_is_found_before_anything_is_written(trained, tmp_path):
    (trained["reinforce"] / "network.safetensors").write_bytes(b"damaged")
    scores = {"reinforced": tmp_path / "metrics.csv"}
    with pytest.raises(CheckpointError, match=r"reinforce-0/network.safetensors is damaged"):
        export_model(trained, scores, "real", "", CONFIGURATION, tmp_path / "out")
    del trained["reinforce"]
    with pytest.raises(EvaluationError, match=r"none.csv is missing"):
        export_model(trained, {"relational": tmp_path / "none.csv"}, "real", "", {}, tmp_path / "out")
    ablation = tmp_path / "ablation.csv"
    for content, message in (
        ("J&F-Mean\n", "no line below its head"),
        ("row,J&F-Mean\noracle,0.5\n", "is no metrics.csv, it has words in column row"),
        ("J&F-Mean\n0.5\n0.6\n", "is no metrics.csv, it has 2 lines"),
    ):
        ablation.write_text(content)
        with pytest.raises(EvaluationError, match=message):
            export_model(trained, {"relational": ablation}, "real", "", {}, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"no stage '\.\./x' trains a network: name one of selection, "):
        export_model({"../x": trained["selection"]}, scores, "real", "", {}, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_models_are_found_by_name_and_by_path(model, monkeypatch):
    monkeypatch.chdir(model.parents[1])
    assert find_model("small") == Path("models/small")
    assert find_model(str(model)) == model
    with pytest.raises(ConfigError, match=r"no model 'large': name a folder or one of: .*small"):
        find_model("large")


def test_a_row_takes_its_networks_from_the_model(model):
    sources = Sources(Path("p.zarr"), Path("f.zarr"))
    reinforced = sources.with_model(model, "reinforced")
    assert (reinforced.selection, reinforced.assignment) == (model / "selection", model / "reinforce")
    assert sources.with_model(model, "relational").assignment == model / "assignment"
    assert sources.with_model(model, "proposals") == sources
    (model / "reinforce/network.json").unlink()
    with pytest.raises(ConfigError, match=r"reinforce/network.json is missing: use a model with"):
        sources.with_model(model, "reinforced")


def test_keys_follow_from_the_networks_and_not_from_settings_of_trainings(model):
    def key(row, seed=0, epochs=3, models=str(model), stage="segment"):
        values = {"datasets": {"real": {"models": models}, "lent": {"train_on": "real"}}}
        values["stages"] = {"selection": {"epochs": epochs}}
        configuration = parse_settings(Configuration, values, "config.yaml")
        keys = {stage_key(configuration, name, stage, row, seed) for name in ("real",)}
        assert configuration.models_of("lent") == models
        return keys.pop()

    assert key("reinforced") == key("reinforced", seed=1, epochs=4)
    assert key("reinforced") != key("reinforced", models="")
    assert key("reinforced") != key("relational")
    assert key("oracle") == key("oracle", models="")
    before, path = key("relational"), model / "reinforce/network.json"
    path.write_text(path.read_text().replace('"provenance"', '"provenance" '))
    moved = model.with_name("moved")
    model.rename(moved)  # what a model is called does not matter; what is in it does
    assert key("relational", models=str(moved)) == before
    assert key("reinforced", models=str(moved)) not in {before, key("reinforced", models="")}
