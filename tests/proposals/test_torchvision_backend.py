import hashlib
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.ops import box_iou

from alba.config.backends import TorchvisionOptions
from alba.errors import BackendError
from alba.proposals import torchvision_backend
from alba.proposals.torchvision_backend import TorchvisionBackend

MODELS = ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2")


def make(model: str = MODELS[0], weights: str = "none", **options: object) -> TorchvisionBackend:
    values = {"score_threshold": 0.0, "max_proposals": 10, "device": "cpu", **options}
    backend = TorchvisionBackend(
        TorchvisionOptions.model_validate({"model": model, "weights": weights, **values})
    )
    backend.model.transform.min_size = (64,)  # small pictures and few regions, for speed
    backend.model.rpn._post_nms_top_n["testing"] = 30
    return backend


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)


def own_inference(backend: TorchvisionBackend, frame: np.ndarray) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return backend.model([torch.from_numpy(frame).permute(2, 0, 1) / 255])[0]


@pytest.mark.parametrize("model", MODELS)
def test_without_suppression_across_classes_it_is_torchvisions_own_inference(model, frame):
    backend = make(model, nms_iou=1.0, max_proposals=1000)
    backend.model.roi_heads.detections_per_img = 15
    own = own_inference(backend, frame)
    masks = own["masks"][:, 0].numpy() > 0.5
    visible = masks.any((1, 2))
    found = backend.propose(frame, None, None)
    np.testing.assert_array_equal(found.masks, masks[visible])
    np.testing.assert_array_equal(found.scores, own["scores"].numpy()[visible])


def test_no_two_detections_of_any_class_overlap_more_than_the_limit(frame):
    classwise = make()
    classwise.model.roi_heads.detections_per_img = 50
    pooled = own_inference(classwise, frame)
    assert len(pooled["labels"].unique()) > 1
    overlap = box_iou(pooled["boxes"], pooled["boxes"]).fill_diagonal_(0)
    assert overlap.max() > 0.3  # so there is something to suppress

    backend = make(nms_iou=0.3)
    kept = []
    roi_pool = backend.model.roi_heads.mask_roi_pool.forward
    backend.model.roi_heads.mask_roi_pool.forward = lambda maps, boxes, sizes: (
        kept.append(boxes[0]) or roi_pool(maps, boxes, sizes)
    )
    backend.propose(frame, None, None)
    assert len(kept[0]) > 1
    assert box_iou(kept[0], kept[0]).fill_diagonal_(0).max() <= 0.3


def test_features_are_the_box_heads_of_the_same_detection(frame):
    backend = make(MODELS[1])
    heads = backend.model.roi_heads
    calls = []
    heads.mask_roi_pool.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))
    found = backend.propose(frame, None, None)
    maps, (boxes,), sizes = calls[0]
    assert len(boxes) == len(found) > 1
    scale = torch.tensor([83 / sizes[0][1], 61 / sizes[0][0]]).repeat(2)
    for box, tight, feature in zip(boxes, found.boxes, found.features, strict=True):
        with torch.inference_mode():
            alone = heads.box_head(heads.box_roi_pool(maps, [box[None]], sizes))
        np.testing.assert_allclose(feature, alone[0].numpy(), rtol=1e-3, atol=1e-3)
        x0, y0, x1, y1 = (box * scale).numpy()
        assert tight[0] >= x0 - 3
        assert tight[1] >= y0 - 3
        assert tight[2] <= x1 + 3
        assert tight[3] <= y1 + 3
    assert np.ptp(found.features, axis=0).max() > 0.1  # they do differ


def test_features_stay_with_their_masks_where_empty_masks_are_dropped(frame, monkeypatch):
    backend = make()
    whole = backend.propose(frame, None, None)
    scale = iter([1.0, 0.0])  # the second detection's mask comes out empty
    paste = torchvision_backend.paste_masks_in_image
    monkeypatch.setattr(
        torchvision_backend, "paste_masks_in_image", lambda *inputs: paste(*inputs) * next(scale, 1.0)
    )
    found = backend.propose(frame, None, None)
    assert len(found) == len(whole) - 1
    np.testing.assert_array_equal(found.features, np.delete(whole.features, 1, axis=0))
    np.testing.assert_array_equal(found.masks, np.delete(whole.masks, 1, axis=0))
    np.testing.assert_array_equal(found.scores, np.delete(whole.scores, 1, axis=0))


def test_threshold_and_limit_hold(frame):
    assert len(make(max_proposals=3).propose(frame, None, None)) <= 3
    all_scores = make().propose(frame, None, None).scores
    middle = float(np.median(all_scores))
    some = make(score_threshold=middle).propose(frame, None, None)
    assert 0 < len(some) < len(all_scores)
    assert (some.scores > middle).all()


def test_nothing_above_the_threshold_is_an_empty_result(frame):
    found = make(score_threshold=1.0).propose(frame, None, None)
    assert found.masks.shape == (0, 61, 83)
    assert found.boxes.shape == (0, 4)
    assert found.features.shape == (0, 1024)


def test_defaults_are_the_papers_threshold_and_published_weights():
    options = TorchvisionOptions()
    assert options.score_threshold == 0.05
    assert options.weights == "COCO_V1"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_local_weights_are_loaded_and_recorded(tmp_path: Path, frame, suffix):
    source = make()
    with torch.no_grad():
        source.model.roi_heads.box_predictor.cls_score.bias.uniform_(-1, 1)
    path = tmp_path / f"trained{suffix}"
    state = source.model.state_dict()
    if suffix == ".pth":
        torch.save({"model": state}, path)
    else:
        save_file(state, path)
    loaded = make(weights=str(path))
    expected, found = (b.propose(frame, None, None) for b in (source, loaded))
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert loaded.provenance["weights"] == {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_weights_of_the_other_version_are_refused(tmp_path: Path):
    path = tmp_path / "v2.safetensors"
    save_file(make(MODELS[1]).model.state_dict(), path)
    with pytest.raises(BackendError, match=r"v2\.safetensors do not fit MaskRCNN"):
        make(MODELS[0], str(path))


def test_unknown_weights_name_the_known():
    with pytest.raises(BackendError, match=r"COCO_V9 is neither a file nor .*COCO_V1"):
        make(weights="COCO_V9")


@pytest.mark.parametrize(
    ("model", "file"),
    [
        (MODELS[0], "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
        (MODELS[1], "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"),
    ],
)
def test_published_weights_that_cannot_be_had_say_where_to_put_them(tmp_path: Path, monkeypatch, model, file):
    def refuse(*_args: object, **_options: object) -> None:
        raise urllib.error.URLError("no internet")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(BackendError) as caught:
        make(model, "COCO_V1")
    assert str(tmp_path / "hub/checkpoints" / file) in caught.value.problem


def test_published_weights_need_no_more_than_frozen_layers_without_eps():
    """Version 1 was trained with normalisation layers that keep no batch count and add no eps."""
    state = make(MODELS[0]).model.state_dict()
    assert not any(name.endswith("num_batches_tracked") for name in state)
    eps = {layer.eps for layer in make(MODELS[0]).model.backbone.modules() if hasattr(layer, "eps")}
    assert eps == {0.0}


def test_proposals_start_without_torch():
    script = "import sys, alba.proposals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("model", MODELS)
def test_mixed_precision_gives_whole_proposals(model, frame, monkeypatch):
    """The CPU's half precision in the place of the GPU's: every result must come back as float32."""
    backend = make(model)
    whole = backend.propose(frame, None, None)
    autocast = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: autocast("cpu", torch.bfloat16))
    half = backend.propose(frame, None, None)
    assert len(half) > 0
    assert half.scores.dtype == half.features.dtype == np.float32
    assert half.masks.any((1, 2)).all()
    assert not np.array_equal(half.features[: len(whole)], whole.features[: len(half)])  # so it was in use
    np.testing.assert_allclose(half.scores.max(), whole.scores.max(), rtol=0.1)


def test_memory_that_runs_out_makes_smaller_batches(frame, monkeypatch):
    backend = make()
    backend._runner.batch_size = 4  # as on a GPU
    backbone, sizes = backend.model.backbone.forward, []

    def short_of_memory(images: torch.Tensor) -> object:
        sizes.append(len(images))
        if sizes[-1] > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return backbone(images)

    monkeypatch.setattr(backend.model.backbone, "forward", short_of_memory)
    found = list(backend.propose_batch([(frame, None, None)] * 4))
    assert sizes == [4, 2, 2]
    assert backend.batch_size == 2
    np.testing.assert_array_equal(found[0].masks, found[3].masks)


def test_masks_at_full_size_exist_for_one_frame_at_a_time(frame, monkeypatch):
    backend, pasted = make(), []
    paste = torchvision_backend._Detections.paste
    monkeypatch.setattr(
        torchvision_backend._Detections, "paste", lambda found: pasted.append(1) or paste(found)
    )
    backend._runner.batch_size = 3  # as on a GPU
    results = backend.propose_batch([(frame, None, None)] * 3)
    assert len(pasted) == 0
    next(results)
    assert len(pasted) == 1


def test_weights_take_the_place_of_everything_that_was_not_drawn(tmp_path: Path):
    for model in MODELS:
        path = tmp_path / f"{model}.pth"
        state = make(model).model.state_dict()
        torch.save(state, path)
        loaded = make(model, str(path)).model
        assert set(dict(loaded.named_parameters())) <= set(state)
        assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
        assert loaded.training is False
