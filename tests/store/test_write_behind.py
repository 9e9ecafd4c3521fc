"""Calls in a thread: in order, bounded, and never silently lost."""

from threading import Event, get_ident

import pytest

from alba.errors import StoreError
from alba.store.write_behind import write_behind


def test_calls_are_made_in_order_in_another_thread():
    made, threads = [], set()

    def call(number: int, *, factor: int = 1) -> None:
        made.append(factor * number)
        threads.add(get_ident())

    with write_behind() as submit:
        for number in range(20):
            submit(call, number, factor=2)
    assert made == [2 * number for number in range(20)]
    assert len(threads) == 1
    assert get_ident() not in threads


def test_the_caller_goes_on_while_a_call_is_made():
    gone_on = Event()
    with write_behind() as submit:
        submit(lambda: gone_on.wait(20) or pytest.fail("the caller was held up"))
        gone_on.set()


def test_who_submits_too_much_is_held_up():
    free, third_was_taken = Event(), Event()

    def submit_three() -> None:
        with write_behind(num_waiting=1) as submit:
            submit(free.wait, 20)
            submit(lambda: None)
            submit(lambda: None)
            third_was_taken.set()

    with write_behind() as outer:
        outer(submit_three)
        assert not third_was_taken.wait(0.3)
        free.set()
    assert third_was_taken.is_set()


def fail() -> None:
    raise StoreError("disk is full", "make room")


def test_error_of_a_call_is_raised_at_the_end_at_the_latest():
    with pytest.raises(StoreError, match="disk is full"), write_behind() as submit:
        submit(fail)


def test_error_of_a_call_ends_the_work_soon():
    submitted = []

    def submit_many() -> None:
        with write_behind() as submit:
            for number in range(100):
                submit(fail)
                submitted.append(number)

    with pytest.raises(StoreError, match="disk is full"):
        submit_many()
    assert len(submitted) <= 3


def test_when_the_block_fails_its_error_stands_and_nothing_runs_on():
    started, made = Event(), []

    def slow() -> None:
        started.set()
        Event().wait(0.2)
        made.append("first")

    def break_off() -> None:
        with write_behind() as submit:
            submit(slow)
            submit(made.append, "second")
            started.wait(20)
            raise KeyError("defect")

    with pytest.raises(KeyError, match="defect"):
        break_off()
    assert made == ["first"]  # what was being written is done; what waited is dropped
