"""What docs/stores.md and the README tell to type works as it stands."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from alba.config import Configuration, parse_settings, stage_key

ROOT = Path(__file__).parents[2]
KINDS = {"flow": "flow", "proposals": "proposals", "labels": "labels", "segment": "segmentation"}


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", ["docs/stores.md", "README.md"])
def test_the_examples_run(document, written, tmp_path, monkeypatch):
    pytest.importorskip("xarray")
    blocks = python_blocks((ROOT / document).read_text())
    assert blocks
    configuration = parse_settings(
        Configuration, yaml.safe_load((ROOT / "config.yaml").read_text()), "config.yaml"
    )
    for folder, dataset, stage in re.findall(r'"(cache/(\w+)/(\w+)-\w+)', "".join(blocks)):
        assert folder == f"cache/{dataset}/{stage}-{stage_key(configuration, dataset, stage)}"
        shutil.copytree(written.path(KINDS[stage]).parent, tmp_path / folder, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, document, "exec"), names)


def test_every_array_is_documented():
    from alba.store import SCHEMAS

    sections = re.split(r"^## ", (ROOT / "docs/stores.md").read_text(), flags=re.MULTILINE)
    for kind, schema in SCHEMAS.items():
        [section] = [text for text in sections if text.startswith(f"{kind}\n")]
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", section, re.MULTILINE))
        assert set(rows) == set(schema.arrays)
        for name, spec in schema.arrays.items():
            assert rows[name].startswith(f"{', '.join(spec.axes)} | {spec.dtype} |")
