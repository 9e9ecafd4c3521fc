"""Batches that fit, on a device that runs out of memory when it is told to."""

from collections.abc import Sequence

import pytest
import torch

from alba.config.backends import NetworkOptions
from alba.device import Runner, select_device
from alba.errors import BackendError


def make_runner(batch_size: int) -> Runner:
    runner = Runner(NetworkOptions(device="cpu", batch_size=batch_size), "the network")
    runner.batch_size = batch_size  # as on a GPU
    return runner


class Doubler:
    """Doubles numbers, `capacity` at a time at most."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.batches: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(len(items))
        if len(items) > self.capacity:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nSee the manual.")
        return [2 * item for item in items]


def test_batches_are_as_large_as_asked_and_results_in_order():
    doubler = Doubler(100)
    assert list(make_runner(4).run(range(10), doubler)) == [2 * i for i in range(10)]
    assert doubler.batches == [4, 4, 2]


def test_where_memory_runs_out_the_batch_is_halved_and_stays_so():
    runner, doubler = make_runner(8), Doubler(3)
    assert list(runner.run(range(9), doubler)) == [2 * i for i in range(9)]
    assert doubler.batches == [8, 4, 2, 2, 2, 2, 1]
    assert runner.batch_size == 2
    doubler.batches.clear()
    assert list(runner.run(range(2), doubler)) == [0, 2]
    assert doubler.batches == [2]


def test_frame_that_does_not_fit_alone_is_one_clear_line():
    doubler = Doubler(0)
    with pytest.raises(BackendError, match=r"the network: the memory of cpu is too small for one frame") as e:
        list(make_runner(4).run(range(4), doubler))
    assert doubler.batches == [4, 2, 1]
    assert "set device to cpu" in e.value.remedy
    assert "\n" not in str(e.value)


def test_network_that_does_not_fit_is_one_clear_line(monkeypatch):
    def refuse(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    layer = torch.nn.Linear(1, 1)
    monkeypatch.setattr(layer, "to", refuse)
    with pytest.raises(BackendError, match="too small for its weights"):
        make_runner(1).place(layer)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def fail(_: Sequence[int]) -> list[int]:
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError, match="defect"):
        list(make_runner(4).run(range(4), fail))


def test_cpu_runs_frames_one_by_one_in_full_precision():
    runner = Runner(NetworkOptions(device="cpu", batch_size=8, mixed_precision=True), "the network")
    half = []
    list(runner.run([torch.ones(1)], lambda _: [half.append(torch.is_autocast_enabled("cpu"))]))
    assert runner.batch_size == 1
    assert half == [False]


def test_gradients_are_off():
    weight = torch.ones(1, requires_grad=True)
    (result,) = make_runner(1).run([weight], lambda items: [2 * items[0]])
    assert not result.requires_grad


@pytest.mark.parametrize("mixed", [True, False])
def test_mixed_precision_is_asked_for_on_a_gpu_alone(monkeypatch, mixed):
    asked = []
    autocast = torch.autocast

    def spy(device_type: str, enabled: bool) -> object:
        asked.append((device_type, enabled))
        return autocast("cpu", enabled=False)

    monkeypatch.setattr(torch, "autocast", spy)
    runner = Runner(NetworkOptions(device="cpu", mixed_precision=mixed), "the network")
    runner.device = torch.device("cuda")
    list(runner.run([1], list))
    assert asked == [("cuda", mixed)]


def test_device_that_does_not_exist_is_an_error():
    assert select_device("cpu") == torch.device("cpu")
    assert select_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(BackendError, match="set device to"):
            select_device(name)
