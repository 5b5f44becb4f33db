"""The timing rules of the core: constants and closed forms in cycles, in one place.

The cycle model adds these up; the RTL is built to match them exactly; `docs/timing.md` explains each. Every
function takes and returns integers or integer arrays, so that the same rule serves one instruction and a whole
batch of tokens.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from spikesim.program import Decay, Exponential, Invert, Phase, Pool, Reduce, Rotate, ScalarMultiply, View
from spikesim.support.arithmetic import ceil_div

ISSUE_CYCLES = 1
"""Dispatch of every hardware instruction, which was fetched while the one before ran."""

STEP_CYCLES = 3
"""Of a step: fetch and decoding of its first instruction, dispatch of its end."""

RESOLVE_CYCLES = 19
"""More for an instruction whose length or place follows from the token's position: a serial division by the span."""

PARTITION_CYCLES = 3
"""More for an instruction that works on one of several copies of a state: reading which."""

POINTWISE_LATENCY = 31
"""Depth of the pointwise pipeline, the same for all operations, with a word per slot; see `pointwise_latency`."""

POINTWISE_TAIL = 7
"""Least cycles from the last slot of a pointwise instruction to its end; its fields move on by regions of 8 stages."""

SELECT_PASS = 4
SELECT_LATENCY = 2
"""Top-k selection: turning round after each pass over the candidates; start and end of the instruction."""

GATHER_LATENCY = 20
"""Start of a gather's group to its first event, and its last event to its first result."""

KEPT_LOAD = -6
"""In place of the load of a gather whose counts the event encoders keep: they are ready, and start as soon as the
instruction's fields have arrived, where new counts would have to be encoded first."""

BLOCK_LIST_CYCLES = 1
"""Start of reading which blocks of keys a group takes part in; each of them costs a cycle more."""

SCATTER_LATENCY = 15
"""The same for a scatter: to its first event, and from the last to its row written back."""

UPDATE_LATENCY = 4
"""First step of a chunk of a scatter to the first update words of the next one, which are read from then on."""

SWEEP_GROUP = 4
SWEEP_LATENCY = 6
"""Shifting a state: per group, reading its shift; start and end of the instruction."""

STORE_LATENCY = 7
"""Start of a store, and its last count read to its last count written."""

Cycles = TypeVar("Cycles", int, NDArray[np.int64])
Share = TypeVar("Share", int, NDArray[np.int64])


def pointwise_latency(words: int) -> int:
    """Depth of the pointwise pipeline with `words` per slot, whose statistics meet in a tree, a level a cycle."""
    return POINTWISE_LATENCY + (words - 1).bit_length()


def pointwise(groups: int, slots: Cycles, *, tail: int) -> Cycles:
    """A pointwise instruction: the slots of its groups, a header for each, one more for the last statistic.

    `slots`: of one group (`pointwise_slots`). `tail`: cycles from the last slot to the end, at which the next
    instruction may be dispatched: `pointwise_latency` if everything must have been written by then, fewer if the next
    one follows into the pipeline (`spikesim.chaining`).
    """
    return groups * (slots + 1) + 1 + tail


def pointwise_slots(instruction: Any, length: Cycles, *, words: int) -> Cycles:
    """Slots of a group of `length` words of a pointwise instruction, up to `words` of them in each.

    A rotation goes through its run twice by half and multiplies twice, a phase writes two words for each, a decay
    three. Instructions that make packed scalars take a word a slot.
    """
    match instruction:
        case Rotate():
            return 4 * ceil_div(ceil_div(length, 2), words)
        case Phase():
            return 2 * ceil_div(length, words)
        case Decay():
            return 3 * length
        case Invert() | ScalarMultiply() | Exponential():
            return length
        case _:
            return ceil_div(length, words)


def issue_cycles(instruction: Any) -> int:
    """Cycles from the end of an instruction to the start of the unit of the next, a pointwise instruction."""
    resolved = isinstance(instruction, Pool) or instruction.cached is not None
    partitioned = getattr(instruction, "partition", None) is not None
    return ISSUE_CYCLES + RESOLVE_CYCLES * resolved + PARTITION_CYCLES * partitioned


def step(view: View, length: int) -> int | None:
    """How far apart words of neighbouring groups' runs are, if the runs can be read as one: 1, or 0 for one word.

    None if they cannot: the runs leave gaps, or all groups read the same run of several words.
    """
    if view.length == length and view.stride == length:
        return 1
    return 0 if view.length == 1 and (view.stride == 0 or view.groups == 1) else None


def pointwise_view(instruction: Any) -> View:
    """The operand or result that has a run for every group and a word for every word of a pointwise instruction."""
    names: dict[Any, str] = {Reduce: "a", Phase: "cos", Pool: "src"}
    shape: View = getattr(instruction, names.get(type(instruction), "dst"))
    return shape


def pointwise_shape(instruction: Any) -> tuple[int, int]:
    """(groups, words of each) as the pointwise unit executes an instruction without keys.

    Groups that need no header of their own (no statistic, the same scalar for all) and lie one behind the other
    become one.
    """
    shape = pointwise_view(instruction)
    groups, length = shape.groups, shape.length
    if groups == 1:
        return groups, length
    per_group = ("scalar", "norm", "maximum", "reduction", "reduce")
    if isinstance(instruction, Rotate) or any(
        getattr(instruction, name, None) is not None
        and (name.startswith("redu") or getattr(instruction, name).stride != 0)
        for name in per_group
    ):
        return groups, length
    operands = [getattr(instruction, name, None) for name in ("dst", "a", "b", "src", "factor")]
    if all(view is None or step(view, length) is not None for view in operands):
        return 1, groups * length
    return groups, length


def pointwise_share(instruction: Any, *, words: int, cores: int) -> tuple[int, int, int]:
    """(groups, slots of each, words of each) of an instruction without keys on the core that has most to do."""
    groups, length = pointwise_shape(instruction)
    if groups == 1:
        length = ceil_div(length, cores)
    return ceil_div(groups, cores), pointwise_slots(instruction, length, words=words), length


def select_top(groups: int, count: int, candidates: Cycles) -> Cycles:
    """Top-k: a pass over the candidates per choice, one to write the chosen in order, one to fill up with −1."""
    return groups * ((count + 1) * (candidates + SELECT_PASS) + count) + SELECT_LATENCY


def load_counts(channels: Cycles, width: int) -> Cycles:
    """Loading counts into the event encoder, `width` of them per cycle: no more than banks, which take one each."""
    return ceil_div(channels, width)


def block_list(blocks: Cycles) -> Cycles:
    """Reading the numbers of the `blocks` past blocks that a group of a gather chose."""
    return blocks + BLOCK_LIST_CYCLES


def gap_words(span: int, ways: int, scan: int) -> int:
    """Words of the plane encoder that a block of `span` keys, rounded up to a power of two, does not touch.

    They are emptied before the next block is loaded, one per cycle.
    """
    rows = ceil_div(span, ways)
    return ceil_div(1 << (rows - 1).bit_length(), scan) - ceil_div(rows, scan)


def gather(
    load: Share,
    outputs: Share,
    event_cycles: Cycles,
    *,
    lanes: int,
    drained: int,
    passes: int = 1,
) -> Cycles:
    """One group of a gather: load, then per column chunk the events, its results drained while the next chunk runs.

    `load`: cycles of loading the counts, or `KEPT_LOAD`. `event_cycles`: cycles in which the array takes events, the
    same for every chunk of a pass, at least one. `drained` of a chunk's `lanes` results leave per cycle, so that a
    chunk takes max(event_cycles, lanes / drained) but for the last, whose drain nothing hides.
    `passes`: 2 for 16-bit rows, read as two bytes.
    """
    chunks = ceil_div(outputs, lanes)
    last = outputs - (chunks - 1) * lanes
    busy = np.maximum(event_cycles, 1)
    paced = np.maximum(busy, lanes // drained)
    total = load + busy + (passes * chunks - 1) * paced + ceil_div(last, drained) + GATHER_LATENCY
    return cast("Cycles", total)


def scatter(channels: int, columns: int, event_cycles: Cycles, *, loaded: int, lanes: int) -> Cycles:
    """One group of a scatter: load, the first chunk's update words, then per chunk the events.

    Update words are read min(loaded, lanes) per cycle, those of a chunk from the first step of the chunk before on.
    `event_cycles`: an update unit takes its banks' active rows one after the other, and of each row one plane per cycle
    from its highest down, so that the row is read once, rounded once and written once; at least one.
    """
    chunks = ceil_div(columns, lanes)
    busy = np.maximum(event_cycles, 1)
    fetched = min(loaded, lanes)
    total = load_counts(channels, loaded) + ceil_div(min(columns, lanes), fetched) + busy + SCATTER_LATENCY
    if chunks > 1:
        last = ceil_div(columns - (chunks - 1) * lanes, fetched)
        total += (chunks - 2) * np.maximum(busy, lanes // fetched + UPDATE_LATENCY)
        total += np.maximum(busy, last + UPDATE_LATENCY)
    return cast("Cycles", total)


def update_rows(channels: int, units: int) -> int:
    """Rows of the update unit that has most: channel i is of unit i mod `units`, like its bank."""
    return ceil_div(channels, units)


def sweep(shifts: Cycles, size: int, *, ways: int, lanes: int, units: int) -> Cycles:
    """Shifting the rows of the `shifts` groups that need it: every update unit reads, shifts, writes a row per cycle.

    A row of all banks takes ways / units of them. Reading the groups' shifts and the fixed part are not in it:
    `SWEEP_GROUP`, `SWEEP_LATENCY`.
    """
    return shifts * (ceil_div(size, ways) * ceil_div(size, lanes) * (ways // units))


def store(groups: int, size: int, fetched: int) -> int:
    """Writing counts to a cache: `size` of each of `groups` heads, `fetched` of a head per cycle."""
    return groups * ceil_div(size, fetched) + STORE_LATENCY
