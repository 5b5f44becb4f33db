"""Window order: cycles and row reads of events that come row by row, in two passes over the planes."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from spikesim.spikes.digits import UNSIGNED_CODINGS, Coding, digits
from spikesim.support.jit import jit
from spikesim.support.threads import in_parts, thread_count


def window_order(
    codes: NDArray[np.uint8], ways: int, coding: Coding, row_planes: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """codes: uint8[rows_m, channels], contiguous, the counts modulo 256 -> cycles and row reads, int32[rows_m] each.

    The lower pass has the planes below `row_planes`, the upper pass before it the others. A bank needs a cycle per
    event, and in the lower pass one for a row that has events in the upper pass alone; all banks finish a pass before
    the next: cycles = the busiest bank's of the upper pass + the busiest bank's of the lower. A row is read once per
    pass in which it has an event; but a bank's last row with events in the upper pass is the first of its lower pass,
    and is not read again.
    """
    tables = _tables(coding, row_planes)
    rows = len(codes)
    cycles, reads = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    blocks = max(1, min(rows, 4 * thread_count()))

    def work(start: int, stop: int) -> None:
        first, end = start * rows // blocks, stop * rows // blocks
        _count(codes[first:end], ways, tables, cycles[first:end], reads[first:end])

    in_parts(work, blocks, codes.size)
    return cycles, reads


@cache
def _tables(coding: Coding, row_planes: int) -> NDArray[np.int32]:
    """int32[3, 256], indexed by the count's byte: cycles of the upper pass, cycles of the lower pass, row reads."""
    codes = np.arange(256, dtype=np.uint8)
    values = codes.astype(np.int64) if coding in UNSIGNED_CODINGS else codes.view(np.int8).astype(np.int64)
    events = digits(values, coding) != 0
    upper, lower = events[row_planes:].sum(axis=0), events[:row_planes].sum(axis=0)
    reads = (upper > 0).astype(np.int64) + (lower > 0)
    return np.stack([upper, np.maximum(lower, upper > 0), reads]).astype(np.int32)


@jit()
def _count(
    codes: NDArray[np.uint8],
    ways: int,
    tables: NDArray[np.int32],
    cycles: NDArray[np.int32],
    reads: NDArray[np.int32],
) -> None:  # pragma: no cover (compiled)
    """Fill `cycles` and `reads` of these rows."""
    rows, channels = codes.shape
    upper, lower = np.zeros(ways, np.int32), np.zeros(ways, np.int32)
    kept = np.zeros(ways, np.int32)  # whether the last row of the upper pass has events in the lower
    for row in range(rows):
        upper[:] = 0
        lower[:] = 0
        kept[:] = 0
        read = 0
        for base in range(0, channels, ways):
            here = codes[row, base : min(base + ways, channels)]
            for bank in range(here.size):
                upper[bank] += tables[0, here[bank]]
                lower[bank] += tables[1, here[bank]]
                read += tables[2, here[bank]]
                if tables[0, here[bank]]:
                    kept[bank] = tables[2, here[bank]] - 1
        cycles[row] = upper.max() + lower.max()
        reads[row] = read - kept.sum()
