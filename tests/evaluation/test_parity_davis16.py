"""Official per-frame figures of four published methods, reproduced on their masks."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from alba.evaluation import evaluate

DATA = Path(os.environ.get("ALBA_TEST_DATA", Path(__file__).parents[2].parent / "shared/data"))
OFFICIAL = DATA / "results-2016/official.json"

pytestmark = pytest.mark.skipif(not OFFICIAL.is_file(), reason="the real data is not here")


def check(method, names, output):
    """Every official figure is ours, rounded to its three decimals; no frame differs."""
    (output / "names.txt").write_text("\n".join(names))
    results = evaluate(
        "davis16",
        DATA / "DAVIS-2016",
        OFFICIAL.parent / method,
        output / "scores",
        split=str(output / "names.txt"),
    )
    official = json.loads(OFFICIAL.read_text())[method]
    for name in names:
        for measure in "JF":
            ours = results.frames.loc[results.frames["sequence"] == name, measure].to_numpy()
            theirs = official[name][measure]
            assert len(ours) == len(theirs)
            differing = np.flatnonzero(np.abs(ours - theirs) > 0.0005 + 1e-9)
            assert not len(differing), f"{method} {name} {measure}: frames {differing + 1}"


def test_one_sequence_of_one_method(tmp_path):
    check("ags", ["car-shadow"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ags", "pdb", "matnet", "cut"])
def test_all_sequences(method, tmp_path):
    names = sorted(json.loads(OFFICIAL.read_text())[method]) if OFFICIAL.is_file() else []
    assert len(names) == 6
    check(method, names, tmp_path)
