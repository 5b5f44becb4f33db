"""What an instruction asks of the stages of the pointwise pipeline; constant while it runs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.isa import INSTRUCTION, RESOLVED, PointwiseOperation, Statistic
from spikesim.rtl.pointwise.rounding import LEFT, RIGHT, SHIFT

CONTROLS = data.StructLayout(
    {
        **{operation.name.lower(): 1 for operation in PointwiseOperation},
        # operands
        "product": 1,  # both operands are mantissas
        "magnitude": 1,  # |a|
        "subtract": 1,
        "packed_a": 1,  # a is a packed scalar
        "left_a": 1,  # the adder's left operand
        "right_b": 1,
        "b_word": 1,  # the multiplier's second operand is the word b
        "no_b": 1,  # b counts as 0
        "narrow": 1,  # saturate the first product to a word
        "shift_first": SHIFT,
        # second product
        "table_factor": 1,
        "constant": 1,  # the field mantissa times the table
        "shift_second": SHIFT,
        "limit": 31,
        "raw": 1,  # not saturated
        # results
        "packs": 1,
        "bias": signed(14),  # added to the exponents of the operands
        "maximum": 1,  # the statistic is a plain word
    }
)


PACKED = (
    "invert",
    "root",
    "scalar_multiply",
    "exponential",
    "decay",
    "product",
    "packed_a",
    "constant",
    "packs",
    "bias",
)
"""Controls of the operations that make packed scalars, a word a slot, in the first lane."""


class Decode(wiring.Component):
    """`controls` of `instruction`, two cycles later."""

    def __init__(self) -> None:
        super().__init__(
            {"instruction": In(INSTRUCTION), "resolved": In(RESOLVED), "controls": Out(CONTROLS)}
        )

    def elaborate(self, platform: Any) -> Module:
        """One line per operation first, then what the lines have in common."""
        m = Module()
        fields = self.instruction.fields.pointwise
        is_ = {operation: Signal(name=f"is_{operation.name.lower()}") for operation in PointwiseOperation}
        m.d.sync += [line.eq(fields.operation == operation) for operation, line in is_.items()]

        def any_of(*operations: PointwiseOperation) -> Any:
            result: Any = 0
            for operation in operations:
                result = result | is_[operation]
            return result

        o = PointwiseOperation
        products = any_of(o.SCALAR_MULTIPLY, o.DECAY)
        roots = any_of(o.INVERT, o.ROOT)
        powers = any_of(o.EXPONENTIAL, o.SOFTMAX)
        squashes = any_of(o.SIGMOID, o.SOFTPLUS)
        shift_first, shift_second, bias = Signal(SHIFT), Signal(SHIFT), Signal(signed(14))
        limit = Signal(31)
        with m.If(is_[o.MULTIPLY] & fields.has_b):
            m.d.comb += shift_first.eq(clamped(fields.shift_b))
        with m.Elif(squashes):
            m.d.comb += shift_first.eq(fields.fraction - 11)
        with m.Elif(powers):
            m.d.comb += shift_first.eq(fields.fraction - 22)
        with m.Elif(roots):
            m.d.comb += shift_first.eq(-6)
        with m.Elif(is_[o.ROTATE]):
            m.d.comb += shift_first.eq(15)

        with m.If(is_[o.SCALAR_MULTIPLY]):
            m.d.comb += [shift_second.eq(16), bias.eq(fields.exponent + 16)]
        with m.Elif(is_[o.SOFTPLUS]):
            m.d.comb += shift_second.eq(fields.fraction - 20)
        with m.Elif(is_[o.INVERT]):
            m.d.comb += bias.eq(fields.exponent - 31)
        with m.Elif(is_[o.ROOT]):
            m.d.comb += bias.eq(fields.exponent - 24)

        with m.If(is_[o.ROTATE]):
            m.d.comb += limit.eq(2**15 - 1)
        with m.Elif(any_of(o.MULTIPLY, o.ADD, o.SOFTMAX)):
            m.d.comb += limit.eq(fields.limit)
        with m.Else():
            m.d.comb += limit.eq(2**31 - 1)

        values: dict[str, Any] = {
            **{operation.name.lower(): line for operation, line in is_.items()},
            "product": products,
            "magnitude": squashes,
            "subtract": is_[o.ADD] & fields.subtract,
            "packed_a": products | roots,
            "left_a": is_[o.ADD],
            "right_b": is_[o.ADD],
            "b_word": (is_[o.MULTIPLY] & fields.has_b) | is_[o.ROTATE],
            "no_b": fields.block_start & (self.resolved.slot == 0),
            "narrow": is_[o.MULTIPLY] & fields.has_b,
            "shift_first": shift_first,
            "table_factor": roots | powers | any_of(o.SIGMOID, o.PHASE),
            "constant": roots,
            "shift_second": shift_second,
            "limit": limit,
            "raw": is_[o.REDUCE] | products | roots | is_[o.EXPONENTIAL],
            "packs": products | roots | is_[o.EXPONENTIAL],
            "bias": bias,
            "maximum": fields.statistic == Statistic.MAX,
        }
        m.d.sync += [self.controls[name].eq(value) for name, value in values.items()]
        return m


def is_packed(operation: Any) -> Any:
    """Whether an operation makes packed scalars: those take a word a slot."""
    o = PointwiseOperation
    return Cat(
        operation == one for one in (o.INVERT, o.ROOT, o.SCALAR_MULTIPLY, o.EXPONENTIAL, o.DECAY)
    ).any()


def clamped(places: Any) -> Any:
    """A number of places as a `SHIFT`: beyond its ends, more places change nothing."""
    return Mux(places < -LEFT, -LEFT, Mux(places > RIGHT, RIGHT, places))[: SHIFT.width].as_signed()
