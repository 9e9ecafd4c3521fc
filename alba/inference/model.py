"""A model: the networks of one training with what must be known of them, to be used without training."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from alba import __version__
from alba.config import NETWORK_FILES, NETWORKS
from alba.errors import CheckpointError, ConfigError
from alba.store import publish_folder
from alba.tables import read_figures
from alba.training.checkpoint import load_assignment, load_refinement, load_selection


def export_model(
    networks: Mapping[str, Path],
    metrics: Mapping[str, Path],
    dataset: str,
    licence: str,
    configuration: Mapping[str, Any],
    output: Path,
) -> None:
    """Publish a model folder: a folder per network, `model.json` and `settings.yaml`.

    Parameters
    ----------
    networks : mapping of str to Path
        Checkpoint folder of each stage that trains a network.
    metrics : mapping of str to Path
        `metrics.csv` of each row of the ablation that was scored with them.
    dataset : str
        Data set that was scored.
    licence : str
        Of what the networks were trained on.
    configuration : mapping
        The settings that they follow from, of the shape of `config.yaml`.
    output : Path
        ``models/<name>``; one that is there already is replaced.

    Raises
    ------
    ConfigError
        No such stage trains a network.
    CheckpointError
        A network is missing or damaged.
    EvaluationError
        A metrics file is missing or damaged.
    StoreError
        The folder cannot be written.
    """
    loaders = {"selection": load_selection, "refinement": load_refinement}
    for stage, folder in networks.items():
        if stage not in NETWORKS:
            raise ConfigError(f"no stage {stage!r} trains a network", f"name one of {', '.join(NETWORKS)}")
        loaders.get(stage, load_assignment)(folder)
    description = {
        "package_version": __version__,
        "dataset": dataset,
        "licence": licence,
        "command": f"snakemake --cores all results/{dataset}/model --configfile <here>/settings.yaml",
        "figures": {row: _figures(path) for row, path in metrics.items()},
        "networks": {stage: _record(folder) for stage, folder in networks.items()},
    }
    with publish_folder(output, "model.json") as partial:
        for stage, folder in networks.items():
            (partial / stage).mkdir()
            for file in NETWORK_FILES:
                shutil.copyfile(folder / file, partial / stage / file)
        (partial / "model.json").write_text(json.dumps(description, indent=1) + "\n")
        (partial / "settings.yaml").write_text(yaml.safe_dump(dict(configuration), sort_keys=False))


def describe_models(folder: Path) -> str:
    """Markdown table of all models below a folder.

    Raises
    ------
    ConfigError
        There is no such folder, or no model in it.
    CheckpointError
        A `model.json` is damaged.
    """
    paths = sorted(folder.glob("*/model.json"))
    if not paths:
        raise ConfigError(f"{folder} holds no model", "name a folder with <model>/model.json")
    lines = ["| model | row | scores | size | trained on, licence | made by |", "|---|---|---|---|---|---|"]
    for path in paths:
        try:
            model = json.loads(path.read_text())
            size = sum(network["bytes"] for network in model["networks"].values())
            command = model["command"].replace("<here>", path.parent.as_posix())
            facts = f"{size / 1e6:.1f} MB | {model['licence']} | `{command}`"
            for row, figures in model["figures"].items():
                scores = ", ".join(f"{name} {figures[name]:.3f}" for name in list(figures)[:2])
                lines.append(f"| {path.parent.name} | {row} | {model['dataset']}: {scores} | {facts} |")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be parsed ({error})", "export the model again") from None
    return "\n".join(lines) + "\n"


def _figures(path: Path) -> dict[str, float]:
    figures = read_figures(path, "evaluate with these networks first").iloc[0]
    return {str(name): float(value) for name, value in figures.items()}


def _record(folder: Path) -> dict[str, Any]:
    weights = (folder / "network.safetensors").read_bytes()
    return {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
