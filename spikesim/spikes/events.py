"""Event statistics of integer activations: what the cycle model has to know about them, and nothing else.

A row of counts is spread over `ways` banks, channel i in bank i mod ways (`docs/timing.md`). Each bank delivers
at most one event per cycle. The counters below are exact; `spikesim.spikes.digits.digits` defines what an event is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import checked_integer, integer_array
from spikesim.spikes.digits import (
    COUNT_CODINGS,
    INT8_PLANES,
    UNSIGNED_CODINGS,
    Coding,
    checked_coding,
    digits,
)
from spikesim.spikes.row_order import RowOrder, row_order
from spikesim.support.arithmetic import ceil_div
from spikesim.support.jit import jit
from spikesim.support.threads import in_parts, thread_count

# A bank's events per plane are summed in the eight bytes of one 64-bit word; a byte holds this many additions.
_BYTE_LIMIT = 255

MAX_CHANNELS = 1 << 24
"""Channels of a row, as many as a hardware description can name: 127 events of each are still below 2^31."""


@dataclass(frozen=True, kw_only=True)
class EventStatistics(RowOrder):
    """Exact event counts of `counts[rows_m, channels]`, one entry per row unless said otherwise.

    * `events` int32[rows_m]: non-zero digits, all planes and channels.
    * `active_rows` int32[rows_m]: non-zero counts, i.e. memory rows touched at least once.
    * `busiest_bank_active` int32[rows_m]: the largest number of non-zero counts in one bank.
    * `plane_order_cycles` int32[rows_m]: cycles to deliver all events, planes from the highest with an event down. A
      bank needs for a plane one per event, and one per word of `scan` rows without any; none for a plane in which it
      has no event. Planes are at least a cycle apart, in which the accumulators double. With `skew` 0 all banks finish
      a plane before the next: Σ over planes of max(1, the busiest bank's). With 1 a bank may take a plane while another
      still delivers the one above; the highest two start together, and at the end all banks finish. Planes of the count
      codings all weigh the same, and no bank waits for another: `row_order_cycles`.
    * `row_order_cycles` int32[rows_m]: the fullest bank's events in all planes together.
    * `window_order_cycles`, `window_order_reads` int32[rows_m]: cycles and row reads with `row_planes` planes in the
      lower pass (`spikesim.spikes.row_order`); with all planes in it, and for the count codings, those of row order.
    * `events_per_plane` int64[planes]: summed over rows; plane 0 is the least significant.
    """

    coding: Coding
    ways: int
    channels: int
    plane_order_cycles: NDArray[np.int32]
    events_per_plane: NDArray[np.int64]


def event_statistics(
    counts: Any,
    ways: int,
    coding: str,
    *,
    skew: int = 0,
    scan: int | None = None,
    row_planes: int = 8,
    lengths: Any = None,
) -> EventStatistics:
    """counts: int8[rows_m, channels] with |count| ≤ 127, or uint8 for bitwise_unsigned -> EventStatistics.

    Other integer types are taken if their values lie in that range; `channels` need not be a multiple of `ways`. The
    binary coding has no counter of its own: it is ternary without negative counts.

    `skew` (0 or 1), `scan` (1 or more; default: a word holds all rows): of `plane_order_cycles`. `row_planes`
    (1 to 8): of `window_order_…`. `lengths`: integer[rows_m], how many counts each row has; those beyond must be 0.

    Raises CodingError for values out of range, a wrong shape, more than 2^24 channels, ways < 1 or an unknown coding.

    >>> stats = event_statistics([[3, 0, -1, 4]], ways=2, coding="bitwise")
    >>> stats.events.tolist(), stats.plane_order_cycles.tolist(), stats.row_order_cycles.tolist()
    ([4], [4], [3])
    >>> stats.events_per_plane.tolist()
    [2, 1, 1, 0, 0, 0, 0]
    """
    coding = checked_coding(coding)
    ways = checked_integer(ways, "ways", 1, None, "1 or more")
    skew = checked_integer(skew, "skew", 0, 1, "0 or 1")
    row_planes = checked_integer(row_planes, "row_planes", 1, 8, "from 1 to 8")
    array = integer_array(counts)
    if array.ndim != 2:
        raise CodingError(f"counts must be of shape [rows_m, channels], not {array.shape}")
    rows, channels = array.shape
    if channels > MAX_CHANNELS:
        raise CodingError(f"counts must be of at most {MAX_CHANNELS:,} channels, not {channels:,}")
    scan = channels if scan is None else checked_integer(scan, "scan", 1, None, "1 or more")
    codes = _as_bytes(array, coding)
    used = _lengths(lengths, codes)
    # Banks beyond the channels are empty, and a word longer than a bank's rows is as good as one that holds them all.
    banks = min(ways, max(1, channels))
    scan = min(scan, ceil_div(channels, banks)) or 1
    by_row = row_order(codes, banks, coding, row_planes)
    cycles = by_row.row_order_cycles.copy() if coding in COUNT_CODINGS else np.zeros(rows, np.int32)
    blocks = max(1, min(rows, 4 * thread_count()))
    per_block = np.zeros((blocks, max(8, INT8_PLANES[coding])), np.int64)

    def work(start: int, stop: int) -> None:
        if coding in COUNT_CODINGS:
            _count_ternary(codes, start, stop, per_block)
        else:
            _count_binary(
                codes, used, banks, scan, skew, start, stop, _plane_table(coding), cycles, per_block
            )

    in_parts(work, blocks, codes.size)
    return EventStatistics(
        coding=coding,
        ways=ways,
        channels=channels,
        plane_order_cycles=cycles,
        events_per_plane=per_block.sum(axis=0)[: INT8_PLANES[coding]],
        **vars(by_row),
    )


def _lengths(lengths: Any, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """int64[rows]: the counts that each row has, by default all; CodingError if it cannot have them, or has more."""
    rows, channels = codes.shape
    if lengths is None:
        return np.full(rows, channels)
    used = integer_array(lengths, "lengths").astype(np.int64)
    if used.shape != (rows,):
        raise CodingError(f"lengths must be of shape ({rows},), one for each row, not {used.shape}")
    if used.size and not 0 <= used.min() <= used.max() <= channels:
        wrong = used.min() if used.min() < 0 else used.max()
        raise CodingError(f"lengths must be in 0 … {channels}, not {wrong}")
    if _beyond(codes, used):
        raise CodingError("counts beyond the length of their row must be 0")
    return used


@jit()
def _beyond(codes: NDArray[np.uint8], lengths: NDArray[np.int64]) -> np.uint8:  # pragma: no cover (compiled)
    """All counts behind the length of their row, by OR: 0 if there are none but 0."""
    found = np.uint8(0)
    for row in range(codes.shape[0]):
        for count in codes[row, lengths[row] :]:
            found |= count
    return found


def _as_bytes(array: NDArray[Any], coding: Coding) -> NDArray[np.uint8]:
    """The counts as contiguous bytes, negative ones modulo 256; CodingError if one is out of the coding's range."""
    low, high = (0 if coding in UNSIGNED_CODINGS else -127), (255 if coding == "bitwise_unsigned" else 127)
    if array.size and (array.min() < low or array.max() > high):
        wrong = array.min() if array.min() < low else array.max()
        raise CodingError(f"counts of the {coding} coding must be in {low} … {high}, not {wrong}")
    if array.dtype.itemsize != 1:
        array = array.astype(np.int16).astype(np.uint8)
    return np.ascontiguousarray(array).view(np.uint8)


@cache
def _plane_table(coding: Coding) -> NDArray[np.uint64]:
    """uint64[256], indexed by the count's byte: byte p is 1 if the count has an event in plane p."""
    codes = np.arange(256, dtype=np.uint8)
    values = codes.astype(np.int64) if coding in UNSIGNED_CODINGS else codes.view(np.int8).astype(np.int64)
    events = (digits(values, coding) != 0).astype(np.uint64)
    table = np.zeros(256, np.uint64)
    for p, plane in enumerate(events):
        table |= plane << np.uint64(8 * p)
    return table


@jit()
def _count_binary(
    codes: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    ways: int,
    scan: int,
    skew: int,
    first: int,
    end: int,
    table: NDArray[np.uint64],
    cycles: NDArray[np.int32],
    per_block: NDArray[np.int64],
) -> None:  # pragma: no cover (compiled)
    """Fill `cycles`, those of plane order, and `per_block` [blocks, 8] for a coding of eight planes or fewer.

    Blocks first … end − 1 of the rows.
    """
    rows = codes.shape[0]
    blocks = per_block.shape[0]
    for block in range(first, end):
        packed = np.zeros(ways, np.uint64)  # per bank: eight byte-wide counters, one per plane
        packed_bytes = packed.view(np.uint8)
        word = np.zeros(8 * ways, np.int32)  # the same counters, wide enough for any word
        wide = np.zeros(8 * ways, np.int32)  # and for any row
        spent = np.zeros(8 * ways, np.int32)  # cycles in the place of events
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            wide[:] = 0
            spent[:] = 0
            start, next_word = 0, 0
            while start < lengths[row]:
                if start == next_word:
                    word[:] = 0
                    next_word = min(lengths[row], start + scan * ways)
                packed[:] = 0
                stop = min(next_word, start + _BYTE_LIMIT * ways)
                for base in range(start, stop, ways):
                    here = codes[row, base : min(base + ways, stop)]
                    for bank in range(here.size):
                        packed[bank] += table[here[bank]]
                for i in range(8 * ways):
                    word[i] += packed_bytes[i]
                start = stop
                if start == next_word:
                    for i in range(8 * ways):
                        wide[i] += word[i]
                        spent[i] += max(1, word[i])
            for i in range(8 * ways):
                per_block[block, i % 8] += wide[i]
                if wide[i] == 0:
                    spent[i] = 0
            cycles[row] = _plane_cycles(spent, ways, skew)


@jit()
def _plane_cycles(spent: NDArray[np.int32], ways: int, skew: int) -> int:  # pragma: no cover (compiled)
    """`plane_order_cycles` of a row from the cycles each bank needs for each plane (plane innermost)."""
    top = 7
    while top >= 0 and spent[top::8].max() == 0:
        top -= 1
    cycles = 0
    above = np.zeros(ways, np.int32)  # what a bank still has to deliver of the plane above the accumulators'
    if skew and top > 0:
        above[:] = spent[top::8]
        top -= 1
    for p in range(top, -1, -1):
        here = 0
        for bank in range(ways):
            needed = above[bank] if skew and p > 0 else above[bank] + spent[8 * bank + p]
            here = max(here, needed)
        here = max(1, here)
        cycles += here
        if skew:
            for bank in range(ways):
                above[bank] = max(0, spent[8 * bank + p] - (here - above[bank]))
    return cycles


@jit()
def _count_ternary(
    codes: NDArray[np.uint8], first: int, end: int, per_block: NDArray[np.int64]
) -> None:  # pragma: no cover (compiled)
    """Fill `per_block` [blocks, 127] for the count codings, blocks first … end − 1 of the rows.

    Plane p holds an event of every count with |count| > p, so a histogram of |count| gives all planes.
    """
    rows = codes.shape[0]
    blocks = per_block.shape[0]
    for block in range(first, end):
        histogram = np.zeros(128, np.int64)
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            for count in codes[row]:
                histogram[abs(np.int32(np.int8(count)))] += 1
        above = np.int64(0)
        for p in range(126, -1, -1):
            above += histogram[p + 1]
            per_block[block, p] += above
