"""Settings of every stage. Defaults are the ones that measure best; `paper.yaml` holds the paper's.

Each field's `description` is the comment that stands beside it in `config.yaml`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from alba.config.load import parse_settings
from alba.config.plugins import find_backend, resolve_options

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
ProtocolName = Literal["davis17-unsupervised", "davis17-semisupervised", "davis16", "fbms", "youtube-vos"]


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SpritesSettings(Settings):
    """The embedded data set."""

    # Not named in the key: data made before there were other kinds stay in use.
    kind: Literal["sprites"] = Field("sprites", exclude=True, description="sprites, mirrored or composites")
    num_train: Count = Field(24, description="training videos")
    num_val: Count = Field(8, description="validation videos")
    num_frames: Count = Field(24, description="frames per video")
    height: Count = Field(144, description="pixels")
    width: Count = Field(256, description="pixels")
    seed: Seed = Field(0, description="every pixel follows from it")

    def video_names(self, split: str) -> list[str]:
        """Names of the videos of a split ("train" or "val")."""
        num = {"train": self.num_train, "val": self.num_val}[split]
        return [f"{split}-{index:03d}" for index in range(num)]


class MirroredSettings(Settings):
    """The training videos of another data set, left and right exchanged."""

    kind: Literal["mirrored"] = Field(description="sprites, mirrored or composites")
    source: str = Field(description="data set whose training videos are mirrored")

    def video_names(self, sources: Sequence[str]) -> list[str]:
        """Names of the videos made from the source's training videos."""
        return [f"{name}-mirrored" for name in sources]


class CompositesSettings(Settings):
    """Training videos of another data set with annotated objects of its other training videos pasted in."""

    kind: Literal["composites"] = Field(description="sprites, mirrored or composites")
    source: str = Field(description="data set whose training videos are combined; it must be annotated")
    num_train: Count = Field(60, description="videos; the source's take turns in being pasted into")
    num_frames: Count = Field(60, description="most frames per video; none is longer than what it is made of")
    objects: tuple[Count, Count] = Field((1, 3), description="fewest and most objects pasted into a video")
    scale: tuple[Positive, Positive] = Field(
        (0.6, 1.2), description="least and largest magnification of a pasted object"
    )
    flip: bool = Field(True, description="mirror half of the videos and half of the pasted objects")
    min_visible: Fraction = Field(
        0.6, description="share of a pasted object that lies inside the frame, mean over the video"
    )
    max_overlap: Fraction = Field(
        0.4, description="share of the smaller of two objects that lies over or under the other, likewise"
    )
    match_colour: Fraction = Field(
        0.5, description="how far a pasted object's colours follow from its video's mean to the other's"
    )
    groups: Count = Field(
        3,
        description="the source's videos are dealt out into so many groups, and objects are pasted within "
        "theirs only; a multiple of selection.folds, so that cross-fitting never sees what it is asked about",
    )
    seed: Seed = Field(0, description="every choice follows from it")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("objects", "scale"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} has its larger bound first: [{low}, {high}]")
        return self

    def video_names(self, sources: Sequence[str]) -> list[str]:
        """Names of the videos, whatever they are made from."""
        return [f"composite-{index:03d}" for index in range(self.num_train)]


def _kind_of(generate: Any) -> str:
    if isinstance(generate, dict):
        return str(generate.get("kind", "sprites"))
    return str(getattr(generate, "kind", None))


Generation: TypeAlias = Annotated[
    Annotated[SpritesSettings, Tag("sprites")]
    | Annotated[MirroredSettings, Tag("mirrored")]
    | Annotated[CompositesSettings, Tag("composites")],
    Discriminator(_kind_of),
]
"""How a data set is made; the kinds that have a `source` read the training videos of another one."""


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
        description="regions (embedded, on the CPU), torchvision or detectron2 (Mask R-CNN) or a plugin's",
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

    @model_validator(mode="after")
    def _pools_leave_a_pixel(self) -> Self:
        if not self.widths or not all(self.widths):
            raise ValueError("widths must name a convolution per block at least")
        least = 2 ** len(self.widths)
        if self.input_size < least:
            raise ValueError(
                f"input_size must be {least} at least, as each of {len(self.widths)} blocks halves it"
            )
        return self


class TrainingSettings(Settings):
    """What a training runs on."""

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    mixed_precision: bool = Field(False, description="networks in bfloat16 where it is safe")


class SelectionSettings(TrainingSettings):
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
    threshold: Fraction = Field(0.1, description="a proposal is selected above this output (paper: 0.5)")
    epochs: Count = Field(3, description="passes over the sampled proposals")
    samples_per_frame: Count = Field(12, description="proposals drawn per frame and epoch")
    batch_size: Count = Field(
        64, description="proposals per update at most: as many frames as fit, one at least"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="of Adam (paper: 1e-4)")
    flip: bool = Field(True, description="mirror half of the samples")
    folds: Count = Field(
        3,
        description="networks trained on all but a share of the videos, whose outputs for that share the "
        "assignment network learns from; 1: its own training videos' (paper)",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="best: train for as many epochs as give the least loss on the videos that the folds "
        "leave out; last: for all (paper; with one fold always)",
    )
    seed: Seed = Field(0, description="of weights, order and samples")


class GroupingSettings(Settings):
    """The grouping process that assignment, reinforcement and segmentation share."""

    num_slots: Annotated[int, Field(ge=1, le=20)] = Field(20, description="K_max")
    order: Literal["score", "selection"] = Field(
        "selection",
        description="proposals of a frame by falling generator score (paper) or selection output",
    )
    none_action: bool = Field(
        True,
        description="whether a proposal may be joined to no object (paper: false; never with early fusion)",
    )
    working_height: Count = Field(
        120, description="decisions are taken on masks of at least so many rows; never enlarged"
    )


class AssignmentSettings(TrainingSettings):
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
    join_weight: Annotated[float, Field(gt=0)] = Field(
        4.0, description="weight of decisions that join a slot; of those that join none: 1 (paper: 1)"
    )
    hidden: tuple[Count, ...] = Field(
        (128, 128, 64, 64), description="widths of the hidden layers of the MLP"
    )
    epochs: Count = Field(4, description="passes over all annotated frames")
    batch_size: Count = Field(16, description="decisions per update, about")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="of Adam (paper: 1e-4)")
    flip: bool = Field(True, description="mirror half of the frames (early fusion)")
    validation_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2,
        description="share of the training videos that this stage and reinforcement do not learn from: the "
        "epoch that does best on them is published; 0: the last one (paper)",
    )
    seed: Seed = Field(0, description="of weights, order, flips and the videos to validate on")


class ReinforceSettings(TrainingSettings):
    """Policy gradient on J&F of whole videos (section 3.2)."""

    discount: Fraction = Field(0.9, description="gamma (paper: 0.99)")
    decision_discount: Fraction | None = Field(
        1.0,
        description="a decision is paid for the J that it gains itself, at this weight for what the next one "
        "gains, and so on (below 1 where a video has one object); null: for all that its frame and the later "
        "ones reach (paper)",
    )
    baseline: Literal["episode", "leave-one-out"] = Field(
        "leave-one-out",
        description="episode: returns standardised within an episode (the authors' code); "
        "leave-one-out: mean return of the other rollouts of the video at the same decision",
    )
    rollouts: Count = Field(4, description="episodes per video and update")
    videos_per_update: Count = Field(8, description="videos per update")
    epochs: Count = Field(8, description="passes over all training videos")
    keep: Literal["best", "last"] = Field(
        "last",
        description="epoch that is published; best: the one that does best on the videos left out, which may "
        "be the supervised network",
    )
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
    seed: Seed = Field(0, description="of the sampled actions and the order")

    @model_validator(mode="after")
    def _enough_rollouts(self) -> Self:
        if self.baseline == "leave-one-out" and self.rollouts < 2:
            raise ValueError("baseline leave-one-out needs rollouts >= 2")
        return self


class RefinementSettings(TrainingSettings):
    """Refinement network, which draws the final mask of each track, its training and its use."""

    # Decides what is asked for, not how it is made: it stands in no key.
    apply: bool = Field(
        True,
        description="whether the results are those of the refined tracks, and the ablation has their row",
    )
    pixels: Annotated[int, Field(ge=1, le=240 * 427)] = Field(
        120 * 213, description="frames are refined at about so many pixels; never enlarged"
    )
    widths: tuple[Count, ...] = Field(
        (12, 24, 48, 64), min_length=1, description="channels of each level of a U-Net"
    )
    scales: tuple[Count, ...] = Field(
        (1, 2),
        min_length=1,
        description="U-Nets, each of which learns from batches of its own, of frames whose sides are divided "
        "by one of these; a mask is the mean of theirs",
    )
    epochs: Count = Field(3, description="passes over the frames learned from")
    most_frames: Count = Field(
        6000, description="frames learned from at most; of longer data an even share of every video"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(8, description="frames per update")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        2e-3, description="of AdamW, at its peak: it rises over the first third and falls to nothing"
    )
    channel_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1,
        description="probability that a sample lacks a channel in training; a colour is then one value "
        "for the whole frame",
    )
    colour_jitter: Annotated[float, Field(ge=0)] = Field(
        0.3,
        description="deviation of the shift of a sample's colours in training, in units of 20 to 30 of Lab",
    )
    unmatched: Fraction = Field(
        0.1, description="share of the samples that are tracks of no object, where there are any"
    )
    mixed_precision: bool = Field(
        False,
        description="convolutions in bfloat16; slower on a processor without instructions for it",
    )
    validation_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of the training videos that this stage does not learn from (with the share and "
        "seed of assignment the same ones): the epoch that does best on them is published; 0: the last one",
    )
    seed: Seed = Field(
        0, description="of weights, samples, flips, dropout, jitter and the videos to validate on"
    )


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


class AblationSettings(Settings):
    """Comparison of the rows of the ablation."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 1, 2),
        min_length=1,
        description="runs that a row is the mean of: each is added to the seeds of all trainings; 0 is the "
        "run of metrics.csv",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds names a run twice")
        return self


class Stages(Settings):
    """Settings of all stages."""

    flow: FlowSettings = FlowSettings()
    proposals: ProposalSettings = ProposalSettings()
    labels: LabelSettings = LabelSettings()
    selection: SelectionSettings = SelectionSettings()
    grouping: GroupingSettings = GroupingSettings()
    assignment: AssignmentSettings = AssignmentSettings()
    reinforce: ReinforceSettings = ReinforceSettings()
    refinement: RefinementSettings = RefinementSettings()
    segment: SegmentSettings = SegmentSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    ablation: AblationSettings = AblationSettings()

    def of_run(self, seed: int) -> Self:
        """The settings of another run: `seed` is added to the seed of every stage that has one."""
        seeds = {name: getattr(getattr(self, name), "seed", None) for name in type(self).model_fields}
        return self.model_copy(
            update={
                name: getattr(self, name).model_copy(update={"seed": own + seed})
                for name, own in seeds.items()
                if own is not None
            }
        )

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
    models: str = Field(
        "",
        description="trained networks to use instead of training: a folder, or the name of one below models; "
        "empty: train",
    )
    licence: str = Field("", description="of videos and annotations; told with what is trained on them")
    peers: str = Field(
        "",
        description="folder of other methods' masks (<method>/<video>/<frame>.png), relative to data_root, "
        "for peers.csv; empty: none",
    )
    train_with: tuple[str, ...] = Field(
        (), description="data sets whose training videos this one's networks learn from too"
    )
    generate: Generation | None = Field(None, description="set for generated data only")
    stages: dict[str, Any] = Field(
        {}, description="settings that differ for this data set; one made from another starts from that one's"
    )

    @model_validator(mode="before")
    @classmethod
    def _for_training_only(cls, values: Any) -> Any:
        generate = values.get("generate") if isinstance(values, dict) else None
        if generate is None or _kind_of(generate) == "sprites":
            return values
        return {"val_split": "", **values}

    @model_validator(mode="after")
    def _made_in_one_way(self) -> Self:
        fields = type(self).model_fields
        for name in ("layout", "resolution", "image_set") if self.generate else ():
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"{name} is that of alba where data are generated: leave it out")
        if self.generate and self.train_split not in ("", "train"):
            raise ValueError("train_split of generated data is train, or empty")
        return self

    @property
    def source(self) -> str:
        """Name of the data set that this one is made from; empty for all others."""
        return getattr(self.generate, "source", "")


class Configuration(Settings):
    """The whole of `config.yaml`."""

    data_root: str = Field("data", description="folder that holds the data sets")
    cache_root: str = Field("cache", min_length=1, description="folder of the Zarr stores and checkpoints")
    results_root: str = Field("results", min_length=1, description="folder of metrics, tables and pictures")
    datasets: dict[str, DatasetSettings] = {}
    stages: Stages = Stages()

    @model_validator(mode="after")
    def _check_datasets(self) -> Self:
        for name, dataset in self.datasets.items():
            self._check_names(name, "train_on", dataset.train_on)
            self._check_names(name, "train_with", *dataset.train_with)
            self._check_names(name, "generate.source", dataset.source)
            if dataset.train_on and dataset.train_with:
                raise ValueError(f"datasets.{name} sets both train_on and train_with: keep one of them")
            if dataset.train_on and self.datasets[dataset.train_on].train_on:
                raise ValueError(
                    f"datasets.{name}.train_on names {dataset.train_on!r}, whose networks are those of "
                    f"{self.datasets[dataset.train_on].train_on!r}: name that one"
                )
            if dataset.source and self.datasets[dataset.source].source:
                raise ValueError(f"datasets.{name}.generate.source is made from another data set itself")
            self._check_composites(name)
        return self

    def _check_composites(self, name: str) -> None:
        """Refuse composites that show what cross-fitting holds back (`alba.training.holdout.folds_of`)."""
        folds = self.stages_of(name).selection.folds
        for other in self.datasets[name].train_with:
            made = self.datasets[other].generate
            if isinstance(made, CompositesSettings) and folds > 1:
                if made.source != name:
                    raise ValueError(
                        f"datasets.{name}.train_with names {other!r}, which is made from {made.source!r}: "
                        f"make composites from {name!r}"
                    )
                if made.groups % folds:
                    raise ValueError(
                        f"datasets.{other}.generate.groups = {made.groups}: make it a multiple of "
                        f"selection.folds, {folds}"
                    )

    def _check_names(self, dataset: str, key: str, *names: str) -> None:
        for name in filter(None, names):
            if name not in self.datasets:
                raise ValueError(f"datasets.{dataset}.{key} names no data set: {name!r}")
            if name == dataset or names.count(name) > 1:
                raise ValueError(f"datasets.{dataset}.{key} names {name!r} again")

    def stages_of(self, dataset: str, seed: int = 0) -> Stages:
        """Settings of all stages, with what differs for a data set or for the one that it is made from.

        `seed` is the run, one of those that the ablation compares.
        """
        merged = self.stages.model_dump(mode="json")
        for name in filter(None, (self.datasets[dataset].source, dataset)):
            merged = merge(merged, self.datasets[name].stages)
        return parse_settings(Stages, merged, f"datasets.{dataset}.stages").of_run(seed)

    def trainer_of(self, dataset: str) -> str:
        """Name of the data set that a data set's networks are trained on."""
        return self.datasets[dataset].train_on or dataset

    def models_of(self, dataset: str) -> str:
        """Trained networks that a data set is segmented with; empty where they are trained."""
        return self.datasets[dataset].models or self.datasets[self.trainer_of(dataset)].models

    def training_sets(self, trainer: str) -> tuple[str, ...]:
        """Names of the data sets whose training videos the networks of one learn from, itself first."""
        return trainer, *self.datasets[trainer].train_with


def merge(base: dict[str, Any], differing: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries merged key by key; another backend starts from its own options."""
    result = dict(base)
    if differing.get("backend", base.get("backend")) != base.get("backend"):
        result["options"] = {}
    for key, value in differing.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result
