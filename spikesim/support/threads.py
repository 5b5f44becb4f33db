"""`in_parts`: a compiled loop over many blocks on several threads, wherever it is called from.

numba's own parallel loops end the process when two threads of Python, or a forked child of a process that has run
one, enter them (layers `workqueue` and `omp`, one of which is all there is without tbb). Here the threads are Python's:
loops release the interpreter lock, any number of callers share one pool, and a forked child, which inherits no thread,
makes a pool of its own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numba
from numba.core.compiler_lock import global_compiler_lock

ONE_THREAD: Final = 1 << 17
"""Array elements below which one thread does the work: they take about 0.1 ms, and waiting for a second thread may
take longer, much longer on a busy machine."""

_PARTS = 4
"""Ranges per thread, so that one that is held up leaves its share to the others."""

_compiler: Any = global_compiler_lock


def thread_count() -> int:
    """Threads of a loop: NUMBA_NUM_THREADS, else the processors that this process may use."""
    settings: Any = numba.config  # without types, as numba has few
    return int(settings.NUMBA_NUM_THREADS)


def in_parts(work: Callable[[int, int], None], blocks: int, elements: int) -> None:
    """Call `work(start, stop)` once for each of some ranges that together are 0 … blocks − 1; return when all are done.

    One range if there are fewer than `ONE_THREAD` elements. `work` must release the interpreter lock to gain anything.
    """
    threads = min(blocks, 1 if elements < ONE_THREAD else thread_count())
    if threads <= 1:
        return work(0, blocks)
    parts = min(blocks, _PARTS * threads)
    left = deque((part * blocks // parts, (part + 1) * blocks // parts) for part in range(parts))

    def drain() -> None:
        with contextlib.suppress(IndexError):
            while True:
                work(*left.popleft())

    helpers: list[Future[None]] = []
    # RuntimeError: no thread can be started, for want of memory or because Python is about to end; this one is enough.
    with contextlib.suppress(RuntimeError):
        helpers.extend(_pool().submit(drain) for _ in range(threads - 1))
    try:
        drain()
    finally:
        for helper in helpers:
            if not helper.cancel():  # one that never began has nothing left to do
                helper.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, thread_count() - 1), thread_name_prefix="spikesim")


def _forget_threads() -> None:
    """In a forked child: no thread of ours is there, and torch would wait for its own without end."""
    _pool.cache_clear()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


os.register_at_fork(after_in_child=_forget_threads)
# Nothing is being compiled at a fork: a child would wait for the thread that holds the lock, and that it does not have.
os.register_at_fork(
    before=_compiler.acquire, after_in_parent=_compiler.release, after_in_child=_compiler.release
)
