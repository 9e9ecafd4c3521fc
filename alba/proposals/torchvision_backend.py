"""Mask R-CNN of torchvision as a category-agnostic proposal generator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alba.config.backends import TorchvisionOptions
from alba.device import Runner
from alba.proposals.detections import Segmenter, visible_proposals
from alba.proposals.light_torchvision import light_torchvision
from alba.proposals.protocol import Proposals
from alba.weights import find_weights, fresh_weights, load_state, read_weights, weights_record

with light_torchvision():
    from torchvision.models import get_model_weights
    from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.models.detection.roi_heads import maskrcnn_inference, paste_masks_in_image
    from torchvision.models.detection.transform import resize_boxes
    from torchvision.ops import FrozenBatchNorm2d, nms

NUM_CLASSES = 91
"""Background and the categories of COCO, as torchvision numbers them."""

SEED = 0
"""Of random weights."""


@dataclass(frozen=True)
class _Detections:
    """Detections of one frame on the device, masks not yet pasted: probabilities (N, 1, M, M)."""

    size: tuple[int, int]
    boxes: torch.Tensor
    masks: torch.Tensor
    scores: torch.Tensor
    features: torch.Tensor

    def paste(self) -> Proposals:
        """The proposals, masks at full size."""
        masks = np.zeros((len(self.boxes), *self.size), np.bool_)
        for mask, probability, box in zip(masks, self.masks, self.boxes, strict=True):
            # One by one: a hundred float masks of a 4K frame would take gigabytes.
            pasted = paste_masks_in_image(probability[None], box[None], self.size)
            mask[:] = (pasted[0, 0] > 0.5).cpu().numpy()
        return visible_proposals(masks, self.scores, self.features)


class TorchvisionBackend(Segmenter):
    """Mask R-CNN whose detections count whatever their class (section 3.1 of the method).

    Detections of all classes are pooled, the class is forgotten, and of two whose boxes overlap more
    than `nms_iou` the lower-scored one is dropped. Masks are pasted at full size and cut at 0.5; one
    that is empty there is dropped. The feature is the box head's last layer on the kept box.

    Parameters
    ----------
    options : TorchvisionOptions

    Raises
    ------
    BackendError
        The weights are unknown, absent, damaged, or do not fit; or there is no such device.
    """

    num_features = 1024

    def __init__(self, options: TorchvisionOptions) -> None:
        self.options = options
        self.feature_names = tuple(f"box_head_{i}" for i in range(self.num_features))
        super().__init__(Runner(options, f"torchvision's {options.model}"))
        with fresh_weights(SEED if options.weights == "none" else None):
            self.model = _make_model(options.model)
        published = {name: entry.url for name, entry in get_model_weights(options.model).__members__.items()}
        weights = find_weights(options.weights, published, f"torchvision's {options.model}")
        if weights is not None:
            content = read_weights(weights)
            load_state(self.model, content.get("model", content), weights)
        self.model.roi_heads.score_thresh = options.score_threshold
        # The boxes are cut to max_proposals after the suppression across classes, not before.
        self.model.roi_heads.detections_per_img = torch.iinfo(torch.int64).max
        self._runner.place(self.model)
        self.provenance: dict[str, Any] = {
            "backend": "torchvision",
            "options": options.model_dump(mode="json"),
            "package": f"torchvision {version('torchvision')}",
            "weights": None if weights is None else weights_record(weights),
        }

    def _detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[_Detections]:
        """The model's own inference with its heads called one by one, as the box features are wanted."""
        pixels = [torch.from_numpy(frame).to(self._runner.device).permute(2, 0, 1) for frame in frames]
        images, _ = self.model.transform([image.float() / 255 for image in pixels])
        sizes = images.image_sizes
        maps = self.model.backbone(images.tensors)
        regions, _ = self.model.rpn(images, maps)
        heads = self.model.roi_heads

        logits, offsets = heads.box_predictor(self._box_features(maps, regions, sizes))
        found = heads.postprocess_detections(logits.float(), offsets.float(), regions, sizes)
        boxes, scores, labels = (list(of_image) for of_image in found)
        for i in range(len(frames)):
            keep = nms(boxes[i], scores[i], self.options.nms_iou)[: self.options.max_proposals]
            boxes[i], scores[i], labels[i] = boxes[i][keep], scores[i][keep], labels[i][keep]

        features = self._box_features(maps, boxes, sizes)
        pooled = heads.mask_roi_pool(maps, boxes, sizes)
        mask_logits = heads.mask_predictor(heads.mask_head(pooled)).float()
        masks = maskrcnn_inference(mask_logits, labels)
        split = features.split([len(of_image) for of_image in boxes])
        return [
            _Detections(
                frame.shape[:2],
                resize_boxes(boxes[i], sizes[i], frame.shape[:2]),
                masks[i],
                scores[i],
                split[i],
            )
            for i, frame in enumerate(frames)
        ]

    def _box_features(
        self, maps: Mapping[str, torch.Tensor], boxes: list[torch.Tensor], sizes: list[tuple[int, int]]
    ) -> torch.Tensor:
        """(N, 1024) features of the boxes of all images, in the resized images."""
        heads = self.model.roi_heads
        return heads.box_head(heads.box_roi_pool(maps, boxes, sizes))


def _make_model(name: str) -> MaskRCNN:
    if name == "maskrcnn_resnet50_fpn_v2":
        return maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    # torchvision's builder gives v1 frozen normalisation layers, with eps 0, only while it loads
    # weights itself; the published weights need them.
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    for layer in backbone.modules():
        if isinstance(layer, FrozenBatchNorm2d):
            layer.eps = 0.0
    return MaskRCNN(backbone, NUM_CLASSES)
