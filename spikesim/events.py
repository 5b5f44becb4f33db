"""Event statistics of integer activations: what the cycle model has to know about them, and nothing else.

A row of counts is spread over `ways` banks, channel i in bank i mod ways (`hardware.md` 2). Each bank delivers
at most one event per cycle. The counters below are exact; `spikesim.digits.digits` defines what an event is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikesim.arrays import integer_array
from spikesim.digits import COUNT_CODINGS, INT8_PLANES, UNSIGNED_CODINGS, Coding, checked_coding, digits
from spikesim.errors import CodingError
from spikesim.jit import jit, threads_for

# A bank's events per plane are summed in the eight bytes of one 64-bit word; a byte holds this many additions.
_BYTE_LIMIT = 255


@dataclass(frozen=True, kw_only=True)
class EventStatistics:
    """Exact event counts of `counts[rows_m, channels]`, one entry per row unless said otherwise.

    * `events` int32[rows_m]: non-zero digits, all planes and channels.
    * `active_rows` int32[rows_m]: non-zero counts, i.e. memory rows touched at least once.
    * `busiest_bank_active` int32[rows_m]: the largest number of non-zero counts in one bank.
    * `plane_order_cycles` int32[rows_m]: Σ over planes p < P of max(1, the fullest bank's events in plane p), P = 1 +
      the highest plane with an event. A silent plane below the top costs the cycle in which the accumulator doubles.
      In the ternary coding planes are nested: none below the top is silent, and nothing doubles.
    * `row_order_cycles` int32[rows_m]: the fullest bank's events in all planes together.
    * `events_per_plane` int64[planes]: summed over rows; plane 0 is the least significant.
    """

    coding: Coding
    ways: int
    channels: int
    events: NDArray[np.int32]
    active_rows: NDArray[np.int32]
    plane_order_cycles: NDArray[np.int32]
    row_order_cycles: NDArray[np.int32]
    busiest_bank_active: NDArray[np.int32]
    events_per_plane: NDArray[np.int64]


def event_statistics(counts: Any, ways: int, coding: str) -> EventStatistics:
    """counts: int8[rows_m, channels] with |count| ≤ 127, or uint8 for bitwise_unsigned -> EventStatistics.

    Other integer types are taken if their values lie in that range; `channels` need not be a multiple of `ways`. The
    binary coding has no counter of its own: it is ternary without negative counts.

    Raises CodingError for values out of range, a wrong shape, ways < 1 or an unknown coding.

    >>> stats = event_statistics([[3, 0, -1, 4]], ways=2, coding="bitwise")
    >>> stats.events.tolist(), stats.plane_order_cycles.tolist(), stats.row_order_cycles.tolist()
    ([4], [4], [3])
    >>> stats.events_per_plane.tolist()
    [2, 1, 1, 0, 0, 0, 0]
    """
    coding = checked_coding(coding)
    if ways < 1:
        raise CodingError(f"ways must be 1 or more, not {ways}")
    array = integer_array(counts)
    if array.ndim != 2:
        raise CodingError(f"counts must be of shape [rows_m, channels], not {array.shape}")
    codes = _as_bytes(array, coding)
    rows, channels = codes.shape
    per_row = np.zeros((5, rows), np.int32)
    blocks = max(1, min(rows, 4 * numba.get_num_threads()))
    per_block = np.zeros((blocks, max(8, INT8_PLANES[coding])), np.int64)
    with threads_for(codes.size):
        if coding in COUNT_CODINGS:
            _count_ternary(codes, ways, per_row, per_block)
        else:
            _count_binary(codes, ways, _plane_table(coding), per_row, per_block)
    return EventStatistics(
        coding=coding,
        ways=ways,
        channels=channels,
        events=per_row[0],
        active_rows=per_row[1],
        plane_order_cycles=per_row[2],
        row_order_cycles=per_row[3],
        busiest_bank_active=per_row[4],
        events_per_plane=per_block.sum(axis=0)[: INT8_PLANES[coding]],
    )


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


@jit(parallel=True)
def _count_binary(
    codes: NDArray[np.uint8],
    ways: int,
    table: NDArray[np.uint64],
    per_row: NDArray[np.int32],
    per_block: NDArray[np.int64],
) -> None:  # pragma: no cover (compiled)
    """Fill `per_row` [5, rows] and `per_block` [blocks, 8] for a coding of eight planes or fewer."""
    rows, channels = codes.shape
    blocks = per_block.shape[0]
    for block in numba.prange(blocks):
        packed = np.zeros(ways, np.uint64)  # per bank: eight byte-wide counters, one per plane
        packed_bytes = packed.view(np.uint8)
        active = np.zeros(ways, np.int32)
        wide = np.zeros(8 * ways, np.int32)  # the same counters, wide enough for any row
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            active[:] = 0
            wide[:] = 0
            start = 0
            while start < channels:
                packed[:] = 0
                stop = min(channels, start + _BYTE_LIMIT * ways)
                for base in range(start, stop, ways):
                    here = codes[row, base : min(base + ways, stop)]
                    for bank in range(here.size):
                        packed[bank] += table[here[bank]]
                        active[bank] += here[bank] != 0
                for i in range(8 * ways):
                    wide[i] += packed_bytes[i]
                start = stop
            _reduce(wide, active, ways, row, block, per_row, per_block)


@jit()
def _reduce(
    wide: NDArray[np.int32],
    active: NDArray[np.int32],
    ways: int,
    row: int,
    block: int,
    per_row: NDArray[np.int32],
    per_block: NDArray[np.int64],
) -> None:  # pragma: no cover (compiled)
    """From the events per bank and plane of one row (`wide`, plane innermost) to the row's entries."""
    fullest_in_plane = np.zeros(8, np.int32)
    fullest, busiest, total, total_active = 0, 0, 0, 0
    for bank in range(ways):
        in_bank = 0
        for p in range(8):
            here = wide[8 * bank + p]
            in_bank += here
            per_block[block, p] += here
            fullest_in_plane[p] = max(fullest_in_plane[p], here)
        total += in_bank
        fullest = max(fullest, in_bank)
        total_active += active[bank]
        busiest = max(busiest, active[bank])
    top = 8
    while top > 0 and fullest_in_plane[top - 1] == 0:
        top -= 1
    cycles = 0
    for p in range(top):
        cycles += max(1, fullest_in_plane[p])
    per_row[0, row] = total
    per_row[1, row] = total_active
    per_row[2, row] = cycles
    per_row[3, row] = fullest
    per_row[4, row] = busiest


@jit(parallel=True)
def _count_ternary(
    codes: NDArray[np.uint8], ways: int, per_row: NDArray[np.int32], per_block: NDArray[np.int64]
) -> None:  # pragma: no cover (compiled)
    """Fill `per_row` [5, rows] and `per_block` [blocks, 127] for the count codings.

    Plane p holds an event of every count with |count| > p, so a histogram of |count| per bank gives all planes.
    """
    rows, channels = codes.shape
    blocks = per_block.shape[0]
    for block in numba.prange(blocks):
        histogram = np.zeros((128, ways), np.int32)  # counts of magnitude m in each bank
        above = np.zeros(ways, np.int32)
        in_bank = np.zeros(ways, np.int32)
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            top = np.int32(0)
            for base in range(0, channels, ways):
                here = codes[row, base : min(base + ways, channels)]
                for bank in range(here.size):
                    magnitude = abs(np.int32(np.int8(here[bank])))
                    histogram[magnitude, bank] += 1
                    top = max(top, magnitude)
            above[:] = 0
            in_bank[:] = 0
            cycles = 0
            for p in range(top - 1, -1, -1):
                fullest_in_plane, in_plane = 0, 0
                for bank in range(ways):
                    above[bank] += histogram[p + 1, bank]
                    histogram[p + 1, bank] = 0
                    in_bank[bank] += above[bank]
                    in_plane += above[bank]
                    fullest_in_plane = max(fullest_in_plane, above[bank])
                cycles += fullest_in_plane
                per_block[block, p] += in_plane
            histogram[0] = 0
            total, fullest, total_active, busiest = 0, 0, 0, 0
            for bank in range(ways):
                total += in_bank[bank]
                fullest = max(fullest, in_bank[bank])
                total_active += above[bank]
                busiest = max(busiest, above[bank])
            per_row[0, row] = total
            per_row[1, row] = total_active
            per_row[2, row] = cycles
            per_row[3, row] = fullest
            per_row[4, row] = busiest
