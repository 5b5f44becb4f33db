"""How wide an accumulator must be: the proof that no gather of a program wraps, from the program alone.

A sum of counts times rows is at most the largest count times the largest sum of a row's magnitudes: of a weight
matrix as it is, of a cache its entries' limit times the channels, of a state the channels times the largest word,
because the two bytes of its rows end as one sum in a word as wide as the accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.errors import CapacityError
from spikesim.hardware import HardwareConfig
from spikesim.program import COUNT_LIMIT, Program

WORD_BITS = 32
"""Bits of the word of vector memory that an accumulator drains to."""

STATE_LIMIT = 2**15
"""Largest magnitude of a word of state."""


def row_bound(weights: NDArray[np.int8]) -> int:
    """int8[outputs, channels] -> the largest sum of a row's magnitudes.

    >>> row_bound(np.array([[1, -2], [-128, 127]], np.int8))
    255
    """
    largest = 0
    block = max(1, 2**22 // max(1, weights.shape[1]))
    for first in range(0, weights.shape[0], block):
        rows = np.abs(weights[first : first + block].astype(np.int16)).sum(axis=1, dtype=np.int64)
        largest = max(largest, int(rows.max(initial=0)))
    return largest


def needed_bits(bound: int) -> int:
    """Bits of a signed word for sums up to ±bound."""
    return bound.bit_length() + 1


def sums(program: Program, rows: Mapping[str, int] | None = None) -> Iterator[tuple[str, int]]:
    """What every gather sums, and the bound of its sums. `rows`: the `row_bound` of matrices, where it is known."""
    limits = _limits(program)
    stored: dict[tuple[str, str], int] = {}
    for i in program.instructions():
        if isinstance(i, isa.Store):
            key = i.cache, i.kind
            stored[key] = max(stored.get(key, 0), limits.get(i.src.name, COUNT_LIMIT))
    known = dict(rows or {})
    for i in program.instructions():
        if not isinstance(i, isa.Gather):
            continue
        count = limits.get(i.counts.name, COUNT_LIMIT)
        if i.operand == "matrix":
            if i.name not in known:
                known[i.name] = row_bound(np.asarray(program.matrices[i.name]))
            yield f"matrix {i.name}", count * known[i.name]
        elif i.operand == "state":
            yield f"state {i.name}", count * i.counts.length * STATE_LIMIT
        else:
            # A block mean is no larger than the keys it is a mean of; it saturates at the largest count.
            entry = stored.get((i.name, i.operand), COUNT_LIMIT)
            yield f"{i.operand} of {i.name}", count * i.counts.length * entry


def bits_of(program: Program, rows: Mapping[str, int] | None = None) -> int:
    """Bits of an accumulator that holds every sum of a program; 1 if it has none."""
    return max((needed_bits(bound) for _, bound in sums(program, rows)), default=1)


def check_accumulators(
    programs: Sequence[Program], hardware: HardwareConfig, *, rows: Mapping[str, int] | None = None
) -> None:
    """Raises CapacityError, naming program, operand, needed and given bits, if a sum may not fit an accumulator, or the
    word it drains to.
    """
    check_bits(programs, hardware.array.accumulator_bits, rows=rows)


def check_bits(programs: Sequence[Program], given: int, *, rows: Mapping[str, int] | None = None) -> None:
    """`check_accumulators` for accumulators of `given` bits."""
    for program in programs:
        needs = [(needed_bits(bound), what) for what, bound in sums(program, rows)]
        bits, what = max(needs, default=(0, ""))
        if bits > min(given, WORD_BITS):
            raise CapacityError(
                f"array.accumulator_bits must be at least {bits} for {program.text.name}, {what}, not {given}"
                + (f"; words of {WORD_BITS} bits are the limit of this core" if bits > WORD_BITS else "")
            )


def _limits(program: Program) -> dict[str, int]:
    """The largest magnitude of every vector's words as counts: what its writers saturate to, what a constant holds.

    Nothing is larger than the encoder takes; vectors of which nothing is known are not listed.
    """
    limits = {
        name: int(np.abs(words.astype(np.int64)).max(initial=0)) for name, words in program.constants.items()
    }
    for i in program.instructions():
        destination = getattr(i, "dst", None)
        if destination is not None:
            limit = _limit(i)
            limits[destination.name] = max(limits.get(destination.name, 0), limit)
    return {name: min(limit, COUNT_LIMIT) for name, limit in limits.items()}


def _limit(instruction: Any) -> int:
    """What an instruction's results saturate to, the largest count if it is not known."""
    match instruction:
        case isa.Multiply() | isa.Add() | isa.SoftmaxWeights():
            return instruction.limit
    return COUNT_LIMIT
