"""A project folder whose `alba` only touches its outputs, so that the DAG itself is tested in seconds."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

FAKE_ALBA = """\
import pathlib, sys
verb, *words = sys.argv[1:]
options = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
output = pathlib.Path(options["--output"])
progress = output.with_name(output.name + ".training")
with open("calls.txt", "a") as calls:
    calls.write(" ".join([verb, *words, *(["(goes on)"] if progress.exists() else [])]) + "\\n")
if verb == "evaluate":
    output.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.csv", "per-object.csv", "per-frame.csv", "results.json"):
        (output / name).touch()
elif verb in ("ablation", "curves", "overlay", "peers"):
    for path in (output, *(pathlib.Path(options.get(name, output)) for name in ("--figure", "--runs"))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
else:
    output.mkdir(parents=True)
    (output / "zarr.json").touch()
    if verb == "reinforce":
        progress.mkdir(exist_ok=True)
    failing = pathlib.Path("fail.txt")
    if failing.exists() and failing.read_text() == f"{verb} {options.get('--video', '')}":
        sys.exit("data/bear/00003.jpg cannot be decoded: download the file again")
    if verb == "reinforce":
        progress.rmdir()
    if "--masks" in options:
        pathlib.Path(options["--masks"]).mkdir()
        (pathlib.Path(options["--masks"]) / "00000.png").touch()
    ready = output.with_name(output.name.removesuffix(".zarr") + ".ready.json")
    ready.write_text("{}")
"""

SPRITES: dict[str, Any] = {
    "generate": {"num_train": 2, "num_val": 1},
    # The demo's results are those of the grouping, the real data set's those of its refined tracks.
    "stages": {"ablation": {"seeds": [0]}, "refinement": {"apply": False}},
}

CONFIG: dict[str, Any] = {
    "datasets": {
        "sprites": SPRITES,
        "real": {"root": "real", "train_on": "sprites"},
    }
}


@dataclass(frozen=True)
class Project:
    """A working directory of the workflow."""

    path: Path

    def snakemake(self, *words: str, snakefile: str = "Snakefile") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "4", "--snakefile", snakefile]
        profile = ["--workflow-profile", str(ROOT / "profiles/workstation")]
        return subprocess.run(
            [*command, *profile, *words], cwd=self.path, capture_output=True, text=True, timeout=300
        )

    def run(self, *words: str) -> None:
        result = self.snakemake(*words)
        assert result.returncode == 0, result.stdout + result.stderr

    def planned(self, *words: str, snakefile: str = "Snakefile") -> Counter[str]:
        """Number of jobs of each rule that a call would run."""
        result = self.snakemake("--dry-run", *words, snakefile=snakefile)
        text = result.stdout + result.stderr
        assert result.returncode == 0, text
        rows = re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE)  # the table "Job stats"
        return Counter({rule: int(num) for rule, num in rows if rule not in {"all", "demo", "total"}})

    def gpus(self, *words: str) -> dict[str, set[int]]:
        """GPUs that the jobs of each rule would ask for, of those that say how many."""
        result = self.snakemake("--dry-run", *words)
        text = result.stdout + result.stderr
        assert result.returncode == 0, text
        asked: dict[str, set[int]] = {}
        for job in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
            for num in re.findall(r"resources: .*\bgpu=(\d+)", job):
                asked.setdefault(job.partition(":")[0], set()).add(int(num))
        return asked

    def configure(self, **changes: Any) -> None:
        """Write `config.yaml` (JSON is YAML) with top-level keys changed."""
        (self.path / "config.yaml").write_text(json.dumps({**CONFIG, **changes}))

    def calls(self) -> list[str]:
        path = self.path / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []


def lay_out(path: Path) -> Project:
    """A fresh project: configuration, fake command, one real video of empty frames."""
    project = Project(path)
    (path / "bin").mkdir(parents=True)
    command = path / "bin/alba"
    command.write_text(f"#!{sys.executable} -S\n{FAKE_ALBA}")
    command.chmod(0o755)
    (path / "Snakefile").write_text(
        f'include: "{ROOT}/Snakefile"\nshell.prefix("export PATH={path}/bin:$PATH; ")\n'
    )
    frames = path / "data/real/JPEGImages/480p/bear"
    frames.mkdir(parents=True)
    for index in range(3):
        (frames / f"{index:05d}.jpg").touch()
    lists = path / "data/real/ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("bear\n")
    project.configure()
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return lay_out(tmp_path / "project")


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = lay_out(tmp_path_factory.mktemp("workflow") / "project")
    project.run("demo", "results/real/metrics.csv")
    return project


@pytest.fixture
def finished(_finished: Project, tmp_path: Path) -> Project:
    """A copy of a project in which the demo and one real data set have been run."""
    path = tmp_path / "project"
    shutil.copytree(_finished.path, path)
    return Project(path)
