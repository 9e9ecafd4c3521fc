"""Settings of the backends that alba brings; they stand here so that planning imports no backend."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Kind: TypeAlias = Literal["flow", "proposals"]
"""What a backend makes; other packages register theirs as entry points of group ``alba.<kind>``."""


class BackendOptions(BaseModel):
    """Base of a backend's settings: each has a default and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    uses_flow: ClassVar[bool] = False
    """Proposal backends only: whether they look at the flow store."""


@dataclass(frozen=True)
class BackendSpec:
    """What planning knows of a backend.

    A package that registers one names such an object in its entry point, and keeps the module that
    holds it light: it is imported to plan, without the network.

    Parameters
    ----------
    options : type of BackendOptions
    implementation : str
        ``module:Class``. The class is made with its options and keeps `FlowBackend` or `ProposalBackend`.
    requires : str
        Package that the implementation imports and that does not come with its own package.
    installation : str
        Command that installs it.
    """

    options: type[BackendOptions]
    implementation: str
    requires: str = ""
    installation: str = ""


class DisOptions(BackendOptions):
    """Dense inverse search flow (OpenCV)."""

    preset: Literal["ultrafast", "fast", "medium"] = Field("medium", description="effort")


class RegionsOptions(BackendOptions):
    """Embedded proposals from motion and colour."""

    uses_flow: ClassVar[bool] = True
    max_proposals: Annotated[int, Field(ge=1)] = Field(40, description="most proposals a frame")
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95, description="of two proposals that overlap more, the lower-scored one is dropped"
    )


class NetworkOptions(BackendOptions):
    """How a network runs."""

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    batch_size: Annotated[int, Field(ge=1)] = Field(
        4, description="frames at once on a GPU, fewer where its memory runs out; one on the CPU"
    )
    mixed_precision: bool = Field(True, description="on a GPU: half precision where it is safe")


class PtlflowOptions(NetworkOptions):
    """Any flow network of the ptlflow package."""

    mixed_precision: bool = Field(
        False, description="on a GPU: half precision where it is safe; not every model can"
    )
    model: str = Field("sea_raft_s", description="name of the model in ptlflow (paper: pwcnet)")
    checkpoint: str = Field(
        "things", description="name of ptlflow's checkpoint, a local file, or none (random)"
    )


class SegmenterOptions(NetworkOptions):
    """What is kept of an instance segmenter's detections."""

    score_threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="detections below are dropped"
    )
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="box overlap above which the lower-scored detection of any class is dropped"
    )
    max_proposals: Annotated[int, Field(ge=1)] = Field(100, description="most proposals a frame")


class TorchvisionOptions(SegmenterOptions):
    """Mask R-CNN of torchvision, category-agnostic."""

    model: Literal["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"] = Field(
        "maskrcnn_resnet50_fpn_v2", description="maskrcnn_resnet50_fpn or maskrcnn_resnet50_fpn_v2"
    )
    weights: str = Field(
        "COCO_V1", description="torchvision's name of the weights, a local file, or none (random)"
    )


class Detectron2Options(SegmenterOptions):
    """Any Mask R-CNN of detectron2, category-agnostic."""

    config: str = Field(
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml",
        description="configuration in detectron2's model zoo, or a local file",
    )
    weights: str = Field(
        "published", description="published (the model zoo's), a local file, or none (random)"
    )


_DETECTRON2 = "git+https://github.com/facebookresearch/detectron2.git"

EMBEDDED: Mapping[Kind, Mapping[str, BackendSpec]] = MappingProxyType(
    {
        "flow": {
            "dis": BackendSpec(DisOptions, "alba.flow.dis:DisBackend"),
            "ptlflow": BackendSpec(PtlflowOptions, "alba.flow.ptlflow_backend:PtlflowBackend"),
        },
        "proposals": {
            "regions": BackendSpec(RegionsOptions, "alba.proposals.regions.backend:RegionsBackend"),
            "torchvision": BackendSpec(
                TorchvisionOptions, "alba.proposals.torchvision_backend:TorchvisionBackend"
            ),
            "detectron2": BackendSpec(
                Detectron2Options,
                "alba.proposals.detectron2_backend:Detectron2Backend",
                "detectron2",
                f"pip install --no-build-isolation '{_DETECTRON2}'",
            ),
        },
    }
)
