"""Settings of the embedded backends; they stand here so that planning imports no backend."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class BackendOptions(BaseModel):
    """Base of a backend's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    uses_flow: ClassVar[bool] = False
    """Proposal backends only: whether they look at the flow store."""


class DisOptions(BackendOptions):
    """Dense inverse search flow (OpenCV)."""

    preset: Literal["ultrafast", "fast", "medium"] = Field("medium", description="effort")


class PtlflowOptions(BackendOptions):
    """Any flow network of the ptlflow package."""

    model: str = Field("pwcnet", description="name of the model in ptlflow")
    checkpoint: str = Field(
        "things", description="name of ptlflow's checkpoint, a local file, or none (random)"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")


class RegionsOptions(BackendOptions):
    """Weight-free proposals from motion and colour."""

    uses_flow: ClassVar[bool] = True
    max_proposals: Annotated[int, Field(ge=1)] = Field(40, description="most proposals a frame")
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.85, description="of two proposals that overlap more, the lower-scored one is dropped"
    )


class TorchvisionOptions(BackendOptions):
    """Mask R-CNN of torchvision, category-agnostic."""

    model: Literal["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"] = Field(
        "maskrcnn_resnet50_fpn_v2", description="maskrcnn_resnet50_fpn or maskrcnn_resnet50_fpn_v2"
    )
    weights: str = Field(
        "COCO_V1", description="torchvision's name of the weights, a local file, or none (random)"
    )
    score_threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="detections below are dropped"
    )
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="box overlap above which the lower-scored detection of any class is dropped",
    )
    max_proposals: Annotated[int, Field(ge=1)] = Field(100, description="most proposals a frame")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")


FLOW_OPTIONS: dict[str, type[BackendOptions]] = {"dis": DisOptions, "ptlflow": PtlflowOptions}
PROPOSAL_OPTIONS: dict[str, type[BackendOptions]] = {
    "regions": RegionsOptions,
    "torchvision": TorchvisionOptions,
}


def resolve_options(values: Any, known: Mapping[str, type[BackendOptions]], default: str, kind: str) -> Any:
    """Fill in and validate ``options`` by the model of the named backend."""
    if not isinstance(values, dict):
        return values
    backend = values.get("backend", default)
    if backend not in known:
        near = get_close_matches(str(backend), known, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown {kind} backend {backend!r}, nearest is {near!r} of {', '.join(known)}")
    options = known[backend].model_validate(values.get("options", {}))
    return {**values, "options": options.model_dump(mode="json")}
