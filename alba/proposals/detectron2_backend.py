"""Mask R-CNN of detectron2 as a category-agnostic proposal generator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alba.config.backends import Detectron2Options
from alba.device import Runner
from alba.errors import BackendError, first_line
from alba.proposals.detections import Segmenter, visible_proposals
from alba.proposals.detectron2_zoo import find_config, published_weights
from alba.proposals.light_torchvision import light_torchvision
from alba.proposals.protocol import Proposals
from alba.weights import find_weights, fresh_weights, load_state, read_weights, weights_record

with light_torchvision():
    from detectron2.config import LazyConfig, get_cfg, instantiate
    from detectron2.data.transforms import AugInput, AugmentationList, ResizeShortestEdge
    from detectron2.modeling import GeneralizedRCNN, build_model
    from detectron2.structures import Boxes, Instances, ROIMasks
    from torchvision.ops import nms

SEED = 0
"""Of random weights."""

_CONSTANTS = ("pixel_mean", "pixel_std", "cell_anchors")
"""What old weights carry and models now get from their configuration."""


class Detectron2Backend(Segmenter):
    """Any network of regions and masks that detectron2 can build, used whatever the class of a detection.

    Detections of all classes are pooled, the class is forgotten, and of two whose boxes overlap more
    than `nms_iou` the lower-scored one is dropped. Masks are pasted at full size and cut at 0.5; one
    that is empty there is dropped. The feature is the box head's last layer on the kept box (of the last
    stage of a cascade; the mean over the box of the last residual block where there is no box head).

    Parameters
    ----------
    options : Detectron2Options

    Raises
    ------
    BackendError
        The configuration is unknown or has no masks; the weights are unknown, absent, damaged, or do not
        fit; or there is no such device.
    """

    def __init__(self, options: Detectron2Options) -> None:
        self.options = options
        super().__init__(Runner(options, f"detectron2's {options.config}"))
        with fresh_weights(SEED if options.weights == "none" else None):
            self.model, self._resize = _make_model(options.config)
        published = published_weights(options.config)
        weights = find_weights(options.weights, published, f"detectron2's {options.config}")
        if weights is not None:
            content = read_weights(weights)
            state = content.get("model", content)
            kept = {name: value for name, value in state.items() if not _is_constant(name)}
            load_state(self.model, kept, weights)
        self._runner.place(self.model)

        predictors = self.model.roi_heads.box_predictor
        stages = list(predictors) if isinstance(predictors, torch.nn.ModuleList) else [predictors]
        for predictor in stages:
            predictor.test_score_thresh = options.score_threshold
            predictor.test_topk_per_image = -1  # cut to max_proposals after the suppression across classes
        last: Any = stages[-1]
        self.num_features: int = last.cls_score.in_features
        self.feature_names = tuple(f"box_head_{i}" for i in range(self.num_features))
        self.provenance: dict[str, Any] = {
            "backend": "detectron2",
            "options": options.model_dump(mode="json"),
            "package": f"detectron2 {version('detectron2')}",
            "weights": None if weights is None else weights_record(weights),
        }

    def _detect(self, frames: Sequence[NDArray[np.uint8]]) -> "list[_Detections]":
        """The model's own inference with its heads called one by one, as the box features are wanted."""
        images = self.model.preprocess_image([{"image": self._to_input(frame)} for frame in frames])
        maps = self.model.backbone(images.tensor)
        regions, _ = self.model.proposal_generator(images, maps, None)
        heads = self.model.roi_heads

        heads.mask_on = False  # the masks of what is dropped across classes are not wanted
        found, _ = heads(images, maps, regions, None)
        heads.mask_on = True
        kept = [self._suppress(instances) for instances in found]
        features = self._box_features(maps, [instances.pred_boxes for instances in kept])
        kept = heads.forward_with_given_boxes(maps, kept)
        split = features.split([len(instances) for instances in kept])
        return [
            _Detections(frame.shape[:2], instances, of_frame)
            for frame, instances, of_frame in zip(frames, kept, split, strict=True)
        ]

    def _to_input(self, frame: NDArray[np.uint8]) -> torch.Tensor:
        """(3, h, w) float32, 0 to 255: resized and in the order of channels that the model wants."""
        ordered = AugInput(frame[..., ::-1] if self.model.input_format == "BGR" else frame)
        self._resize(ordered)
        image = np.ascontiguousarray(ordered.image.transpose(2, 0, 1), dtype=np.float32)
        return torch.from_numpy(image).to(self._runner.device)

    def _suppress(self, found: Instances) -> Instances:
        """The best detections of any class that do not overlap much, the most confident first."""
        found = found[found.pred_boxes.nonempty()]
        keep = nms(found.pred_boxes.tensor, found.scores, self.options.nms_iou)
        return found[keep[: self.options.max_proposals]]

    def _box_features(self, maps: Mapping[str, torch.Tensor], boxes: list[Boxes]) -> torch.Tensor:
        """(N, D) features of the boxes of all images, in the resized images."""
        heads = self.model.roi_heads
        if hasattr(heads, "res5"):
            pooled = heads.pooler([maps[name] for name in heads.in_features], boxes)
            return heads.res5(pooled).mean((2, 3))
        head = heads.box_head
        last = head[-1] if isinstance(head, torch.nn.ModuleList) else head
        return last(heads.box_pooler([maps[name] for name in heads.box_in_features], boxes)).flatten(1)


@dataclass(frozen=True)
class _Detections:
    """Detections of one frame on the device, masks not yet pasted."""

    size: tuple[int, int]
    instances: Instances
    features: torch.Tensor

    def paste(self) -> Proposals:
        """The proposals, masks at full size."""
        height, width = self.size
        boxes = self.instances.pred_boxes.clone()
        boxes.scale(width / self.instances.image_size[1], height / self.instances.image_size[0])
        small = ROIMasks(self.instances.pred_masks[:, 0].float())
        masks = small.to_bitmasks(boxes, height, width, 0.5).tensor
        return visible_proposals(masks.cpu().numpy(), self.instances.scores, self.features)


def _make_model(config: str) -> tuple[GeneralizedRCNN, AugmentationList]:
    """The network of a configuration, with random weights, and how its input is resized."""
    path = find_config(config)
    try:
        if path.suffix == ".py":
            lazy = LazyConfig.load(str(path))
            model = instantiate(lazy.model)
            resize = [instantiate(step) for step in lazy.dataloader.test.mapper.augmentations]
        else:
            cfg = get_cfg()
            # Some of detectron2's own configurations hold code; in others' it is refused.
            cfg.merge_from_file(str(path), allow_unsafe=not Path(config).is_file())
            cfg.MODEL.DEVICE = "cpu"
            model = build_model(cfg)
            resize = [ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)]
    except Exception as error:  # a configuration may lack keys, or name parts that are not installed
        raise BackendError(
            f"detectron2 cannot build {config} ({type(error).__name__}: {first_line(error)})",
            "correct the configuration, or choose another",
        ) from error
    if not isinstance(model, GeneralizedRCNN) or not getattr(model.roi_heads, "mask_on", False):
        raise BackendError(f"detectron2's {config} finds no masks", "choose a Mask R-CNN")
    model.roi_heads.keypoint_on = False
    return model, AugmentationList(resize)


def _is_constant(name: str) -> bool:
    return any(constant in name for constant in _CONSTANTS)
