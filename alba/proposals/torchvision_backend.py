"""Mask R-CNN of torchvision as a category-agnostic proposal generator."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models import get_model_weights
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.roi_heads import maskrcnn_inference, paste_masks_in_image
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import FrozenBatchNorm2d, nms

from alba.config.backends import TorchvisionOptions
from alba.errors import BackendError
from alba.masks import mask_boxes
from alba.proposals.protocol import Proposals
from alba.weights import fetch_weights, load_state, read_weights, select_device, weights_record

NUM_CLASSES = 91
"""Background and the categories of COCO, as torchvision numbers them."""

SEED = 0
"""Of random weights."""


class TorchvisionBackend:
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
        self.device = select_device(options.device)
        self.feature_names = tuple(f"box_head_{i}" for i in range(self.num_features))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            self.model = _make_model(options.model)
        weights = _find_weights(options)
        if weights is not None:
            content = read_weights(weights)
            load_state(self.model, content.get("model", content), weights)
        self.model.roi_heads.score_thresh = options.score_threshold
        # The boxes are cut to max_proposals after the suppression across classes, not before.
        self.model.roi_heads.detections_per_img = torch.iinfo(torch.int64).max
        self.model.eval().to(self.device)
        self.provenance: dict[str, Any] = {
            "backend": "torchvision",
            "options": options.model_dump(mode="json"),
            "package": f"torchvision {version('torchvision')}",
            "weights": None if weights is None else weights_record(weights),
        }

    def begin_video(self) -> None:
        """Nothing is kept from frame to frame."""

    def propose(
        self,
        frame: NDArray[np.uint8],
        flow_forward: NDArray[np.float32] | None,
        flow_backward: NDArray[np.float32] | None,
    ) -> Proposals:
        """Propose masks for one frame, as `ProposalBackend.propose` says; flow is not looked at."""
        image = torch.from_numpy(frame).to(self.device).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            return self._propose(image)

    def _propose(self, image: torch.Tensor) -> Proposals:
        """The model's own inference with its heads called one by one, as the box features are wanted."""
        images, _ = self.model.transform([image])
        maps = self.model.backbone(images.tensors)
        regions, _ = self.model.rpn(images, maps)
        heads = self.model.roi_heads

        logits, offsets = heads.box_predictor(self._box_features(maps, regions, images.image_sizes))
        found = heads.postprocess_detections(logits, offsets, regions, images.image_sizes)
        boxes, scores, labels = (of_image[0] for of_image in found)
        keep = nms(boxes, scores, self.options.nms_iou)[: self.options.max_proposals]
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]

        size = (image.shape[-2], image.shape[-1])
        masks = np.zeros((len(boxes), *size), np.bool_)
        features = np.zeros((len(boxes), self.num_features), np.float32)
        if len(boxes):
            features[:] = self._box_features(maps, [boxes], images.image_sizes).cpu().numpy()
            pooled = heads.mask_roi_pool(maps, [boxes], images.image_sizes)
            mask_logits = heads.mask_predictor(heads.mask_head(pooled))
            probabilities = maskrcnn_inference(mask_logits, [labels])[0]
            placed = resize_boxes(boxes, images.image_sizes[0], size)
            for mask, probability, box in zip(masks, probabilities, placed, strict=True):
                # One by one: a hundred float masks of a 4K frame would take gigabytes.
                mask[:] = (paste_masks_in_image(probability[None], box[None], size) > 0.5)[0, 0].cpu().numpy()
        visible = masks.any((1, 2))
        masks = masks[visible]
        return Proposals(masks, mask_boxes(masks), scores.cpu().numpy()[visible], features[visible])

    def _box_features(
        self, maps: Mapping[str, torch.Tensor], boxes: list[torch.Tensor], sizes: list[tuple[int, int]]
    ) -> torch.Tensor:
        """(N, 1024) features of boxes in the resized image."""
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


def _find_weights(options: TorchvisionOptions) -> Path | None:
    """The weights' file; None for random ones."""
    if options.weights == "none":
        return None
    if Path(options.weights).is_file():
        return Path(options.weights)
    published = get_model_weights(options.model)
    if options.weights not in published.__members__:
        raise BackendError(
            f"{options.weights} is neither a file nor weights of torchvision's {options.model}",
            f"name a file or one of {', '.join([*published.__members__, 'none'])}",
        )
    return fetch_weights(published[options.weights].url)
