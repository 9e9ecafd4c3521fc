"""A corpus of tiny `sprites`, and trainings on it that take seconds."""

from pathlib import Path

import pandas as pd

from alba.config import (
    AssignmentSettings,
    DatasetSettings,
    GroupingSettings,
    RefinementSettings,
    ReinforceSettings,
    SelectionSettings,
    SpritesSettings,
)
from alba.training.assignment import train_assignment
from alba.training.corpus import Corpus
from alba.training.refinement import train_refinement
from alba.training.reinforce import reinforce
from alba.training.selection import train_selection

SPRITES = SpritesSettings(num_train=4, num_val=1, num_frames=4, height=72, width=128)
SELECTION = SelectionSettings(
    epochs=3,
    folds=2,
    working_height=36,
    threshold=0.2,
    encoder={"input_size": 16, "widths": [[4], [4]]},
    hidden=(8,),
)
GROUPING = GroupingSettings(working_height=36)
ASSIGNMENT = AssignmentSettings(epochs=3, hidden=(8,), validation_share=0.25)
REINFORCE = ReinforceSettings(epochs=3, rollouts=2, videos_per_update=2, steps_per_update=2)
REFINEMENT = RefinementSettings(
    epochs=3, pixels=500, widths=(4, 8), batch_size=4, validation_share=0.25, mixed_precision=False
)
STAGES = {
    "selection": SELECTION,
    "assignment": ASSIGNMENT,
    "reinforce": REINFORCE,
    "refinement": REFINEMENT,
}


class Trainer:
    """The trainings, each with its inputs at hand.

    All publish their best epoch but reinforcement, which starts from a network that has left out no video,
    and so publishes the last.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dataset = DatasetSettings(root=str(root / "data"))
        stores = (root / "proposals", root / "flow", root / "labels")
        self.corpus = Corpus.of(self.dataset, "train", *stores)

    def __call__(self, stage: str, output: Path, **changes: object) -> Path:
        """Run a stage with some settings changed; gives the checkpoint."""
        settings = STAGES[stage].model_copy(update=changes)
        networks = self.root / "selection", self.root / "all-learnt"
        if stage == "selection":
            train_selection(self.corpus, settings, output)
        elif stage == "assignment":
            train_assignment(self.corpus, self.root / "selection", settings, GROUPING, output)
        elif stage == "reinforce":
            reinforce(self.corpus, *networks, settings, output)
        else:
            train_refinement(self.corpus, *networks, settings, "all", output)
        return output

    def command(self, stage: str, output: Path, **changes: object) -> list[str]:
        """The same as a command line, without the program."""
        words = ["reinforce" if stage == "reinforce" else f"train-{stage}"]
        words += ["--dataset", self.dataset.model_dump_json(include={"root"}), "--output", str(output)]
        words += ["--settings", STAGES[stage].model_copy(update=changes).model_dump_json()]
        for store in ("proposals", "flow", "labels"):
            words += [f"--{store}", str(self.root / store)]
        if stage != "selection":
            words += ["--selection", str(self.root / "selection")]
        if stage in ("assignment", "reinforce"):
            words += ["--grouping", GROUPING.model_dump_json()]
        if stage in ("reinforce", "refinement"):
            words += ["--assignment", str(self.root / "all-learnt")]
        return words


def same_networks(one: Path, other: Path) -> bool:
    files = [sorted(path.name for path in folder.glob("*.safetensors")) for folder in (one, other)]
    return files[0] == files[1] and all((one / n).read_bytes() == (other / n).read_bytes() for n in files[0])


def read_log(checkpoint: Path) -> pd.DataFrame:
    """The log without what depends on the clock."""
    log = pd.read_csv(checkpoint / "log.csv")
    return log.drop(columns=[name for name in log.columns if name.endswith("_per_second")])
