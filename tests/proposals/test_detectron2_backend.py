"""The backend `detectron2`, against the package itself where it is installed."""

import hashlib
import pickle
import sys
import urllib.error
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from alba.config import ProposalSettings
from alba.config.backends import Detectron2Options
from alba.errors import BackendError
from alba.proposals import load_backend

if TYPE_CHECKING:
    from alba.proposals.detectron2_backend import Detectron2Backend

FPN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
C4 = "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml"
CASCADE = "Misc/cascade_mask_rcnn_R_50_FPN_3x.yaml"
LAZY = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py"

needs_detectron2 = pytest.mark.skipif(find_spec("detectron2") is None, reason="detectron2 is not installed")


def make(config: str = FPN, weights: str = "none", **options: object) -> "Detectron2Backend":
    values = {"score_threshold": 0.0, "max_proposals": 10, "device": "cpu", **options}
    backend: Any = load_backend(
        ProposalSettings(backend="detectron2", options={"config": config, "weights": weights, **values})
    )
    resize = backend._resize.augs[0]  # small pictures and few regions, for speed
    resize.short_edge_length, resize.max_size = (64, 64), 128
    backend.model.proposal_generator.post_nms_topk = {True: 15, False: 15}
    if weights == "none":
        tame(backend)
    return backend


def tame(backend: "Detectron2Backend") -> None:
    """Give the frozen normalisation layers of random weights the statistics of a picture.

    Without them what the layers pass on grows until every box is the whole frame.
    """
    from detectron2.layers import FrozenBatchNorm2d

    def normalise(layer: Any, inputs: tuple[torch.Tensor]) -> None:
        layer.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        layer.running_var.copy_(inputs[0].var((0, 2, 3)))

    layers = [layer for layer in backend.model.modules() if isinstance(layer, FrozenBatchNorm2d)]
    handles = [layer.register_forward_pre_hook(normalise) for layer in layers]
    options = backend.options
    backend.options = options.model_copy(update={"max_proposals": 5})
    backend.propose(np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8), None, None)
    backend.options = options
    for handle in handles:
        handle.remove()


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("detectron2.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "detectron2", None)
    monkeypatch.delitem(sys.modules, "alba.proposals.detectron2_backend", raising=False)
    with pytest.raises(BackendError, match=r"detectron2 cannot be imported .*: pip install .*git\+https"):
        load_backend(ProposalSettings(backend="detectron2"))


def test_defaults_are_the_papers_threshold_and_published_weights():
    options = Detectron2Options()
    assert options.score_threshold == 0.05
    assert options.max_proposals == 100
    assert options.weights == "published"


@needs_detectron2
@pytest.mark.parametrize("config", [FPN, C4, CASCADE, LAZY])
def test_without_suppression_across_classes_it_is_detectron2s_own_inference(config, frame):
    backend = make(config, nms_iou=1.0, max_proposals=1000)
    predictors = backend.model.roi_heads.box_predictor
    for predictor in predictors if isinstance(predictors, torch.nn.ModuleList) else [predictors]:
        predictor.test_topk_per_image = 15
    with torch.inference_mode():
        inputs = {"image": backend._to_input(frame), "height": 61, "width": 83}
        (own,) = backend.model.inference([inputs])
    masks = own["instances"].pred_masks.numpy()
    visible = masks.any((1, 2))
    found = backend.propose(frame, None, None)
    assert len(found) > 5
    np.testing.assert_array_equal(found.masks, masks[visible])
    np.testing.assert_array_equal(found.scores, own["instances"].scores.numpy()[visible])


@needs_detectron2
@pytest.mark.parametrize(("config", "length"), [(FPN, 1024), (C4, 2048), (CASCADE, 1024), (LAZY, 1024)])
def test_features_are_those_that_the_last_box_predictor_sees(config, length, frame):
    backend = make(config)
    heads = backend.model.roi_heads
    given: list[Any] = []
    monkey = heads.forward_with_given_boxes
    heads.forward_with_given_boxes = lambda maps, kept: given.append((maps, kept)) or monkey(maps, kept)
    found = backend.propose(frame, None, None)
    assert backend.num_features == length
    maps, (kept,) = given[-1]
    assert found.features.shape == (len(kept), length) == (len(found), backend.num_features)
    assert np.ptp(found.features, axis=0).max() > 0

    seen: list[torch.Tensor] = []
    last = heads.box_predictor[-1] if config == CASCADE else heads.box_predictor
    handle = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    kept.proposal_boxes = kept.pred_boxes
    with torch.inference_mode():
        if config == CASCADE:
            heads._run_stage([maps[name] for name in heads.box_in_features], [kept], 2)
        else:
            heads.mask_on = False
            heads(None, maps, [kept], None)
            heads.mask_on = True
    handle.remove()
    np.testing.assert_allclose(found.features, seen[0].numpy(), rtol=1e-4, atol=1e-5)


@needs_detectron2
def test_no_two_detections_of_any_class_overlap_more_than_the_limit(frame):
    from detectron2.structures import pairwise_iou

    def kept_boxes(nms_iou: float) -> Any:
        backend, given = make(nms_iou=nms_iou, max_proposals=50), []
        heads = backend.model.roi_heads
        whole = heads.forward_with_given_boxes
        heads.forward_with_given_boxes = lambda maps, kept: given.append(kept[0]) or whole(maps, kept)
        backend.propose(frame, None, None)
        return given[-1]

    def largest_overlap(instances: Any) -> float:
        return float(pairwise_iou(instances.pred_boxes, instances.pred_boxes).fill_diagonal_(0).max())

    pooled = kept_boxes(1.0)
    assert len(pooled.pred_classes.unique()) > 1
    assert largest_overlap(pooled) > 0.3  # so there is something to suppress
    kept = kept_boxes(0.3)
    assert len(kept) > 1
    assert largest_overlap(kept) <= 0.3


@needs_detectron2
@pytest.mark.parametrize(("order", "channel"), [("BGR", 2), ("RGB", 0)])
def test_model_gets_its_order_of_colours_from_0_to_255(order, channel):
    backend = make()
    assert backend.model.input_format == "BGR"
    backend.model.input_format = order
    red = np.zeros((61, 83, 3), np.uint8)
    red[..., 0] = 255
    image = backend._to_input(red)
    assert image.shape == (3, 64, 87)
    assert [float(plane.unique()) for plane in image] == [255.0 * (i == channel) for i in range(3)]


@needs_detectron2
def test_threshold_and_limit_hold(frame):
    assert len(make(max_proposals=3).propose(frame, None, None)) <= 3
    all_scores = make().propose(frame, None, None).scores
    middle = float(np.median(all_scores))
    some = make(score_threshold=middle).propose(frame, None, None)
    assert 0 < len(some) < len(all_scores)
    assert (some.scores > middle).all()
    none = make(score_threshold=1.0).propose(frame, None, None)
    assert none.masks.shape == (0, 61, 83)
    assert none.features.shape == (0, 1024)


@needs_detectron2
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pkl"])
def test_local_weights_are_loaded_and_recorded(tmp_path: Path, frame, suffix):
    source = make()
    with torch.no_grad():
        source.model.roi_heads.box_predictor.cls_score.bias.uniform_(-1, 1)
    state, path = source.model.state_dict(), tmp_path / f"trained{suffix}"
    if suffix == ".pth":
        torch.save({"model": state, "iteration": 9}, path)
    elif suffix == ".safetensors":
        save_file(state, path)
    else:  # as the model zoo has them: arrays, and constants that models no longer keep
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        arrays["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
        arrays["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": "zoo"}, protocol=2))
    loaded = make(weights=str(path))
    expected, found = (backend.propose(frame, None, None) for backend in (source, loaded))
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.masks, expected.masks)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.provenance["weights"] == {"file": path.name, "sha256": digest}
    assert loaded.provenance["package"].startswith("detectron2 ")


@needs_detectron2
def test_weights_of_another_architecture_are_refused(tmp_path: Path):
    path = tmp_path / "c4.safetensors"
    save_file(make(C4).model.state_dict(), path)
    with pytest.raises(BackendError, match=r"c4\.safetensors do not fit GeneralizedRCNN"):
        make(FPN, str(path))


@needs_detectron2
def test_published_weights_that_cannot_be_had_say_where_to_put_them(tmp_path: Path, monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise urllib.error.URLError("no internet")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(BackendError) as caught:
        make(FPN, "published")
    assert str(tmp_path / "hub/checkpoints/model_final_f10217.pkl") in caught.value.problem
    assert "mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl" in caught.value.remedy


@needs_detectron2
def test_unknown_configuration_names_the_nearest():
    with pytest.raises(BackendError, match=r"mask_rcnn_R50_FPN.yaml is neither .*mask_rcnn_R_50_FPN"):
        make("COCO-InstanceSegmentation/mask_rcnn_R50_FPN.yaml")


@needs_detectron2
@pytest.mark.parametrize(
    "config", ["COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml", "COCO-Detection/retinanet_R_50_FPN_1x.yaml"]
)
def test_network_without_masks_is_refused(config):
    with pytest.raises(BackendError, match="finds no masks"):
        make(config)


@needs_detectron2
def test_local_configuration_is_read(tmp_path: Path, frame):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "MODEL: {META_ARCHITECTURE: GeneralizedRCNN, MASK_ON: true, RESNETS: {DEPTH: 50},"
        " ROI_HEADS: {NUM_CLASSES: 3}}\nINPUT: {MIN_SIZE_TEST: 64, FORMAT: RGB}\n"
    )
    backend = make(str(path))
    assert backend.model.input_format == "RGB"
    assert backend.num_features == 2048
    assert backend.propose(frame, None, None).features.shape[1] == 2048


@needs_detectron2
def test_code_in_a_local_configuration_is_refused_and_never_run(tmp_path: Path):
    path, sprung = tmp_path / "trap.yaml", tmp_path / "sprung"
    path.write_text(f"OUTPUT_DIR: !!python/object/apply:os.mkdir ['{sprung}']\n")
    with pytest.raises(BackendError, match="cannot build"):
        make(str(path))
    assert not sprung.exists()
