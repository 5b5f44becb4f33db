"""Hardware instructions: what the core's units execute, and their bits.

An instruction of a program (`spikesim.program`) is assembled into one or more hardware instructions
(`spikesim.rtl.assemble`). Each is one word of program memory; fields are named for what they mean to the unit that
reads them, and units overlay each other's fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Shape, signed
from amaranth.lib import data

from spikesim.errors import CapacityError
from spikesim.program.sizes import INSTRUCTION_WORDS

if (
    TYPE_CHECKING
):  # Amaranth's enumerations take the width beside the members; to a type checker they are ordinary
    from enum import Enum as _Enum

    class Enum(_Enum):
        """An enumeration with a width in bits."""

        def __init_subclass__(cls, *, shape: int) -> None: ...
else:
    from amaranth.lib.enum import Enum

ADDRESS = 24
"""Bits of a vector memory address: 2^24 words."""

ROW = 32
"""Bits of a row or state memory address within a bank."""


class Unit(Enum, shape=3):
    """The unit that executes an instruction."""

    END = 0
    POINTWISE = 1
    SELECT = 2
    GATHER = 3
    SCATTER = 4
    SWEEP = 5
    STORE = 6


class Extent(Enum, shape=3):
    """Where the run length n of an instruction comes from, for position t.

    FIXED: the field `length`. WINDOW: min(t + 1, span). FULL: t + 1. FINISHED: ⌊t / span⌋, the finished blocks.
    BLOCKS: min(chosen, ⌊t / span⌋) · span + t mod span + 1, the chosen blocks and the token's own.
    """

    FIXED = 0
    WINDOW = 1
    FULL = 2
    FINISHED = 3
    BLOCKS = 4


class PointwiseOperation(Enum, shape=4):
    """What the pointwise unit computes; `docs/rtl.md` has the equations."""

    MULTIPLY = 0
    ADD = 1
    REDUCE = 2
    INVERT = 3
    ROOT = 4
    SCALAR_MULTIPLY = 5
    EXPONENTIAL = 6
    SIGMOID = 7
    SOFTPLUS = 8
    STEP = 9
    SOFTMAX = 10
    PHASE = 11
    ROTATE = 12
    DECAY = 13


class Statistic(Enum, shape=3):
    """The reduction taken of a pointwise instruction's output."""

    NONE = 0
    SUM = 1
    SUM_ABS = 2
    SUM_SQUARES = 3
    MAX_ABS = 4
    MAX = 5


class RunLength(Enum, shape=2):
    """Which run of a gather has the length n: its outputs (keys, block means), its channels (values), or neither."""

    STATIC = 0
    OUTPUTS = 1
    CHANNELS = 2


COMMON = data.StructLayout(
    {
        "unit": Unit,
        "extent": Extent,
        "block_end": 1,  # execute only if (t + 1) mod span = 0
        "partition": 1,  # a word of vector memory selects the copy of a state
        "groups": 12,
        "length": 24,
        "span": 24,
        "chosen": 8,
        "chosen_length": 24,  # chosen · span
        "partition_address": 24,
        "partition_stride": 24,  # words or rows between copies
    }
)

POINTWISE = data.StructLayout(
    {
        "operation": PointwiseOperation,
        "statistic": Statistic,
        "has_b": 1,
        "has_scalar": 1,
        "a_step": 1,
        "b_step": 1,
        "subtract": 1,
        "clip": 1,
        "block_start": 1,  # b counts as 0 if t mod span = 0: a block's running sum starts anew
        "a": ADDRESS,
        "a_stride": 20,
        "b": ADDRESS,
        "b_stride": 20,
        "scalar": ADDRESS,  # also the third destination of a decay
        "scalar_stride": 20,
        "dst": ADDRESS,
        "dst_stride": 20,
        "result": ADDRESS,  # of the statistic; also the second destination of phase and decay
        "result_stride": 20,
        "shift_b": signed(12),
        "shift": signed(12),
        "fraction": 5,
        "limit": 31,
        "mantissa": 16,
        "exponent": signed(12),
        "tail": 6,  # cycles from the last slot to the end, at which the next instruction may be dispatched
    }
)

SELECT = data.StructLayout({"a": ADDRESS, "a_stride": 20, "dst": ADDRESS, "dst_stride": 20})
"""`common.chosen` indices out of n candidates per group."""

ARRAY = data.StructLayout(
    {
        "run": RunLength,
        "state": 1,  # rows are those of the state memory, 16 bits, read in two passes
        "blocks": 1,  # keys: row addresses go through the block table of the group
        "keep": 1,  # one group whose counts the encoders have from the gather before
        "counts": ADDRESS,
        "counts_stride": 20,
        "channels": 20,
        "dst": ADDRESS,  # gather: results; scatter: update words
        "dst_stride": 20,
        "outputs": 20,
        "base": ROW,  # first row of head 0
        "head_stride": ROW,  # rows between heads
        "sharing": 8,  # consecutive groups on one head
        "head_phase": 8,  # groups of the first head that are already past
        "chunk_stride": ADDRESS,  # rows between column chunks
        "block_stride": ADDRESS,  # rows between blocks
        "block_bits": 5,  # gather of values: an encoder row is block index · 2^block_bits + row within the block
        "selected": ADDRESS,  # `chosen` physical block numbers of group 0, ascending, −1 for none
        "selected_stride": 20,
        "shift": 5,  # scatter
    }
)
"""Gather and scatter."""

SWEEP = data.StructLayout({"shifts": ADDRESS, "base": ROW, "head_stride": ROW, "rows": ADDRESS})
"""Shift all `rows` words of each group's state right by the group's word at `shifts`, rounding half to even."""

STORE = data.StructLayout(
    {
        "columns": 1,  # 1: a token is a column (keys, block means); 0: a token is a row (values)
        "finished": 1,  # block means: the slot is the number of the block, not of the token
        "src": ADDRESS,
        "src_stride": 20,
        "size": 20,
        "base": ROW,
        "head_stride": ROW,
        "chunk_stride": ADDRESS,
        "block_stride": ADDRESS,
    }
)

INSTRUCTION = data.StructLayout(
    {
        "common": COMMON,
        "fields": data.UnionLayout(
            {"pointwise": POINTWISE, "select": SELECT, "array": ARRAY, "sweep": SWEEP, "store": STORE}
        ),
        "unused": 36,
    }
)
if INSTRUCTION.size != 32 * INSTRUCTION_WORDS:
    raise ValueError(f"an instruction must have {32 * INSTRUCTION_WORDS} bits, not {INSTRUCTION.size}")
"""512 bits: `INSTRUCTION_WORDS` words of 32 bits, the first in the lowest bits."""

FIELDS = {name: field.shape for name, field in INSTRUCTION["fields"].shape}
"""What the units overlay: `POINTWISE`, `SELECT`, `ARRAY`, `SWEEP`, `STORE` by the name of their field."""


def field_range(layout: data.StructLayout, name: str) -> tuple[int, int]:
    """The least and the largest number that a field of a layout holds.

    >>> field_range(COMMON, "groups"), field_range(POINTWISE, "shift")
    ((0, 4095), (-2048, 2047))
    """
    shape = Shape.cast(layout[name].shape)
    if shape.signed:
        return -(1 << shape.width - 1), (1 << shape.width - 1) - 1
    return 0, (1 << shape.width) - 1


def check_fields(common: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]], owner: str) -> None:
    """Raises CapacityError for a number that its field of the instruction word does not hold.

    `common`, `fields`: as `INSTRUCTION` has them; `owner`: whose instruction it is, for the sentence.
    """
    for layout, prefix, values in _parts(common, fields):
        for name, value in values.items():
            low, high = field_range(layout, name)
            number = int(getattr(value, "value", value))
            if not low <= number <= high:
                raise CapacityError(
                    f"{prefix}.{name} of {owner} must be in {low} … {high}, what its field of the instruction word "
                    f"holds, not {number}"
                )


def _parts(
    common: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[data.StructLayout, str, Mapping[str, Any]]]:
    """(layout, its name, values) of the parts of an instruction."""
    yield COMMON, "common", common
    for name, values in fields.items():
        yield FIELDS[name], name, values


POSITION_BITS = 17
"""Bits of a token's position: the multiplier's second operand has 18 bits, sign included."""

RESOLVED = data.StructLayout(
    {
        "position": POSITION_BITS,  # t
        "n": 24,  # run length, see Extent
        "finished": POSITION_BITS,  # ⌊t / span⌋
        "slot": POSITION_BITS,  # t mod span
        "blocks": 8,  # min(chosen, finished)
        "offset": ROW,  # word at `partition_address` · `partition_stride`, 0 without partition
    }
)
"""What the sequencer works out for an instruction from the token's position, before its unit starts."""
