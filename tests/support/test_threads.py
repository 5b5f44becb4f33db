"""Loops on several threads give one result wherever they are called: in threads, in forked children, at the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
import torch
from helpers.tried import tried
from numba.core.compiler_lock import global_compiler_lock

import spikesim
from spikesim.spikes.events import event_statistics
from spikesim.spikes.matmul import spike_matmul
from spikesim.support import threads
from spikesim.support.threads import ONE_THREAD, in_parts

COUNTS = np.random.default_rng(0).integers(-127, 128, (64, ONE_THREAD // 32), dtype=np.int8)
MATRIX = np.ones((COUNTS.shape[1], 2), np.int8)
SECONDS = 100


def results(_number: int = 0) -> tuple[Any, ...]:
    """What every parallel loop of the package makes of the counts, and torch of their floats."""
    train = spikesim.encode(COUNTS, "signed_digit")
    wide = spikesim.encode(COUNTS.astype(np.int32) * 300)
    return (
        train.n_spikes,
        wide.n_spikes,
        event_statistics(COUNTS, 8, "bitwise").events_per_plane.tolist(),
        event_statistics(COUNTS, 8, "ternary").events_per_plane.tolist(),
        spike_matmul(train, MATRIX).tolist(),
        int(spikesim.adaptive_threshold(torch.from_numpy(COUNTS).float()).counts.sum()),
    )


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads, whatever the machine has."""
    monkeypatch.setattr(threads, "thread_count", lambda: 4)
    threads._pool.cache_clear()


def forked(work: Callable[[], bool]) -> int:
    """Exit status of a forked child that says whether something holds; it is ended if it takes too long."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            signal.alarm(SECONDS)
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("blocks", "elements"), [(1, ONE_THREAD), (5, 1), (5, ONE_THREAD), (1000, ONE_THREAD), (0, 0)]
)
def test_every_block_is_done_once(blocks: int, elements: int) -> None:
    done: list[int] = []
    in_parts(lambda start, stop: done.extend(range(start, stop)), blocks, elements)
    assert sorted(done) == list(range(blocks))


@pytest.mark.usefixtures("several")
def test_error_of_a_part_is_raised_when_all_have_ended() -> None:
    running = threading.Semaphore(0)

    def work(start: int, _stop: int) -> None:
        running.release()
        if start:
            raise ValueError(f"block {start}")

    with pytest.raises(ValueError, match=r"^block \d+$"):
        in_parts(work, 100, ONE_THREAD)


@pytest.mark.usefixtures("several")
@tried(15, "encode, event_statistics and spike_matmul in a forked child, after their use", "the same results")
def test_forked_child_computes() -> None:
    expected = results()
    assert [forked(lambda: results() == expected) for _ in range(3)] == [0, 0, 0]


@pytest.mark.usefixtures("several")
@tried(15, "a pool of forked workers that return spike trains", "the same trains, read-only")
def test_forked_workers_return_trains() -> None:
    expected = spikesim.encode(COUNTS)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        trains = pool.map_async(spikesim.encode, [COUNTS] * 3).get(SECONDS)
    assert all(np.array_equal(train.bits, expected.bits) for train in trains)
    assert not trains[0].bits.flags.writeable


class _Trains(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(spikesim.encode(COUNTS).decode())


@pytest.mark.usefixtures("several")
@tried(15, "encode in the forked workers of a torch DataLoader, after its use", "every item arrives")
def test_loader_workers_encode() -> None:
    spikesim.encode(COUNTS)
    loader = torch.utils.data.DataLoader(
        _Trains(), num_workers=2, multiprocessing_context="fork", timeout=SECONDS
    )
    assert [np.array_equal(item[0], COUNTS) for item in loader] == [True] * 3


@pytest.mark.usefixtures("several")
@tried(15, "encode and event_statistics from eight threads at once", "every thread has the same results")
def test_threads_call_at_once() -> None:
    expected = results()
    with ThreadPoolExecutor(8) as callers:
        assert all(found == expected for found in callers.map(results, range(16)))


@pytest.mark.usefixtures("several")
@tried(15, "a fork while other threads encode", "parent and children have the same results")
def test_fork_among_threads() -> None:
    expected = spikesim.encode(COUNTS).n_spikes
    ends = threading.Event()
    wrong: list[int] = []

    def encode() -> None:
        while not ends.is_set():
            if (found := spikesim.encode(COUNTS).n_spikes) != expected:
                wrong.append(found)

    callers = [threading.Thread(target=encode) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        assert [forked(lambda: spikesim.encode(COUNTS).n_spikes == expected) for _ in range(10)] == [0] * 10
    finally:
        ends.set()
        for caller in callers:
            caller.join()
    assert not wrong


@tried(15, "a fork while another thread compiles", "the child can compile")
def test_fork_while_another_thread_compiles() -> None:
    holds = threading.Event()

    def compiles() -> None:
        with global_compiler_lock:
            holds.set()
            time.sleep(0.2)

    caller = threading.Thread(target=compiles)
    caller.start()
    holds.wait()
    assert forked(lambda: numba.njit(lambda x: x + 1)(1) == 2) == 0
    caller.join()


@pytest.mark.usefixtures("several")
@tried(15, "encode where no thread can be started", "the calling thread does it all")
def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = results()

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads._pool.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert results() == expected


@tried(15, "encode at the exit of Python", "it still works")
def test_at_exit() -> None:
    script = (
        "import atexit, numpy as np, spikesim\n"
        f"counts = np.ones({2 * ONE_THREAD}, np.int8)\n"
        "atexit.register(lambda: print(spikesim.encode(counts).n_spikes))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == (str(2 * ONE_THREAD), 0), done.stderr
