"""Arrays played cycle by cycle: every bank works through its planes, or passes, none far behind another."""

from __future__ import annotations

import numpy as np


def banks_of(spikes: np.ndarray, ways: int) -> np.ndarray:
    """bool[planes, channels] -> bool[planes, rows, ways]: channel i is row i // ways of bank i mod ways."""
    planes, channels = spikes.shape
    out = np.zeros((planes, -(-channels // ways) * ways), bool)
    out[:, :channels] = spikes
    return out.reshape(planes, -1, ways)


def plane_order_cycles(spikes: np.ndarray, ways: int, *, skew: int, scan: int) -> int:
    """Cycles that the events bool[planes, channels] take; words are `scan` rows of a bank."""
    banked = banks_of(spikes, ways)
    queues = [list(_work(banked[:, :, bank], scan)) for bank in range(ways)]
    if not any(queues):
        return 0
    base = max(0, max(queue[0] for queue in queues if queue) - skew)
    for cycle in range(1, 1 << 30):
        for queue in queues:
            if queue and queue[0] >= base:
                del queue[0]
        left = [queue[0] for queue in queues if queue]
        if base == 0 and not left:
            return cycle
        # The accumulators double when no bank needs the plane above any more; the last plane ends when all is done.
        if base > 0 and all(plane < base + skew for plane in left):
            base -= 1
    raise AssertionError


def window_order_cycles(spikes: np.ndarray, ways: int, *, row_planes: int) -> int:
    """Cycles that the events bool[planes, channels] take row by row, in two passes of which all banks end the first."""
    banked = banks_of(spikes, ways)
    upper, lower = banked[row_planes:].sum(axis=0), banked[:row_planes].sum(axis=0)
    lists = {
        1: [[n for n in upper[:, bank] if n] for bank in range(ways)],
        0: [
            [max(1, n) for n, u in zip(lower[:, bank], upper[:, bank], strict=True) if n or u]
            for bank in range(ways)
        ],
    }
    cycles = 0
    for rows in (lists[1], lists[0]):
        while any(rows):
            cycles += 1
            for bank in rows:
                if bank:
                    bank[0] -= 1
                    if bank[0] == 0:
                        del bank[0]
    return cycles


def window_order_reads(spikes: np.ndarray, ways: int, *, row_planes: int) -> int:
    """How often a bank's memory is read for bool[planes, channels]: its output holds the row that was read last."""
    banked = banks_of(spikes, ways)
    upper, lower = banked[row_planes:].any(axis=0), banked[:row_planes].any(axis=0)
    reads = 0
    for bank in range(ways):
        # Up the rows of the upper pass; down them again, then the others; rows without an event are not read.
        tall = [row for row in range(banked.shape[1]) if upper[row, bank]]
        others = [row for row in range(banked.shape[1]) if not upper[row, bank] and lower[row, bank]]
        held = None
        for row in tall + [row for row in tall[::-1] if lower[row, bank]] + others:
            reads += row != held
            held = row
    return reads


def _work(spikes: np.ndarray, scan: int):  # type: ignore[no-untyped-def]
    """The plane of each cycle that one bank needs, bool[planes, rows]: its events, and words that have none."""
    for plane in range(len(spikes) - 1, -1, -1):
        if spikes[plane].any():
            for first in range(0, spikes.shape[1], scan):
                yield from [plane] * max(1, int(spikes[plane, first : first + scan].sum()))
