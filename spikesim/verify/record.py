"""What the bench recorded of the RTL, ordered like what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.rtl.assemble import Executable
from spikesim.rtl.host.registers import COUNTER_NAMES

WRITE, DONE, SKIPPED, OUTPUT, COUNTER, TOKEN, CLEARED = range(7)
"""Kinds of entries, as in `harness.cpp`."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """One token on the RTL.

    * `writes`: int64[writes, 5]: program, instruction, address, word, clock cycle; sorted by the first three.
    * `instructions`: int64[executed, 4]: program, instruction, cycles, clock cycle of its end, in order.
    * `output`: int32[words].
    """

    writes: Integers
    instructions: Integers
    output: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class RTLRecord:
    """All tokens, and the counters by name, those of all sequences added up."""

    tokens: list[TokenRecord]
    counters: dict[str, int]


def read_record(path: Path, executable: Executable) -> RTLRecord:
    """Reads the file that the harness wrote."""
    raw = np.fromfile(path, np.uint32).reshape(-1, 3)
    kind, address = (raw[:, 0] >> 24).astype(np.uint32), (raw[:, 0] & 0xFFFFFF).astype(np.int64)
    owners = np.array([(i.program, i.instruction, i.behind) for i in executable.instructions], np.int64)
    ends = np.flatnonzero(kind == TOKEN)
    tokens = []
    for first, last in pairwise(ends):
        cleared = np.flatnonzero(kind[first:last] == CLEARED)
        part = slice(first + 1 + (cleared[-1] if cleared.size else 0), last)
        tokens.append(_token(kind[part], address[part], raw[part], owners))
    counted = raw[kind == COUNTER][:, 1].astype(np.int64).reshape(-1, 2)
    totals = (counted[:, 0] + (counted[:, 1] << 32)).reshape(-1, len(COUNTER_NAMES)).sum(axis=0)
    return RTLRecord(tokens=tokens, counters=dict(zip(COUNTER_NAMES, totals.tolist(), strict=True)))


def _token(
    kind: NDArray[np.uint32], address: Integers, raw: NDArray[np.uint32], owners: Integers
) -> TokenRecord:
    words, clock = raw[:, 1].view(np.int32).astype(np.int64), raw[:, 2].astype(np.int64)
    done = np.flatnonzero((kind == DONE) | (kind == SKIPPED))
    ended, behind = owners[address[done], :2], owners[address[done], 2]
    writes = np.flatnonzero(kind == WRITE)
    # A write belongs to the first instruction that may still write: instructions of a unit write in their order, and
    # nothing else starts before they have.
    first = np.searchsorted(clock[done] + behind, clock[writes])
    instruction = ended[np.minimum(first, len(ended) - 1)]
    found = np.column_stack([instruction, address[writes], words[writes], clock[writes]])
    order = np.lexsort((found[:, 2], found[:, 1], found[:, 0]))
    return TokenRecord(
        writes=found[order],
        instructions=np.column_stack([ended, words[done], clock[done]]),
        output=words[kind == OUTPUT].astype(np.int32),
    )
