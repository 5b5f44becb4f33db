"""`EntryQueue`: the entries between a memory that is read ahead and what consumes one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.events import bits_for


class EntryQueue(wiring.Component):
    """`depth` entries in registers, with credits: a reader `issue`s only while `credit`, and `push`es later.

    `front` is the oldest entry while `some`; `take` removes it. `clear` forgets all entries and all issued reads.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "clear": In(1),
                "credit": Out(1),
                "issue": In(1),
                "push": In(1),
                "entry": In(width),
                "some": Out(1),
                "front": Out(width),
                "take": In(1),
            }
        )
        self.width = width

    def elaborate(self, platform: Any) -> Module:
        """A ring of registers."""
        m = Module()
        entries = Signal(data.ArrayLayout(self.width, self.depth), reset_less=True)
        index = bits_for(self.depth)
        head, tail = Signal(index), Signal(index)
        count = Signal(range(self.depth + 1))
        free = Signal(range(self.depth + 1), init=self.depth)
        m.d.comb += [self.some.eq(count != 0), self.credit.eq(free != 0), self.front.eq(entries[head])]
        with m.If(self.push):
            m.d.sync += tail.eq((tail + 1)[:index])
            with m.If(tail == self.depth - 1):
                m.d.sync += tail.eq(0)
            with m.Switch(tail):
                for i in range(self.depth):
                    with m.Case(i):
                        m.d.sync += entries[i].eq(self.entry)
        with m.If(self.take):
            m.d.sync += head.eq((head + 1)[:index])
            with m.If(head == self.depth - 1):
                m.d.sync += head.eq(0)
        with m.If(self.push & ~self.take):
            m.d.sync += count.eq(count + 1)
        with m.Elif(self.take & ~self.push):
            m.d.sync += count.eq(count - 1)
        with m.If(self.issue & ~self.take):
            m.d.sync += free.eq(free - 1)
        with m.Elif(self.take & ~self.issue):
            m.d.sync += free.eq(free + 1)
        with m.If(self.clear):
            m.d.sync += [head.eq(0), tail.eq(0), count.eq(0), free.eq(self.depth)]
        return m
