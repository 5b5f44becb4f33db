"""Chained issue: how soon behind a pointwise instruction the next one may enter the same pipeline.

Slots are numbered by the cycle in which they enter. What a slot writes can be read by slots that enter at least
`timing.pointwise_latency` − 1 cycles behind it; those before it have read long before it writes, and results leave in
the order in which their slots entered. A pointwise instruction therefore has to wait for words that instructions in
flight write and it reads, and for nothing else; how long follows from its program alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim import timing
from spikesim.support.arithmetic import ceil_div

Integers = NDArray[np.int64]

POINTWISE = (
    isa.Multiply,
    isa.Add,
    isa.Reduce,
    isa.Invert,
    isa.ScalarMultiply,
    isa.Exponential,
    isa.Lookup,
    isa.SoftmaxWeights,
    isa.Phase,
    isa.Rotate,
    isa.Decay,
    isa.Pool,
)
"""What the pointwise unit executes, alone or in part."""
_HEADER = ("scalar", "norm", "maximum")
"""Operands that a header reads."""


@dataclass(frozen=True)
class _Access:
    """Words of the vector `name`: `addresses[n]` in the slot `slots[n]`. Any word in any slot, if there are none."""

    name: str
    addresses: Integers | None = None
    slots: Integers | None = None


@dataclass(frozen=True)
class _Flight:
    """An instruction that may still have to write: what, its first slot and its last one."""

    writes: tuple[_Access, ...]
    first: int
    last: int


def tails(program: isa.Program, *, words: int, cores: int = 1) -> list[int]:
    """Per instruction the cycles from its last slot to its end, as `timing.pointwise` wants them.

    The whole latency, unless a pointwise instruction follows at once that may enter before: then as few as the words
    allow that it reads, and no less than `timing.POINTWISE_TAIL`. `words` of a slot; `cores` that share instructions.
    """
    whole = timing.pointwise_latency(words)
    found: list[int] = []
    flying: list[_Flight] = []
    for instruction in program.instructions():
        if not isinstance(instruction, POINTWISE):
            flying = []
        first = 0
        if flying and getattr(instruction, "partition", None) is None:
            issue = 1 + timing.issue_cycles(instruction)
            last = flying[-1].last
            needed = _earliest(instruction, flying, words, cores) - last - issue
            found[-1] = min(whole, max(timing.POINTWISE_TAIL, needed))
            first = last + found[-1] + issue
        found.append(whole)
        if isinstance(instruction, POINTWISE) and instruction.PARTS == 1:
            groups, slots, _ = timing.pointwise_share(instruction, words=words, cores=cores)
            if instruction.cached is not None:
                slots = 1
            last = first + groups * (slots + 1)
            flying = [flight for flight in flying if first - flight.last < whole]
            flying.append(_Flight(tuple(_accesses(instruction, words, cores, written=True)), first, last))
        else:
            flying = []
    return found


def _earliest(instruction: Any, flying: list[_Flight], words: int, cores: int) -> int:
    """The first cycle in which its first slot may enter: no slot reads a word before it is there."""
    distance = timing.pointwise_latency(words) - 1
    earliest = 0
    for read in _accesses(instruction, words, cores, written=False):
        for flight in flying:
            for write in flight.writes:
                if write.name == read.name:
                    behind = _behind(write, read, flight.last - flight.first)
                    if behind is not None:
                        earliest = max(earliest, flight.first + behind + distance)
    return earliest


def _behind(write: _Access, read: _Access, last: int) -> int | None:
    """By how many slots a word is written later than it is read, at most; None if none is both."""
    if write.addresses is None or read.addresses is None or write.slots is None or read.slots is None:
        return last
    written = np.full(int(max(write.addresses.max(), read.addresses.max())) + 1, -1, np.int64)
    np.maximum.at(written, write.addresses, write.slots)
    slots = written[read.addresses]
    met = slots >= 0
    return int((slots - read.slots)[met].max()) if met.any() else None


def _accesses(instruction: Any, words: int, cores: int, *, written: bool) -> Iterator[_Access]:
    """What an instruction reads or writes, and in which of its slots."""
    for field, view, is_written in instruction.views():
        if (
            is_written != written or field == "keys"
        ):  # which blocks were chosen only says how many words there are
            continue
        if instruction.cached is not None:
            yield _Access(view.name)
            continue
        slots = _slots(instruction, field, view, words, cores)
        groups, length = slots.shape
        group = np.arange(groups, dtype=np.int64)[:, None] * (view.stride if view.groups > 1 else 0)
        word = np.arange(length, dtype=np.int64) if view.length > 1 else np.zeros(length, np.int64)
        yield _Access(view.name, (view.offset + group + word).reshape(-1), slots.reshape(-1))


def _slots(instruction: Any, field: str, view: isa.View, words: int, cores: int) -> Integers:
    """int64[groups, words]: the slot in which each word of an operand is first read, or of a result last written."""
    whole: isa.View = timing.pointwise_view(instruction)
    merged, _ = timing.pointwise_shape(instruction)
    _, slots, length = timing.pointwise_share(instruction, words=words, cores=cores)
    group = np.arange(whole.groups, dtype=np.int64)
    header = np.zeros_like(group) if merged == 1 else group // cores * (slots + 1)
    if field in _HEADER:
        return header[:, None]
    if field.endswith(".dst"):  # a statistic leaves with the header behind its group
        return (header + slots + 1)[:, None]
    if merged == 1:
        index = np.arange(whole.groups * whole.length, dtype=np.int64).reshape(whole.groups, -1) % length
    else:
        index = np.tile(np.arange(whole.length, dtype=np.int64), (whole.groups, 1))
    return header[:, None] + 1 + _within(instruction, field, view, index, length, words)


def _within(
    instruction: Any, field: str, view: isa.View, index: Integers, length: int, words: int
) -> Integers:
    """The slot of word `index` of a group, the first of its words being in slot 0."""
    at: Integers
    match instruction:
        case isa.Rotate():
            half = ceil_div(length, 2)
            second = index >= half
            at = 2 * (np.where(second, index - half, index) // words)
            if field == "dst":
                at = at + 1 + np.where(second, 2 * ceil_div(half, words), 0)
            elif field == "a":
                at = at + second
            else:
                at = at[:, : view.length] + (field == "sin")
        case isa.Phase():
            at = 2 * (index // words) + (field == "sin")
        case isa.Decay():
            at = 3 * index
        case isa.Invert() | isa.ScalarMultiply() | isa.Exponential():
            at = index
        case _:
            at = index // words
    return at
