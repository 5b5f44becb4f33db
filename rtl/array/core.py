"""`ArrayCore`: the array unit with vector memory and nothing else, for gathers of matrices.

It is what area, timing and power of the array and its event encoder are measured on: the same parts as in `SpikeCore`,
without the units that are the same on a spiking and on a dense core.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.unit import ArrayUnit
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import INSTRUCTION
from spikesim.rtl.vector import VectorMemory


class ArrayCore(wiring.Component):
    """`start` for one cycle executes `instruction`, which holds until `done`; its run lengths are fixed ones.

    Memories: `array.row_0` … and `vector.bank_0` …, loaded before the start, read after the end.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__({"start": In(1), "instruction": In(INSTRUCTION), "done": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        """The unit and the memory."""
        m = Module()
        m.submodules.array = array = ArrayUnit(self.config)
        m.submodules.vector = vector = VectorMemory(self.config)
        m.d.comb += [
            array.control.start.eq(self.start),
            array.control.instruction.eq(self.instruction),
            self.done.eq(array.control.done),
        ]
        port, its = vector.a, array.read
        m.d.comb += [port.enable.eq(its.enable), port.address.eq(its.address), its.data[0].eq(port.data[0])]
        m.d.comb += [mine.eq(word) for mine, word in zip(its.low, port.low, strict=True)]
        m.d.comb += [
            vector.write.enable.eq(array.write.enable),
            vector.write.address.eq(array.write.address),
        ]
        m.d.comb += [word.eq(its) for word, its in zip(vector.write.data, array.write.data, strict=False)]
        return m
