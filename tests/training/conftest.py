import os
from pathlib import Path

import pytest
from tiny_trainings import SPRITES, Trainer

from alba.config import DatasetSettings, FlowSettings, LabelSettings, ProposalSettings
from alba.datasets import open_video
from alba.datasets.sprites import write_sprites
from alba.flow import compute_flow
from alba.oracle import label_video
from alba.proposals import compute_proposals


@pytest.fixture(scope="session")
def trainer(tmp_path_factory) -> Trainer:
    root = tmp_path_factory.mktemp("training")
    write_sprites(SPRITES, root / "data")
    dataset = DatasetSettings(root=str(root / "data"))
    for index in range(SPRITES.num_train):
        video = open_video(dataset, f"train-{index:03d}")
        flow, proposals, labels = (root / f"{s}/{video.name}.zarr" for s in ("flow", "proposals", "labels"))
        compute_flow(video, FlowSettings(), flow)
        compute_proposals(video, ProposalSettings(options={"max_proposals": 8}), flow, proposals)
        label_video(video, LabelSettings(), proposals, labels)
    trainer = Trainer(root)
    trainer("selection", root / "selection")
    trainer("assignment", root / "assignment")
    trainer("assignment", root / "all-learnt", validation_share=0.0)
    trainer("reinforce", root / "reinforce")
    trainer("refinement", root / "refinement")
    return trainer


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a process that runs the command line: this copy of alba, one thread."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
