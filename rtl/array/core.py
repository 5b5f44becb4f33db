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
from spikesim.rtl.memory import Ram


class ArrayCore(wiring.Component):
    """`start` for one cycle executes `instruction`, which holds until `done`; its run lengths are fixed ones.

    Memories: `array.row_0` … and `vector`, loaded before the start, read after the end.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__({"start": In(1), "instruction": In(INSTRUCTION), "done": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        """The unit and the memory."""
        m = Module()
        m.submodules.array = array = ArrayUnit(self.config)
        m.submodules.vector = vector = Ram(width=32, depth=self.config.vector_depth, reads=2, image="vector")
        m.d.comb += [
            array.control.start.eq(self.start),
            array.control.instruction.eq(self.instruction),
            self.done.eq(array.control.done),
        ]
        for port, its in zip(vector.read, (array.read_a, array.read_b), strict=True):
            m.d.comb += [
                port.enable.eq(its.enable),
                port.address.eq(its.address),
                its.data.eq(port.data),
            ]
        m.d.comb += [
            vector.write.enable.eq(array.write.enable),
            vector.write.address.eq(array.write.address),
            vector.write.data.eq(array.write.data),
        ]
        return m
