"""`SkipBank`: the encoder of one bank of the dense twin that skips zeros."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.events import bits_for, code_bits, event_layout, row_bits
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


class SkipBank(wiring.Component):
    """Counts with their row numbers, as they are loaded; steps through them without end, once per column chunk.

    * `clear` forgets the group before. `load`, `row`, `code`: one count, which the caller knows to be worth a step.
    * `begin`: the list from its start; steps may come from the next cycle on.
    * `go`: the bank takes its next count, if it has one and its `turn`; with `hold` the same again in the step after.
      `event` belongs to the cycle before; without a count it is not `valid`. What all banks share is not set here.
    * `ready`: the bank has not yet taken all counts of the chunk.
    * `left`: after this cycle the bank still has something. `end`, with `go`: the chunk's last cycle.

    The list is read from its end: what is left of it is then its next address, too.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "load": In(1),
                "row": In(row_bits(config)),
                "code": In(code_bits(config)),
                "begin": In(1),
                "go": In(1),
                "turn": In(1),
                "hold": In(1),
                "end": In(1),
                "ready": Out(1),
                "left": Out(1),
                "event": Out(event_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A memory and two places in it; a place of −1: nothing, or no more."""
        m = Module()
        config = self.config
        depth = max(config.encoder_rows, config.scatter_rows)
        index = bits_for(depth)
        listed = data.StructLayout({"row": row_bits(config), "code": code_bits(config)})
        m.submodules.list = rows = Ram(width=listed.size, depth=depth, kind="encoder")
        read = data.View(listed, rows.read[0].data)
        last, place = Signal(index + 1, reset_less=True), Signal(index + 1, reset_less=True)
        following = (last + 1)[: index + 1]
        takes, valid = Signal(), Signal(reset_less=True)
        m.d.comb += [
            rows.write.enable.eq(self.load),
            rows.write.address.eq(following[:index]),
            rows.write.data.eq(Cat(self.row, self.code)),
            self.ready.eq(~place[index]),
            takes.eq(self.go & self.turn & self.ready),
            rows.read[0].enable.eq(takes),
            rows.read[0].address.eq(place[:index]),
            self.left.eq(self.ready & (self.hold | ~self.turn | place[:index].any())),
            self.event.valid.eq(valid),
            self.event.digit.eq(valid),
            self.event.row.eq(read.row),
            self.event.code.eq(read.code),
        ]
        with m.If(self.clear):
            m.d.sync += last.eq(-1)
        with m.Elif(self.load):
            m.d.sync += last.eq(following)
        with m.If(self.begin | (self.go & self.end)):
            m.d.sync += place.eq(last)
        with m.Elif(takes & ~self.hold):
            m.d.sync += place.eq(place - 1)
        m.d.sync += valid.eq(takes)
        return m
