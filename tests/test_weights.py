import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from alba.errors import BackendError
from alba.weights import fetch_weights, find_weights, load_state, read_weights, weights_record


class Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_both_formats_give_the_tensors_back(tmp_path: Path):
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}
    torch.save(state, tmp_path / "plain.pth")
    save_file(state, tmp_path / "plain.safetensors")
    for name in ("plain.pth", "plain.safetensors"):
        read = read_weights(tmp_path / name)
        assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_pickled_code_is_refused_and_never_run(tmp_path: Path, write):
    sprung = tmp_path / "sprung"
    write({"a": Trap(sprung)}, tmp_path / "trap.pth")
    with pytest.raises(BackendError, match=r"trap\.pth .*more than tensors \((it names|no file of torch)"):
        read_weights(tmp_path / "trap.pth")
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 half a zip file"])
def test_damaged_file_is_one_line_that_names_it(tmp_path: Path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackendError, match=name) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(BackendError, match=r"none\.pth are missing"):
        read_weights(tmp_path / "none.pth")


def model_zoo_pickle(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def test_pickle_of_arrays_is_read(tmp_path: Path):
    """As detectron2's model zoo has it."""
    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.count": np.int64(3)}
    path = model_zoo_pickle(tmp_path / "model.pkl", {"model": arrays, "__author__": "zoo"})
    read = read_weights(path)["model"]
    np.testing.assert_array_equal(read["a.weight"], arrays["a.weight"])
    assert read["a.count"] == 3


@pytest.mark.parametrize("what", [Path("file"), np.array([Path("file")], object), np.random.default_rng(0)])
def test_pickle_of_more_than_arrays_is_refused(tmp_path: Path, what):
    path = model_zoo_pickle(tmp_path / "model.pkl", {"model": {"a": what}})
    with pytest.raises(BackendError, match=r"model\.pkl .*more than tensors"):
        read_weights(path)


def test_pickled_code_among_arrays_is_never_run(tmp_path: Path):
    path = model_zoo_pickle(tmp_path / "trap.pkl", {"model": {"a": Trap(tmp_path / "sprung")}})
    with pytest.raises(BackendError, match=r"trap\.pkl .*more than tensors"):
        read_weights(path)
    assert not (tmp_path / "sprung").exists()


def test_arrays_fill_a_model(tmp_path: Path):
    layer = torch.nn.Linear(2, 1)
    state = {"weight": np.float32([[1, 2]]), "bias": np.float32([3])}
    load_state(layer, state, tmp_path / "model.pkl")
    assert layer.weight.tolist() == [[1, 2]]


def test_weights_by_name_file_or_none(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = {"things": "https://example.org/net-things.pth", "sintel": "https://example.org/s.pth"}
    kept = tmp_path / "hub/checkpoints/net-things.pth"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert find_weights("none", published, "net") is None
    assert find_weights("things", published, "net") == kept
    assert find_weights(str(kept), {}, "net") == kept
    with pytest.raises(BackendError, match=r"thongs is neither .*did you mean 'things'.*sintel, none"):
        find_weights("thongs", published, "net")


def test_file_without_a_state_dict_is_refused(tmp_path: Path):
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(BackendError, match="hold no state_dict"):
        read_weights(tmp_path / "tensor.pth")


@pytest.mark.parametrize("state", [{}, {"weight": torch.ones(9, 9)}, {"weight": "text"}])
def test_state_of_another_architecture_is_refused_in_one_line(state):
    with pytest.raises(BackendError, match=r"x\.pth do not fit Linear") as caught:
        load_state(torch.nn.Linear(2, 2), state, Path("x.pth"))
    assert "\n" not in str(caught.value)


def test_record_checks_the_digits_in_the_name_of_published_weights(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    good = folder / f"net-{digest[:8]}.pth"
    good.write_bytes(content)
    assert weights_record(good) == {"file": good.name, "sha256": digest}
    bad = folder / "net-0123abcd.pth"
    bad.write_bytes(content)
    with pytest.raises(BackendError, match=r"net-0123abcd\.pth are damaged"):
        weights_record(bad)
    own = tmp_path / "trained-20261124.pth"  # a date, no digits of a hash
    own.write_bytes(content)
    assert weights_record(own) == {"file": own.name, "sha256": digest}


def test_file_in_the_hub_folder_is_used_without_internet(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub/checkpoints/net.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    assert fetch_weights("https://example.org/models/net.pth") == file


def test_download_of_other_content_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    (tmp_path / "net-0123abcd.pth").write_bytes(b"not these")
    with pytest.raises(BackendError, match=r"net-0123abcd\.pth are missing and cannot be downloaded .*hash"):
        fetch_weights((tmp_path / "net-0123abcd.pth").as_uri())
    assert list((tmp_path / "home/hub/checkpoints").iterdir()) == []


def test_download_happens_once(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    source = tmp_path / "net.pth"
    source.write_bytes(b"weights")
    kept = fetch_weights(source.as_uri())
    source.unlink()
    assert fetch_weights(source.as_uri()) == kept
    assert kept.read_bytes() == b"weights"
