import ast
import hashlib
import subprocess
import sys
import urllib.error
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from alba.config import FlowSettings
from alba.config.backends import PtlflowOptions
from alba.errors import BackendError
from alba.flow.ptlflow_backend import PtlflowBackend, to_model_input
from alba.flow.ptlflow_models import bare_ptlflow, model_modules


def make(model: str = "pwcnet_nodc", checkpoint: str = "none") -> PtlflowBackend:
    return PtlflowBackend(PtlflowOptions(model=model, checkpoint=checkpoint, device="cpu"))


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 256, (2, 130, 150, 3), np.uint8)
    return first, second


def test_every_registered_model_is_found_without_importing_any():
    assert {"pwcnet", "raft", "raft_small", "sea_raft_s", "irr_pwc", "flownet2", "gmflow"} <= set(
        model_modules()
    )
    assert "ptlflow.models.waft" not in sys.modules


def test_only_the_chosen_model_is_imported():
    script = """
import sys
from alba.config import FlowSettings
from alba.config.backends import PtlflowOptions
from alba.flow.ptlflow_backend import PtlflowBackend
imported = []
sys.meta_path.insert(0, type("Spy", (), {"find_spec": lambda name, *_: imported.append(name)}))
backend = PtlflowBackend(PtlflowOptions(model="pwcnet_nodc", checkpoint="none", device="cpu"))
assert type(backend.model).__module__ == "ptlflow.models.pwcnet.pwcnet"
assert "ptlflow.models.pwcnet.pwcnet" in imported
others = {"ptlflow.models.waft", "lightning", "torchmetrics", "torchvision", "torch._dynamo"}
assert not others & set(imported), others & set(imported)
assert not any(name.startswith("ptlflow") for name in sys.modules)  # who imports it later gets all of it
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_input_is_what_ptlflow_makes_of_images_read_by_opencv(pair):
    with bare_ptlflow():
        adapter = import_module("ptlflow.utils.io_adapter").IOAdapter(64, (130, 150))
    expected = adapter.prepare_inputs([frame[..., ::-1] for frame in pair])["images"]
    torch.testing.assert_close(to_model_input([pair]), expected, rtol=0, atol=0)


def test_small_frames_are_extended_by_their_last_row_and_column():
    frame = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    images = to_model_input([(frame, frame)])
    assert images.shape == (1, 2, 3, 128, 128)
    assert (images[0, 0, :, 2:, 0] == images[0, 0, :, 1:2, 0]).all()
    assert (images[0, 0, :, 0, 3:] == images[0, 0, :, 0, 2:3]).all()


def test_raft_encoder_receives_rgb_from_minus_one_to_one():
    backend = make("raft_small")
    seen = []
    backend.model.fnet.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    red = np.zeros((128, 128, 3), np.uint8)
    red[..., 0] = 255
    backend.flow(red, red)
    for image in seen[:2]:
        assert [float(channel.unique()) for channel in image.squeeze(0)] == [1.0, -1.0, -1.0]


def test_components_are_transposed_not_reshaped(pair, monkeypatch):
    backend = make()
    field = torch.stack([torch.full((130, 150), 3.0), torch.full((130, 150), -2.0)])[None, None]
    monkeypatch.setattr(backend.model, "forward", lambda inputs: {"flows": field})
    flow = backend.flow(*pair)
    assert (flow[0] == 3).all()
    assert (flow[1] == -2).all()


def test_random_weights_are_the_same_every_time(pair):
    state = torch.random.get_rng_state()
    first = make().flow(*pair)
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(make().flow(*pair), first)


def test_local_checkpoint_is_loaded_and_recorded(tmp_path: Path, pair):
    source = make()
    with torch.no_grad():
        for parameter in source.model.parameters():
            parameter.mul_(0.9)
    path = tmp_path / "trained.ckpt"
    torch.save(
        {"state_dict": source.model.state_dict(), "hyper_parameters": {"train_size": [128, 128]}}, path
    )
    loaded = make(checkpoint=str(path))
    np.testing.assert_array_equal(loaded.flow(*pair), source.flow(*pair))
    assert loaded.model.train_size == [128, 128]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.provenance["weights"] == {"file": "trained.ckpt", "sha256": digest}


def test_published_checkpoint_is_taken_from_the_hub_folder_or_asked_for(tmp_path: Path, monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise urllib.error.URLError("no internet")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(BackendError) as caught:
        make("pwcnet_nodc", "things")
    file = tmp_path / "hub/checkpoints/pwcnet-things-6a2e540b.ckpt"
    assert str(file) in caught.value.problem
    assert "https://" in caught.value.remedy
    assert not file.exists()


def test_checkpoint_of_another_model_is_refused(tmp_path: Path):
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": make("raft_small").model.state_dict()}, path)
    with pytest.raises(BackendError, match=r"other\.ckpt do not fit pwcnet_nodc"):
        make(checkpoint=str(path))


def test_unknown_model_names_the_nearest():
    with pytest.raises(BackendError, match=r"no model 'pwc_net'.*pwcnet"):
        make("pwc_net")


def test_unknown_checkpoint_names_the_known():
    with pytest.raises(BackendError, match=r"thongs is neither a file nor .*things"):
        make("pwcnet", "thongs")


def test_model_that_wants_more_than_is_installed_says_so(monkeypatch):
    def broken(module: str) -> object:
        raise ImportError("needs a compiled part")

    monkeypatch.setattr("alba.flow.ptlflow_backend.import_module", broken)
    with pytest.raises(BackendError, match=r"raft cannot be made .*needs a compiled part"):
        make("raft")


def test_model_that_fails_on_two_frames_says_so(pair, monkeypatch):
    def fail(inputs: object) -> object:
        raise RuntimeError("expected 3 frames")

    backend = make()
    monkeypatch.setattr(backend.model, "forward", fail)
    with pytest.raises(
        BackendError, match=r"pwcnet_nodc fails on two frames of 130 x 150 .*expected 3 frames"
    ):
        backend.flow(*pair)


def test_model_that_gives_several_fields_is_refused(pair, monkeypatch):
    backend = make()
    monkeypatch.setattr(backend.model, "forward", lambda inputs: {"flows": torch.zeros(1, 2, 2, 130, 150)})
    with pytest.raises(BackendError, match="takes two frames"):
        backend.flow(*pair)


def test_models_found_are_those_that_ptlflow_registers():
    script = "import ptlflow; print(*ptlflow.get_model_names())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()[-1].split()) == sorted(model_modules())


@pytest.mark.parametrize("name", sorted(model_modules()))
def test_every_model_can_be_named(name):
    """Settings take it, and its module defines it; nothing is built."""
    settings = FlowSettings(backend="ptlflow", options={"model": name})
    assert settings.options["model"] == name
    spec = find_spec("ptlflow")
    assert spec is not None
    path = Path(str(spec.origin)).parent.parent / f"{model_modules()[name].replace('.', '/')}.py"
    classes = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    assert name in classes


@pytest.mark.parametrize("name", ["pwcnet", "raft_small", "sea_raft_s", "flownets"])
def test_architectures_take_pairs_of_any_size_in_batches(name, pair):
    backend = make(name)
    backend._runner.batch_size = 2  # as on a GPU
    for height, width in ((130, 150), (37, 61)):
        first, second = (frame[:height, :width] for frame in pair)
        flows = list(backend.flow_batch([(first, second), (second, first)]))
        assert len(flows) == 2
        for flow in flows:
            assert flow.shape == (2, height, width)
            assert flow.dtype == np.float32
            assert np.isfinite(flow).all()
        assert np.abs(flows[0] - flows[1]).max() > 0


@pytest.mark.parametrize("name", ["liteflownet", "irr_pwcnet"])
def test_model_that_fails_or_errs_in_batches_gets_pairs_one_by_one(name, pair):
    backend = make(name)
    alone = [backend.flow(*pair), backend.flow(*pair[::-1])]
    backend._runner.batch_size = 2  # as on a GPU
    flows = list(backend.flow_batch([pair, pair[::-1]]))
    assert backend.batch_size == 1
    np.testing.assert_array_equal(flows, alone)


def test_model_that_takes_batches_is_tried_once_and_gets_them(pair, monkeypatch):
    backend = make()
    backend._runner.batch_size = 3  # as on a GPU
    forward, sizes = backend.model.forward, []

    def counting(inputs: dict[str, torch.Tensor]) -> object:
        sizes.append(len(inputs["images"]))
        return forward(inputs)

    monkeypatch.setattr(backend.model, "forward", counting)
    list(backend.flow_batch([pair] * 6))
    assert sizes == [1, 2, 3, 3]
    assert backend.batch_size == 3


def test_model_whose_parts_are_configured_by_its_arguments_can_be_made():
    assert make("craft").model.inter_trans_config.num_modes == 4


def test_memory_that_runs_out_makes_smaller_batches(pair, monkeypatch):
    backend = make()
    backend._runner.batch_size = 4  # as on a GPU
    forward, sizes = backend.model.forward, []

    def short_of_memory(inputs: dict[str, torch.Tensor]) -> object:
        sizes.append(len(inputs["images"]))
        if sizes[-1] > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return forward(inputs)

    monkeypatch.setattr(backend.model, "forward", short_of_memory)
    flows = list(backend.flow_batch([pair, pair[::-1], pair]))
    assert sizes == [1, 2, 1, 1, 1]  # four do not fit, nor do two
    assert backend.batch_size == 1
    np.testing.assert_array_equal(flows[0], flows[2])


def test_frames_that_do_not_fit_the_memory_at_all_are_one_clear_line(pair, monkeypatch):
    def no_memory(inputs: object) -> object:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    backend = make()
    monkeypatch.setattr(backend.model, "forward", no_memory)
    with pytest.raises(BackendError, match="ptlflow's pwcnet_nodc: the memory of cpu is too small for one"):
        backend.flow(*pair)


def test_weights_are_loaded_into_memory_that_nothing_was_drawn_for(tmp_path: Path):
    """What a file does not overwrite would be whatever the memory held: so everything must be overwritten."""
    path = tmp_path / "net.ckpt"
    source = make("sea_raft_s")
    torch.save({"state_dict": source.model.state_dict()}, path)
    loaded = make("sea_raft_s", str(path))
    expected = dict(source.model.named_parameters())
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter, expected[name])
    for name, buffer in loaded.model.named_buffers():
        assert torch.equal(buffer, dict(source.model.named_buffers())[name])
