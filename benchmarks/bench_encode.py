"""Speed of `encode` against the machine's memory copy, and of the event counters: python benchmarks/bench_encode.py.

The bar: INT8 input is encoded to packed bitwise spikes at 27 % of the rate at which np.copyto copies bytes, or faster;
at 20 % in the other codings, whose eight planes are more to write.
Copy and encoder take turns within one run, and the best of the repetitions counts, so that other load disturbs
both alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np
from bars import Bars

from spikesim.spikes.encode import encode
from spikesim.spikes.events import event_statistics
from spikesim.support.threads import thread_count

BAR = 0.27
BAR_OTHERS = 0.20
COPY_BYTES = 1 << 28  # far beyond any cache


def seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    """Time of one call."""
    start = clock()
    function()
    return clock() - start


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tokens", type=int, default=8192, help="rows of 2560 channels (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="one thread, and its processor time instead of wall time: steadier while other programs run",
    )
    parser.add_argument("--small", action="store_true", help="one round of a few rows, not judged")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.tokens, arguments.repeats = 16, 1
    copy_bytes = 1 << 16 if arguments.small else COPY_BYTES
    if arguments.cpu_time:
        arguments.threads = 1
    clock = time.thread_time if arguments.cpu_time else time.perf_counter
    numba.config.NUMBA_NUM_THREADS = arguments.threads

    rng = np.random.default_rng(0)
    x = rng.laplace(size=(arguments.tokens, 2560)).astype(np.float32)
    counts = np.round(x * (127 / np.abs(x).max(axis=1, keepdims=True))).astype(np.int8)
    sparse = np.clip(np.round(x * 3), -127, 127).astype(np.int8)
    buffer = np.ones((2, copy_bytes), np.int8)  # ones: every page exists before the first copy

    jobs: dict[str, Callable[[], object]] = {
        "memory copy": lambda: np.copyto(buffer[0], buffer[1]),
        "encode bitwise, 7 steps": lambda: encode(counts, "bitwise", 7),
        "encode signed_digit, 8 steps": lambda: encode(counts, "signed_digit", 8),
        "encode twos_complement, 8 steps": lambda: encode(counts, "twos_complement", 8),
        "encode bitwise, steps from data": lambda: encode(counts, "bitwise"),
    }
    for coding in ("bitwise", "signed_digit", "twos_complement", "ternary"):
        jobs[f"events {coding}, 16 ways"] = lambda coding=coding: event_statistics(sparse, 16, coding)  # type: ignore[misc]
    for job in jobs.values():
        job()  # compiled here
    best = {name: seconds(job, clock) for name, job in jobs.items()}
    for _ in range(arguments.repeats):
        for name, job in jobs.items():
            best[name] = min(best[name], seconds(job, clock))

    copy = copy_bytes / best["memory copy"]
    measured = "processor time" if arguments.cpu_time else "wall time"
    threads = f"{arguments.threads} thread{'s' * (arguments.threads != 1)}"
    print(f"{counts.size / 1e6:.0f} MB of INT8, {threads}, {measured}, best of {arguments.repeats}")
    bars = Bars(judged=not arguments.small)
    for name, time_s in best.items():
        rate = (copy_bytes if name == "memory copy" else counts.size) / time_s
        print(f"{name:44} {rate / 1e9:9.2f}  GB/s")
        if name.startswith("encode"):
            bar = BAR if name == "encode bitwise, 7 steps" else BAR_OTHERS
            bars.at_least(f"{name} / copy", rate / copy, bar, ".1%")
    bars.close()


if __name__ == "__main__":
    main()
