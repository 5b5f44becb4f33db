"""The tables of the pointwise unit in one ROM, and linear interpolation between their entries."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from spikesim.program.tables import EXP2, INVERSE_ROOT, RECIPROCAL, SIGMOID, SINE, SOFTPLUS
from spikesim.rtl.config import Target

INDEX_BITS = 12
LOW_BITS = 12
"""Bits below the index: a table interpolated with fewer fills up with zeros, which changes no result."""

FULL = 1 << LOW_BITS
"""The end of a segment. A table's last entry is read as the end of its last segment."""

VALUE = unsigned(20)
"""Values of the widest table, of softplus."""

EXP2_BASE, ROOT_BASE, RECIPROCAL_BASE = 0, 1024, 2048
SIGMOID_BASE, SOFTPLUS_BASE, SINE_BASE = 2560, 3072, 3584
"""First segments: multiples of the tables' sizes, so that an index is put together without an adder.

The inverse root is indexed by a mantissa in [2^15, 2^17), hence leaves its first 256 segments empty.
"""

_ROOT_UNUSED = 256

ENTRY = data.StructLayout({"base": VALUE, "delta": signed(16)})


def rom() -> list[data.Const[Any]]:
    """The value at the start of every segment, and by how much it changes within."""
    words: list[dict[str, int]] = [{"base": 0, "delta": 0}] * (1 << INDEX_BITS)
    tables: dict[int, NDArray[np.int32]] = {
        EXP2_BASE: EXP2,
        ROOT_BASE + _ROOT_UNUSED: INVERSE_ROOT,
        RECIPROCAL_BASE: RECIPROCAL,
        SIGMOID_BASE: SIGMOID,
        SOFTPLUS_BASE: SOFTPLUS,
        SINE_BASE: SINE,
    }
    for start, table in tables.items():
        borders = table.tolist()
        for i, (base, end) in enumerate(itertools.pairwise(borders)):
            words[start + i] = {"base": base, "delta": end - base}
    return [ENTRY.const(word) for word in words]


class LookupTable(wiring.Component):
    """`value` = base + round(delta · low / 2^12) of segment `index`, halves to even. Latency 3, throughput 1.

    `low` is 0 … 2^12, both included, and comes from a register, as `index` does. For an FPGA `index` comes a cycle
    before `low`: the block RAM that holds the ROM has a register for its address, so that there is none in front of it,
    and one behind it, as its data come late in a cycle. `there`: whether the slot before each stage has
    something; without it holds.
    """

    def __init__(self, target: Target) -> None:
        self.in_block = target == "fpga"
        super().__init__(
            {
                "there": In(3 + self.in_block),
                "index": In(INDEX_BITS),
                "low": In(LOW_BITS + 1),
                "value": Out(VALUE),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Read, multiply, add."""
        m = Module()
        m.submodules.rom = memory = Memory(shape=ENTRY, depth=1 << INDEX_BITS, init=rom())
        port = memory.read_port()
        entry: Any = port.data
        if self.in_block:
            entry = Signal(ENTRY, reset_less=True)
            with m.If(self.there[-3]):
                m.d.sync += entry.eq(port.data)
        low = Signal(LOW_BITS + 1, reset_less=True)
        m.d.comb += [port.en.eq(self.there[0]), port.addr.eq(self.index)]
        with m.If(self.there[-3]):
            m.d.sync += low.eq(self.low)

        product = Signal(signed(16 + LOW_BITS + 1), reset_less=True)
        base = Signal(VALUE, reset_less=True)
        with m.If(self.there[-2]):
            m.d.sync += [product.eq(entry.delta * Cat(low, 0).as_signed()), base.eq(entry.base)]

        up = product[LOW_BITS - 1] & (product[: LOW_BITS - 1].any() | product[LOW_BITS])
        with m.If(self.there[-1]):
            m.d.sync += self.value.eq(base + (product >> LOW_BITS) + up)
        return m
