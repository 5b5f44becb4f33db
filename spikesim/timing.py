"""The timing rules of the core: constants and closed forms in cycles, in one place.

The cycle model adds these up; the RTL is built to match them exactly; `docs/timing.md` explains each. Every
function takes and returns integers or integer arrays, so that the same rule serves one instruction and a whole
batch of tokens.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ISSUE_CYCLES = 4
"""Fetch, decode and operand set-up of every instruction; instructions do not overlap."""

LATENCY = {
    "multiply": 12,
    "add": 6,
    "reduce": 10,
    "invert": 12,
    "scalar_multiply": 10,
    "exponential": 12,
    "lookup": 9,
    "softmax_weights": 14,
    "phase": 9,
    "rotate": 9,
    "select_top": 4,
    "gather": 8,
    "scatter": 8,
    "decay": 10,
    "store": 4,
    "pool": 8,
}
"""Pipeline depth of each instruction: cycles from its last operand word to its last result word."""

COUNTS_PER_WORD = 4
"""Counts are bytes, packed four to a vector word; the encoder and the caches take a word per cycle."""

Cycles = TypeVar("Cycles", int, NDArray[np.int64])


def ceil_div(a: Cycles, b: int) -> Cycles:
    """a / b rounded up, for a ≥ 0."""
    return -(-a // b)


def stream(words: Cycles) -> Cycles:
    """A pointwise instruction: one word per cycle."""
    return words


def load_counts(channels: Cycles) -> Cycles:
    """Loading a counts vector into the event encoder."""
    return ceil_div(channels, COUNTS_PER_WORD)


def gather(channels: Cycles, outputs: Cycles, event_cycles: Cycles, *, lanes: int, passes: int = 1) -> Cycles:
    """One group of a gather: load, then per column chunk the events, its results drained while the next chunk runs.

    `event_cycles`: cycles in which the array takes events, the same for every chunk of a pass. A chunk of
    `lanes` results drains one word per cycle, so that a chunk takes max(event_cycles, lanes) but for the last,
    whose drain nothing hides.
    `passes`: 2 for 16-bit rows, read as two bytes. No outputs cost nothing.
    """
    chunks = ceil_div(outputs, lanes)
    last = outputs - (chunks - 1) * lanes
    total = (
        load_counts(channels) + event_cycles + (passes * chunks - 1) * np.maximum(event_cycles, lanes) + last
    )
    return np.where(outputs > 0, total, 0)  # type: ignore[return-value]


def scatter(channels: int, columns: int, event_cycles: NDArray[np.int64], *, lanes: int) -> NDArray[np.int64]:
    """One group of a scatter: load, then per chunk the update words, fetched while the chunk before is written.

    `event_cycles`: a bank takes its active rows one after the other, and of each row one plane per cycle from
    its highest down, so that the row is read once, rounded once and written once.
    """
    chunks = ceil_div(columns, lanes)
    period: NDArray[np.int64] = np.maximum(event_cycles, lanes)
    return load_counts(channels) + lanes + event_cycles + (chunks - 1) * period


def decay(size: int, *, ways: int, lanes: int) -> int:
    """Shifting all rows of one state: every bank reads, shifts and writes one row chunk per cycle."""
    return ceil_div(size, ways) * ceil_div(size, lanes)
