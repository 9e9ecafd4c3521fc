"""Settings of every stage. Defaults are the ones that measure best; `paper.yaml` holds the paper's.

Each field's `description` is the comment that stands beside it in `config.yaml`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alba.config.load import parse_settings
from alba.config.plugins import find_backend, resolve_options

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
ProtocolName = Literal["davis17-unsupervised", "davis17-semisupervised", "davis16", "fbms", "youtube-vos"]


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SpritesSettings(Settings):
    """The embedded data set."""

    num_train: Count = Field(24, description="training videos")
    num_val: Count = Field(8, description="validation videos")
    num_frames: Count = Field(24, description="frames per video")
    height: Count = Field(144, description="pixels")
    width: Count = Field(256, description="pixels")
    seed: int = Field(0, description="every pixel follows from it")

    def video_names(self, split: str) -> list[str]:
        """Names of the videos of a split ("train" or "val")."""
        num = {"train": self.num_train, "val": self.num_val}[split]
        return [f"{split}-{index:03d}" for index in range(num)]


class FlowSettings(Settings):
    """Optical flow stage."""

    backend: str = Field("dis", description="dis (OpenCV, on the CPU), ptlflow (networks) or a plugin's")
    options: dict[str, Any] = Field({}, description="the backend's own settings")
    # Not named in the key of a store that has it, so that stores made before this setting stay in use.
    backward: bool = Field(
        True,
        exclude_if=bool,
        description="whether the flow to the previous frame is stored too; grouping needs it",
    )

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        return resolve_options(values, "flow", default="dis")


class ProposalSettings(Settings):
    """Mask proposal stage."""

    backend: str = Field(
        "regions",
        description="regions (no weights, on the CPU), torchvision or detectron2 (Mask R-CNN) or a plugin's",
    )
    options: dict[str, Any] = Field({}, description="the backend's own settings")

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        return resolve_options(values, "proposals", default="regions")

    @property
    def uses_flow(self) -> bool:
        """Whether the backend looks at the flow store."""
        return find_backend("proposals", self.backend).options.uses_flow


class LabelSettings(Settings):
    """Greedy oracle (section 3.2, "Ground Truth Generation")."""

    selection_min_iou: Fraction = Field(
        0.2, description="a proposal is a moving object if its IoU with one exceeds this"
    )
    join_min_precision: Fraction = Field(
        0.5, description="share of a proposal that must lie in the object it joins (paper: 0)"
    )


class EncoderSettings(Settings):
    """The convolutional encoder of figure 3: 3 x 3 convolutions in blocks, a max-pool after each."""

    input_size: Count = Field(48, description="pixels, both sides (paper: 256)")
    widths: tuple[tuple[Count, ...], ...] = Field(
        ((8, 8), (16, 16, 16), (32, 32), (64, 64)), description="channels, a list per block"
    )
    rgb: bool = Field(True, description="whether the image stands beside mask and flow")


class SelectionSettings(Settings):
    """Selection network and its supervised training."""

    encoder: EncoderSettings = EncoderSettings()
    crop_margin: Annotated[float, Field(ge=0)] = Field(
        0.25, description="share of its sides by which a proposal's box is enlarged (paper: 0)"
    )
    working_height: Count = Field(
        160, description="crops are cut from frames of at least so many rows; never enlarged"
    )
    hidden: tuple[Count, ...] = Field(
        (128, 128, 64, 64), description="widths of the hidden layers of the MLP"
    )
    score: bool = Field(True, description="whether the generator's score stands beside f (paper: false)")
    target: Literal["overlap", "iou"] = Field(
        "iou", description="overlap: the label of the oracle (paper); iou: the IoU itself"
    )
    positive_weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="weight of the positive class (the authors' code: 4)"
    )
    threshold: Fraction = Field(0.4, description="a proposal is selected above this output")
    epochs: Count = Field(3, description="passes over the sampled proposals")
    samples_per_frame: Count = Field(12, description="proposals drawn per frame and epoch")
    batch_size: Count = Field(64, description="proposals per update")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="of Adam (paper: 1e-4)")
    flip: bool = Field(True, description="mirror half of the samples")
    folds: Count = Field(
        3,
        description="networks trained on all but a share of the videos, whose outputs for that share the "
        "assignment network learns from; 1: its own training videos' (paper)",
    )
    seed: int = Field(0, description="of weights, order and samples")


class GroupingSettings(Settings):
    """The grouping process that assignment, reinforcement and segmentation share."""

    num_slots: Annotated[int, Field(ge=1, le=20)] = Field(20, description="K_max")
    order: Literal["score", "selection"] = Field(
        "selection",
        description="proposals of a frame by falling generator score (paper) or selection output",
    )
    none_action: bool = Field(
        True, description="whether a proposal may be joined to no object (paper: false)"
    )
    working_height: Count = Field(
        120, description="decisions are taken on masks of at least so many rows; never enlarged"
    )


class AssignmentSettings(Settings):
    """Assignment network and its supervised training."""

    # Not named in the key of a relational network, so that those made before this setting stay in use.
    network: Literal["relational", "pairwise"] = Field(
        "relational",
        exclude_if=lambda network: network == "relational",
        description="relational: a proposal and what each slot holds; pairwise: two proposals, the simple "
        "one that the ablation's row of that name trains in any case",
    )
    fusion: Literal["early", "late"] = Field(
        "late",
        description="early: all channels of a proposal and a slot through one encoder (paper); "
        "late: pooled features of proposal and slot are related",
    )
    encoder: EncoderSettings = Field(EncoderSettings(), description="used by early fusion")
    hidden: tuple[Count, ...] = Field(
        (128, 128, 64, 64), description="widths of the hidden layers of the MLP"
    )
    epochs: Count = Field(4, description="passes over all annotated frames")
    batch_size: Count = Field(16, description="frames per update")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="of Adam (paper: 1e-4)")
    flip: bool = Field(True, description="mirror half of the frames (early fusion)")
    seed: int = Field(0, description="of weights, order and flips")


class ReinforceSettings(Settings):
    """Policy gradient on J&F of whole videos (section 3.2)."""

    discount: Fraction = Field(0.9, description="gamma (paper: 0.99)")
    baseline: Literal["episode", "leave-one-out"] = Field(
        "leave-one-out",
        description="episode: returns standardised within an episode (the authors' code); "
        "leave-one-out: mean return of the other rollouts of the video at the same frame",
    )
    rollouts: Count = Field(4, description="episodes per video and update")
    videos_per_update: Count = Field(8, description="videos per update")
    epochs: Count = Field(12, description="passes over all training videos")
    steps_per_update: Count = Field(
        16, description="gradient steps on each batch of rollouts; 1: vanilla (paper), more: clipped (PPO)"
    )
    clip: Annotated[float, Field(gt=0)] = Field(
        0.2, description="how far later steps may move a decision's probability, as a ratio"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        3e-4, description="of Adam (the authors' code: 1e-5)"
    )
    entropy_weight: Annotated[float, Field(ge=0)] = Field(0.0, description="entropy bonus")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(1.0, description="longer gradients are shortened")
    seed: int = Field(0, description="of the sampled actions and the order")

    @model_validator(mode="after")
    def _enough_rollouts(self) -> Self:
        if self.baseline == "leave-one-out" and self.rollouts < 2:
            raise ValueError("baseline leave-one-out needs rollouts >= 2")
        return self


class SegmentSettings(Settings):
    """Writing of segmentations."""

    tracks: Literal["all", "main"] = Field(
        "all",
        description="main: in every frame only the track, of those in it, of largest summed selection output "
        "times area (single-object data sets)",
    )


class EvaluationSettings(Settings):
    """Scoring."""

    protocol: ProtocolName = Field(
        "davis17-unsupervised",
        description="davis17-unsupervised, davis17-semisupervised, davis16, fbms or youtube-vos",
    )
    tracks: Literal["ids", "first-frame"] = Field(
        "ids",
        description="youtube-vos only: track k is object k, or tracks are chosen by the ground truth of each "
        "object's first annotated frame (published zero-shot figures)",
    )


class Stages(Settings):
    """Settings of all stages."""

    flow: FlowSettings = FlowSettings()
    proposals: ProposalSettings = ProposalSettings()
    labels: LabelSettings = LabelSettings()
    selection: SelectionSettings = SelectionSettings()
    grouping: GroupingSettings = GroupingSettings()
    assignment: AssignmentSettings = AssignmentSettings()
    reinforce: ReinforceSettings = ReinforceSettings()
    segment: SegmentSettings = SegmentSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def pairwise(self) -> AssignmentSettings:
        """Settings of the ablation's simple network: those of stage `assignment` but for what it is."""
        return self.assignment.model_copy(update={"network": "pairwise"})


class DatasetSettings(Settings):
    """A data set on disk."""

    layout: Literal["davis17", "davis16", "fbms", "youtube-vos", "folder"] = Field(
        "davis17",
        description="davis17, davis16, fbms, youtube-vos or folder (a folder of frames per video)",
    )
    root: str = Field("", description="relative to data_root; generated data lies in the cache")
    resolution: str = Field("480p", description="folder below JPEGImages and Annotations")
    image_set: str = Field(
        "", description="folder below ImageSets; empty: that of the layout (2017, 2016 or 480p)"
    )
    train_split: str = Field("train", description="list of the training videos; empty: none")
    val_split: str = Field("val", description="list of the videos to segment and score")
    train_on: str = Field("", description="data set whose networks are used; empty: this one's")
    peers: str = Field(
        "",
        description="folder of other methods' masks (<method>/<video>/<frame>.png), relative to data_root, "
        "for peers.csv; empty: none",
    )
    generate: SpritesSettings | None = Field(None, description="set for generated data only")
    stages: dict[str, Any] = Field({}, description="settings that differ for this data set")


class Configuration(Settings):
    """The whole of `config.yaml`."""

    data_root: str = Field("data", description="folder that holds the data sets")
    cache_root: str = Field("cache", description="folder of the Zarr stores and checkpoints")
    results_root: str = Field("results", description="folder of metrics, tables and pictures")
    datasets: dict[str, DatasetSettings] = {}
    stages: Stages = Stages()

    @model_validator(mode="after")
    def _check_datasets(self) -> Self:
        for name, dataset in self.datasets.items():
            self.stages_of(name)
            if dataset.train_on and dataset.train_on not in self.datasets:
                raise ValueError(f"datasets.{name}.train_on names no data set: {dataset.train_on!r}")
        return self

    def stages_of(self, dataset: str) -> Stages:
        """Settings of all stages, with what differs for a data set."""
        differing = self.datasets[dataset].stages
        merged = merge(self.stages.model_dump(mode="json"), differing)
        return parse_settings(Stages, merged, f"datasets.{dataset}.stages")

    def trainer_of(self, dataset: str) -> str:
        """Name of the data set that a data set's networks are trained on."""
        return self.datasets[dataset].train_on or dataset


def merge(base: dict[str, Any], differing: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries merged key by key; another backend starts from its own options."""
    result = dict(base)
    if differing.get("backend", base.get("backend")) != base.get("backend"):
        result["options"] = {}
    for key, value in differing.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result
