"""`Fp8Sum`: the array in FP8, ways × lanes of E4M3 products, summed in fixed point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed, tree_stages

PRODUCT_SCALE_BITS = 18
"""Products are whole multiples of 2^-18, that of two smallest subnormals 2^-9."""

STEP = data.StructLayout({"first": 1, "active": 1})

_BYTE = 8
_PRODUCT_BITS = 36
"""8 bits of two significands, shifted by 0 to 14 for either exponent."""
_EARLY_SHIFT_BITS = 2
_HEADROOM_BITS = 16
"""Sign, and 2^15 products of the largest magnitude."""


def fp8_latency(ways: int) -> int:
    """Cycles until `sums` have the operands at the inputs: operands, products, tree, accumulators."""
    return 3 + tree_stages(ways)


class Fp8Sum(wiring.Component):
    """Per lane: `sums[l]` ← Σ over the chunk of activation · weight, in units of 2^(dropped_bits − 18); throughput 1.

    In a cycle every way takes one E4M3 activation and `lanes` E4M3 weights, lane 0 in the lowest byte. E4M3 is the
    8-bit format of the OCP ("OFP8", FN): sign, 4 exponent bits of bias 7, 3 mantissa bits, subnormals, no infinities,
    NaN = S.1111.111, largest 448. `active`: the operands count; `first`: they start new sums. Sums hold while inactive
    and are seen `fp8_latency` cycles after their last operands. `nan[l]`: an operand of the sum was a NaN; the sum
    means nothing then.

    Each product is exact, loses the lowest `dropped_bits` of its 36 bits towards zero, and is summed without
    further loss, so that order does not matter and x + (−x) is 0. Sums wrap at 52 − dropped_bits bits, which hold
    2^15 products of the largest magnitude. With 12 dropped, a product keeps 24 bits below the largest one of the
    format; with 0 sums are exact. Training and inference in E4M3 scale every tensor or block so that its largest
    value is near 448, which puts the cut 2^-24 below the largest product: more than tensor cores keep, which align
    a step's products to the largest of them and keep about 14 bits (DeepSeek-V3, arXiv 2412.19437).

    Why this one, per lane of 16 ways on Nangate45 (INT8 with registers at the same places: 10 369 µm², 0.30 ns left):

    * 12 bits dropped: 10 547 µm², 0.15 ns left of 2 ns; 16 dropped: 9 808 µm², 0.25 ns left;
    * exact: 12 795 µm², 0.12 ns too slow; 13 519 µm² and just in time with carry-select adders;
    * aligned to the largest exponent of the cycle and cut to 14 bits: 11 373 µm², 0.16 ns left. Comparing and
      subtracting 16 exponents and registering products once more costs more than the wider tree, and keeps less.

    A product has 8 bits, so that its shifter widens with the shift and is small; it is split around the register of
    the product. Negative products are one's complements; the ones they lack enter by the carry inputs of the adders,
    of which a tree of n operands and an accumulator has n.
    """

    def __init__(self, *, ways: int, lanes: int, dropped_bits: int = 12) -> None:
        self.ways, self.lanes, self.dropped_bits = ways, lanes, dropped_bits
        self.accumulator_bits = _PRODUCT_BITS - dropped_bits + _HEADROOM_BITS
        super().__init__(
            {
                "activations": In(_BYTE).array(ways),
                "weights": In(_BYTE * lanes).array(ways),
                "step": In(STEP),
                "sums": Out(signed(self.accumulator_bits)).array(lanes),
                "nan": Out(1).array(lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Operands, products, tree, accumulators."""
        m = Module()
        latency = fp8_latency(self.ways)
        step = data.View(STEP, delayed(m, self.step.as_value(), latency - 1, "step"))
        activations = [_activation(m, self.activations[way], f"{way}") for way in range(self.ways)]
        for lane in range(self.lanes):
            values, lacking, nans = [], [], []
            for way, activation in enumerate(activations):
                name = f"{way}_{lane}"
                weight = _register(m, self.weights[way].word_select(lane, _BYTE), f"weight_{name}")
                value, negative = _product(m, activation, weight, name)
                values.append(value[self.dropped_bits :].as_signed())
                lacking.append(negative)
                nans.append(activation.nan | weight[:7].all())
            total, one = _tree(m, values, lacking, f"tree_{lane}")
            nan = delayed(m, Cat(nans).any(), latency - 2, f"nan_{lane}")[0]
            held = self.sums[lane]
            with m.If(step.active):
                before = Mux(step.first, 0, held).as_signed()
                m.d.sync += held.eq(_sum(before, total, one))
                m.d.sync += self.nan[lane].eq((self.nan[lane] & ~step.first) | nan)
        return m


@dataclass(frozen=True)
class _Activation:
    """Registered, decoded once for all lanes. `shift`: max(exponent, 1) − 2, so that a weight adds its own exponent."""

    negative: Value
    significand: Value
    shift: Value
    nan: Value


def _activation(m: Module, byte: Value, name: str) -> _Activation:
    exponent = byte[3:7]
    normal = exponent.any()
    return _Activation(
        negative=_register(m, byte[7], f"activation_negative_{name}"),
        significand=_register(m, Cat(byte[:3], normal), f"activation_significand_{name}"),
        shift=_register(m, (exponent - normal - 1)[:5], f"activation_shift_{name}"),
        nan=_register(m, byte[:7].all(), f"activation_nan_{name}"),
    )


def _product(m: Module, activation: _Activation, weight: Value, name: str) -> tuple[Value, Value]:
    """36 bits and sign, complemented if negative, and whether it is; a cycle after the operands."""
    subnormal = ~weight[3:7].any()
    shift = _sum(activation.shift, Cat(weight[3:7], 0), subnormal)[:5]
    negative = activation.negative ^ weight[7]
    factor = Cat(weight[:3], ~subnormal)
    # Written out, as Booth's recoding does not pay for four bits.
    rows = [Cat(Const(0, i), activation.significand & factor[i].replicate(4)) for i in range(4)]
    magnitude = (rows[0] + rows[1] + rows[2] + rows[3])[:8]
    early = _shifted(Cat(magnitude ^ negative.replicate(8), negative), negative, shift[:_EARLY_SHIFT_BITS], 0)
    value = _register(m, early, f"product_{name}")
    sign = _register(m, negative, f"negative_{name}")
    rest = _register(m, shift[_EARLY_SHIFT_BITS:], f"shift_{name}")
    return _shifted(value, sign, rest, _EARLY_SHIFT_BITS)[: _PRODUCT_BITS + 1], sign


def _shifted(value: Value, fill: Value, shift: Value, first: int) -> Value:
    """Left by shift · 2^first, vacated bits filled with the sign, so that a complement stays one; the sign on top."""
    for i in range(len(shift)):
        amount = 1 << (first + i)
        value = Mux(shift[i], Cat(fill.replicate(amount), value), Cat(value, value[-1].replicate(amount)))
    return value


def _tree(m: Module, values: list[Value], lacking: list[Value], name: str) -> tuple[Value, Value]:
    """The sum, and a one it still lacks: every adder takes in one. Registers as in `adder_tree`."""
    values, lacking = list(values), list(lacking)
    levels = (len(values) - 1).bit_length()
    for level in range(levels):
        sums = [_sum(a, b, lacking.pop()) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = sums + values[len(values) & ~1 :]
        if level % 2 == 1 or level == levels - 1:
            values = [_register(m, value, f"{name}_{level}_{i}") for i, value in enumerate(values)]
            lacking = [_register(m, one, f"{name}_{level}_lacking_{i}") for i, one in enumerate(lacking)]
    return values[0], lacking[0]


def _sum(a: Value, b: Value, one: Value) -> Value:
    """a + b + one as a single adder: one bit more below, whose carry `one` is."""
    signs = a.shape().signed
    low, high = Cat(Const(1, 1), a), Cat(one, b)
    total = (low.as_signed() + high.as_signed() if signs else low + high)[1:]
    return total.as_signed() if signs else total


def _register(m: Module, value: Value, name: str) -> Signal:
    register = Signal(value.shape(), name=name)
    m.d.sync += register.eq(value)
    return register
