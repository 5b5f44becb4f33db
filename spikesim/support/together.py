"""`together`: pieces of work in a few threads, all of which end soon when one fails or the user interrupts.

For work that releases the interpreter lock: compiled loops, and tools in processes of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

_local = threading.local()


class StoppedError(Exception):
    """This piece of work is no longer wanted: another failed. Nobody sees it but `together`."""


def together(
    tasks: Sequence[Callable[[], T]], *, workers: int, stop: Callable[[], None] = lambda: None
) -> list[T]:
    """What the tasks return, in their order; `workers` of them run at a time, begun in their order.

    The first error is raised once every task has ended: those that have not begun never do, the others end at their
    next `go_on`, and `stop` ends what they wait for.
    """
    if workers < 2 or len(tasks) < 2:
        return [task() for task in tasks]
    stopped = threading.Event()

    def run(task: Callable[[], T]) -> T:
        if stopped.is_set():
            raise StoppedError
        _local.stopped = stopped
        return task()

    with ThreadPoolExecutor(workers, thread_name_prefix="spikesim-together") as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            if waiting:
                raise next(error for future in done if (error := future.exception()) is not None)
        except BaseException:
            stopped.set()
            for future in futures:
                future.cancel()
            stop()
            raise
    return [future.result() for future in futures]


def go_on() -> None:
    """To be called within long loops: raises `StoppedError` in a task that is no longer wanted."""
    stopped: threading.Event | None = getattr(_local, "stopped", None)
    if stopped is not None and stopped.is_set():
        raise StoppedError
