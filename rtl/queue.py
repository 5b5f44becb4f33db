"""`EntryQueue`: the entries between a memory that is read ahead and what consumes one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out


class EntryQueue(wiring.Component):
    """`depth` entries in registers, with credits: a reader `issue`s only while `credit`, and `push`es later.

    `front` is the oldest entry while `some`; `take` removes it. `clear` forgets all entries and all issued reads;
    without either, the queue is `idle`.
    """

    def __init__(self, *, width: int, depth: int) -> None:
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
                "idle": Out(1),
            }
        )
        self.width, self.depth = width, depth

    def elaborate(self, platform: Any) -> Module:
        """A queue, and how many of its places neither an entry nor an issued read has."""
        m = Module()
        entries = SyncFIFO(width=self.width, depth=self.depth)
        m.submodules.entries = ResetInserter(self.clear)(entries)
        free = Signal(range(self.depth + 1), init=self.depth)
        m.d.comb += [
            self.credit.eq(free != 0),
            self.idle.eq(free == self.depth),
            entries.w_en.eq(self.push),
            entries.w_data.eq(self.entry),
            self.some.eq(entries.r_rdy),
            self.front.eq(entries.r_data),
            entries.r_en.eq(self.take),
        ]
        m.d.sync += free.eq(free - self.issue + self.take)
        with m.If(self.clear):
            m.d.sync += free.eq(self.depth)
        return m
