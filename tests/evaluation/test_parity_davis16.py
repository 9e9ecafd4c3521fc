"""Official per-frame figures of four published methods, reproduced on their masks."""

import json
from pathlib import Path

import numpy as np
import pytest

from alba.config import DatasetSettings
from alba.datasets import open_video
from alba.evaluation import evaluate

DATA = Path(__file__).parents[2].parent / "shared/data"
OFFICIAL = DATA / "results-2016/official.json"

pytestmark = pytest.mark.skipif(not OFFICIAL.is_file(), reason="the real data is not here")


def check(method, names, output):
    """Every official figure is ours, rounded to its three decimals; no frame differs."""
    dataset = DatasetSettings(layout="davis16", root=str(DATA / "DAVIS-2016"))
    videos = [open_video(dataset, name) for name in names]
    results = evaluate("davis16", videos, OFFICIAL.parent / method, output)
    official = json.loads(OFFICIAL.read_text())[method]
    for name in names:
        for measure in "JF":
            ours = getattr(results.videos[name], measure)[:, 0]
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
