"""Events that come row by row, all at once or in two passes over the planes: cycles, row reads, what banks hold.

The one loop that goes over every count that a gather reads: a table says all that is asked of a count, in fields of one
word, and a bank adds up such words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from spikesim.spikes.digits import COUNT_CODINGS, UNSIGNED_CODINGS, Coding, digits
from spikesim.spikes.intrinsics import adjoining
from spikesim.support.jit import jit
from spikesim.support.threads import in_parts

_FIELD_BITS = 12
_FIELD = (1 << _FIELD_BITS) - 1


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """Of counts[rows_m, channels], one int32 per row; the fields are those of `EventStatistics`."""

    events: NDArray[np.int32]
    active_rows: NDArray[np.int32]
    busiest_bank_active: NDArray[np.int32]
    row_order_cycles: NDArray[np.int32]
    window_order_cycles: NDArray[np.int32]
    window_order_reads: NDArray[np.int32]


def row_order(codes: NDArray[np.uint8], ways: int, coding: Coding, row_planes: int) -> RowOrder:
    """codes: uint8[rows_m, channels], contiguous, the counts modulo 256.

    In window order the lower pass has the planes below `row_planes`, the upper pass before it the others. A bank needs
    a cycle per event, and in the lower pass one for a row that has events in the upper pass alone; all banks finish a
    pass before the next: cycles = the busiest bank's of the upper pass + the busiest bank's of the lower. A row is read
    once per pass in which it has an event; but a bank's last row with events in the upper pass is the first of its
    lower pass, and is not read again. Planes of the count codings all weigh the same, and are of the lower pass.
    """
    table, at_once = _table(coding, row_planes)
    found = np.zeros((6, len(codes)), np.int32)

    def work(start: int, stop: int) -> None:
        _count(codes[start:stop], ways, table, at_once, found[:, start:stop])

    in_parts(work, len(codes), codes.size)
    events, active, busiest, cycles, window_cycles, window_reads = found
    return RowOrder(
        events=events,
        active_rows=active,
        busiest_bank_active=busiest,
        row_order_cycles=cycles,
        window_order_cycles=window_cycles,
        window_order_reads=window_reads,
    )


def plane_steps(codes: NDArray[np.uint8], units: int, coding: Coding) -> NDArray[np.int32]:
    """codes: uint8[rows_m, channels], contiguous, the counts modulo 256 -> int32[rows_m].

    Unit u has the channels i with i mod units = u and needs for each its planes up to the highest with an event; of a
    row, what the unit needs that needs most.
    """
    steps = _highest_planes(coding)
    found = np.zeros(len(codes), np.int32)

    def work(start: int, stop: int) -> None:
        _fullest(codes[start:stop], units, steps, found[start:stop])

    in_parts(work, len(codes), codes.size)
    return found


@cache
def _highest_planes(coding: Coding) -> NDArray[np.int32]:
    """int32[256], indexed by the count's byte: planes up to the highest with an event."""
    events = _events(coding)
    planes: NDArray[np.int64] = (np.arange(1, len(events) + 1)[:, None] * events).max(axis=0)
    return planes.astype(np.int32)


@cache
def _events(coding: Coding) -> NDArray[np.bool_]:
    """bool[planes, 256], indexed by plane and the count's byte."""
    codes = np.arange(256, dtype=np.uint8)
    values = codes.astype(np.int64) if coding in UNSIGNED_CODINGS else codes.view(np.int8).astype(np.int64)
    found: NDArray[np.bool_] = digits(values, coding) != 0
    return found


@jit()
def _fullest(
    codes: NDArray[np.uint8], units: int, table: NDArray[np.int32], found: NDArray[np.int32]
) -> None:  # pragma: no cover (compiled)
    """found[row] = the largest sum of table[code] over the channels of a unit."""
    rows, channels = codes.shape
    steps, sums = adjoining(table), adjoining(np.zeros(units, np.int32))
    for row in range(rows):
        run = adjoining(codes[row])
        sums[:] = 0
        for start in range(0, channels, units):
            for unit in range(min(units, channels - start)):
                sums[unit] += steps[run[start + unit]]
        found[row] = sums.max()


@cache
def _table(coding: Coding, row_planes: int) -> tuple[NDArray[np.int64], int]:
    """int64[256], indexed by the count's byte, and how many such words add up before a field may overflow.

    Fields from the lowest: events; cycles of the upper pass; cycles of the lower; row reads; 1 if there are events.
    """
    events = _events(coding)
    first_above = len(events) if coding in COUNT_CODINGS else row_planes
    upper, lower = events[first_above:].sum(axis=0), events[:first_above].sum(axis=0)
    fields = (
        events.sum(axis=0),
        upper,
        np.maximum(lower, upper > 0),
        (upper > 0).astype(np.int64) + (lower > 0),
        events.any(axis=0),
    )
    table = np.zeros(256, np.int64)
    for place, field in enumerate(fields):
        table |= field.astype(np.int64) << (_FIELD_BITS * place)
    return table, _FIELD // int(max(field.max() for field in fields))


@jit()
def _field(word: int, place: int) -> int:  # pragma: no cover (compiled)
    return (word >> (_FIELD_BITS * place)) & _FIELD


@jit()
def _count(
    codes: NDArray[np.uint8], ways: int, table: NDArray[np.int64], at_once: int, found: NDArray[np.int32]
) -> None:  # pragma: no cover (compiled)
    """Fill `found` [6, rows]."""
    rows, channels = codes.shape
    words = adjoining(table)
    packed = adjoining(np.zeros(ways, np.int64))
    banks = np.zeros((4, ways), np.int32)  # events, of the upper pass, of the lower pass, active rows
    for row in range(rows):
        run = adjoining(codes[row])
        banks[:] = 0
        reads, start = 0, 0
        while start < channels:
            stop = min(channels, start + at_once * ways)
            packed[:] = 0
            while start + ways <= stop:
                for bank in range(ways):
                    packed[bank] += words[run[start + bank]]
                start += ways
            for bank in range(stop - start):
                packed[bank] += words[run[start + bank]]
            start = stop
            for bank in range(ways):
                for place in range(3):
                    banks[place, bank] += _field(packed[bank], place)
                reads += _field(packed[bank], 3)
                banks[3, bank] += _field(packed[bank], 4)
        events, active, fullest, upper, lower, busiest = 0, 0, 0, 0, 0, 0
        for bank in range(ways):
            events += banks[0, bank]
            active += banks[3, bank]
            fullest = max(fullest, banks[0, bank])
            upper, lower = max(upper, banks[1, bank]), max(lower, banks[2, bank])
            busiest = max(busiest, banks[3, bank])
            if banks[1, bank]:
                last = (channels - 1 - bank) // ways * ways + bank
                while _field(words[run[last]], 1) == 0:
                    last -= ways
                reads -= _field(words[run[last]], 3) - 1
        found[0, row], found[1, row], found[2, row] = events, active, busiest
        found[3, row], found[4, row], found[5, row] = fullest, upper + lower, reads
