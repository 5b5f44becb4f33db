"""Work in threads: results in order, the first error, and an early end of all that is no longer wanted."""

from __future__ import annotations

import threading
import time

import pytest

from spikesim.support.together import go_on, together


def test_results_are_in_the_order_of_the_tasks() -> None:
    started: list[int] = []

    def task(number: int) -> int:
        started.append(number)
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert together([lambda n=n: task(n) for n in range(5)], workers=2) == [0, 1, 2, 3, 4]  # type: ignore[misc]
    assert sorted(started) == [0, 1, 2, 3, 4]
    assert together([lambda: 1], workers=2) == [1]
    assert together([lambda: 1, lambda: 2], workers=1) == [1, 2]
    assert together([], workers=2) == []


def test_two_tasks_run_at_a_time() -> None:
    """Each waits for the other: one after the other they would wait for ever."""
    meeting = threading.Barrier(2, timeout=10)
    assert sorted(together([meeting.wait, meeting.wait], workers=2)) == [0, 1]


@pytest.mark.parametrize("error", [ValueError("first"), KeyboardInterrupt()])
def test_an_error_ends_the_others(error: BaseException) -> None:
    """One that loops ends at its next `go_on`, one that waits by `stop`, and what has not begun never does."""
    looping, waiting = threading.Event(), threading.Event()
    begun: list[str] = []

    def loops() -> None:
        looping.set()
        while True:
            go_on()
            time.sleep(0.001)

    def waits() -> None:
        assert looping.wait(10)
        assert waiting.wait(10), "nobody stopped it"

    def fails() -> None:
        assert looping.wait(10)
        raise error

    tasks = [loops, waits, fails, lambda: begun.append("late")]
    with pytest.raises(type(error)):
        together(tasks, workers=3, stop=waiting.set)
    assert not begun


def test_going_on_elsewhere_is_nothing() -> None:
    go_on()
