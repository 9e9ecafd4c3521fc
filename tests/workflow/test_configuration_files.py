"""Files that are generated from the settings, or must agree with them."""

import re
import tomllib
from importlib.metadata import distributions, version
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from alba.config import Configuration, parse_settings
from alba.config.defaults import config_text, schema_text
from alba.config.settings import merge

ROOT = Path(__file__).parents[2]
OVERLAYS = [ROOT / "workflow/paper.yaml", *sorted(ROOT.glob("models/*/settings.yaml"))]
PROFILES = sorted(ROOT.glob("profiles/*/config.yaml"))


@pytest.mark.parametrize(
    ("path", "text"), [("config.yaml", config_text), ("workflow/schemas/config.schema.json", schema_text)]
)
def test_generated_file_is_up_to_date(path, text):
    assert (ROOT / path).read_text() == text(), "run: python -m alba.config.defaults"


def test_config_yaml_says_the_defaults():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    written = parse_settings(Configuration, values, "config.yaml")
    assert written.model_copy(update={"datasets": {}}) == Configuration()
    assert list(written.datasets) == [
        "sprites",
        "davis17",
        "davis16",
        "davis16-mirrored",
        "davis16-composites",
    ]


def test_paper_overlay_is_the_paper_s():
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    overlay = yaml.safe_load((ROOT / "workflow/paper.yaml").read_text())
    paper = parse_settings(Configuration, merge(base, overlay), "paper.yaml")
    assert paper.stages.labels.join_min_precision == 0
    assert paper.stages.selection.working_height == paper.stages.grouping.working_height == 240
    assert paper.stages.selection.folds == 1
    assert not paper.stages.selection.score
    assert not paper.stages.grouping.none_action
    assert paper.stages.grouping.order == "score"
    assert paper.stages.reinforce.baseline == "episode"
    assert not paper.stages.refinement.apply
    assert paper.stages.assignment.fusion == "early"
    assert paper.stages.flow.options["model"] == "pwcnet"
    assert paper.stages.reinforce.steps_per_update == paper.stages.reinforce.rollouts == 1
    assert paper.stages.reinforce.decision_discount is None
    assert paper.results_root != Configuration().results_root


@pytest.mark.parametrize(
    "text", re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
)
def test_examples_of_the_readme_are_settings(text):
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    parse_settings(Configuration, merge(base, yaml.safe_load(text)), "README.md")


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.parent.name)
def test_policy_gradient_of_an_overlay_is_that_of_all_its_data_sets(path):
    """What a data set has of its own in config.yaml would take precedence over the overlay's stages."""
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    overlay = yaml.safe_load(path.read_text())
    configuration = parse_settings(Configuration, merge(base, overlay), path.name)
    for dataset in configuration.datasets:
        assert configuration.stages_of(dataset).reinforce == configuration.stages.reinforce, dataset


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_key_of_a_profile_has_its_reason(path):
    lines = path.read_text().splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"[a-z-]+:", line)]
    assert keys
    assert all(lines[i - 1].startswith("# ") for i in keys)


def test_only_the_cluster_profile_names_partitions():
    assert "slurm_partition" in (ROOT / "profiles/slurm/config.yaml").read_text()
    rules = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    assert "slurm" not in rules + (ROOT / "profiles/workstation/config.yaml").read_text()


def test_constraints_pin_every_requirement_and_name_no_host():
    lines = (ROOT / "envs/constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert not any(mark in line for line in lines for mark in ("://", "+", "@"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for text in chain(project["dependencies"], *extras):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[normal(requirement.name)]), text
    assert pins["snakemake"] == version("snakemake")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_pins_fit_each_other():
    """As far as what needs them is installed."""
    lines = (ROOT / "envs/constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    checked = 0
    for installed in distributions():
        name = normal(installed.metadata["Name"])
        if pins.get(name) != installed.version:
            continue
        for requirement in map(Requirement, installed.requires or []):
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and (pin := pins.get(normal(requirement.name))):
                assert requirement.specifier.contains(pin), f"{name} needs {requirement}, not {pin}"
                checked += 1
    assert checked > 100
