"""Processes that were started for a stage end with it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest

from alba.workers import worker_processes

BUSY = """
import signal, time
from alba.workers import worker_processes

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with worker_processes(2) as pool:
        list(pool.map(time.sleep, [600] * 4))
"""


def wait_until(reached, seconds=60):
    started = time.monotonic()
    while not reached():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)


def has_ended(process):
    """Whether a process has; it may still wait for its parent to take notice."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_when_the_process_is_told_to(tmp_path, number):
    (tmp_path / "busy.py").write_text(BUSY)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(tmp_path / "busy.py")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        pool = psutil.Process(process.pid)
        wait_until(lambda: len(pool.children()) >= 3)  # two workers, and multiprocessing's own tracker
        children = pool.children()
        process.send_signal(number)
        try:
            assert process.wait(30) != 0
        finally:
            process.kill()
    wait_until(lambda: all(map(has_ended, children)), 30)


def test_workers_end_at_once_when_the_block_is_left_by_an_exception():
    def leave():
        with worker_processes(1) as pool:
            waiting = pool.submit(time.sleep, 600)
            wait_until(waiting.running)
            raise ZeroDivisionError

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        leave()
    assert time.monotonic() - started < 60


def test_results_come_back_and_a_killed_worker_is_noticed():
    with worker_processes(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
        with pytest.raises(BrokenProcessPool):
            pool.submit(os._exit, 1).result()
