"""`StreamIn` and `StreamOut`: AXI-Stream to the memories, and vector memory to AXI-Stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.program.sizes import INSTRUCTION_WORDS
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import ProgramLoadSignature, ReadSignature, RowLoadSignature, WriteSignature
from spikesim.rtl.isa import ADDRESS
from spikesim.rtl.queue import EntryQueue
from spikesim.support.arithmetic import ceil_div

STREAM_IN = {
    "s_axis_tdata": In(32),
    "s_axis_tvalid": In(1),
    "s_axis_tready": Out(1),
    "s_axis_tlast": In(1),
}
STREAM_OUT = {
    "m_axis_tdata": Out(32),
    "m_axis_tvalid": Out(1),
    "m_axis_tready": In(1),
    "m_axis_tlast": Out(1),
}
TRANSFER = {"start": In(1), "address": In(32), "length": In(32), "busy": Out(1)}
"""`start` for one cycle, with `address` and `length`; `busy` from the next cycle to the last word's."""

VECTOR, ROWS, PROGRAM = range(3)
"""Values of TARGET."""

_PLACES = 4
"""Words on their way from vector memory to the stream: with fewer, a ready sink would have to wait."""


class StreamIn(wiring.Component):
    """Takes `length` words, one per cycle at most, to the memory `target`; `TLAST` ends a transfer early.

    * vector memory: word after word from `address`.
    * row memory: row `address` of bank 0, 1, … `ways` − 1, then row `address` + 1 of bank 0, and so on; each row is
      `lanes` bytes, lowest column and lowest bits first, padded to whole words.
    * program memory: 16 words per instruction, lowest bits first, from instruction `address`.

    A row or instruction that the transfer does not complete is dropped. `short` is set when a transfer ends with a word
    that is not both the last of `length` and marked `TLAST`, and cleared by the next start.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            STREAM_IN
            | TRANSFER
            | {
                "target": In(2),
                "short": Out(1),
                "vector_write": Out(WriteSignature()),
                "row_load": Out(RowLoadSignature(config)),
                "program_load": Out(ProgramLoadSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Take a word; collect words; write."""
        m = Module()
        active = Signal()
        last = Signal()
        remaining = Signal(32)
        word = Signal(32)
        arrived = Signal()
        take = Signal()
        ends = Signal()
        m.d.comb += [
            self.s_axis_tready.eq(active),
            take.eq(self.s_axis_tvalid & active),
            ends.eq(last | self.s_axis_tlast),
        ]
        m.d.sync += [arrived.eq(take), word.eq(self.s_axis_tdata)]
        with m.If(take):
            m.d.sync += [
                remaining.eq(remaining - 1),
                last.eq(remaining == 2),
                active.eq(~ends),
                self.short.eq(ends & ~(last & self.s_axis_tlast)),
            ]
        with m.If(self.start):
            m.d.sync += [
                remaining.eq(self.length),
                last.eq(self.length == 1),
                active.eq(self.length != 0),
                self.short.eq(0),
            ]
        self._collect(m, word=word, arrived=arrived)
        write = self.vector_write.enable | self.row_load.enable | self.program_load.enable
        m.d.comb += self.busy.eq(active | arrived | write)
        return m

    def _collect(self, m: Module, *, word: Signal, arrived: Signal) -> None:
        """Words are shifted in from the top; a complete row or instruction is written in the cycle after."""
        row_words = ceil_div(self.config.lanes, 4)
        words = Signal(32 * max(row_words, INSTRUCTION_WORDS))
        index = Signal(range(max(row_words, INSTRUCTION_WORDS) + 1))
        bank = Signal(8)
        address = Signal(32)
        to_rows = Signal()
        to_program = Signal()  # neither: to vector memory

        enable = Signal(data.ArrayLayout(1, 3))
        address_now = Signal(32)
        bank_now = Signal(8)
        m.d.sync += enable.eq(0)
        with m.If(arrived):
            complete = (~to_rows & ~to_program) | (index == 1)
            m.d.sync += [
                words.eq(Cat(words[32:], word)),
                address_now.eq(address),
                bank_now.eq(bank),
                enable[VECTOR].eq(~to_rows & ~to_program),
                enable[ROWS].eq(to_rows & complete),
                enable[PROGRAM].eq(to_program & complete),
                index.eq(index - 1),
            ]
            with m.If(complete):
                m.d.sync += index.eq(self._unit_words(to_rows, row_words))
                with m.If(to_rows & (bank != self.config.ways - 1)):
                    m.d.sync += bank.eq(bank + 1)
                with m.Else():
                    m.d.sync += [bank.eq(0), address.eq(address + 1)]
        with m.If(self.start):
            rows = self.target == ROWS
            m.d.sync += [
                to_rows.eq(rows),
                to_program.eq(self.target == PROGRAM),
                index.eq(self._unit_words(rows, row_words)),
                bank.eq(0),
                address.eq(self.address),
            ]
        top = len(words)
        m.d.comb += [
            self.vector_write.enable.eq(enable[VECTOR]),
            self.vector_write.address.eq(address_now[:ADDRESS]),
            self.vector_write.data.eq(words[top - 32 :]),
            self.row_load.enable.eq(enable[ROWS]),
            self.row_load.bank.eq(bank_now),
            self.row_load.address.eq(address_now),
            self.row_load.data.eq(words[top - 32 * row_words :][: self.config.lanes * 8]),
            self.program_load.enable.eq(enable[PROGRAM]),
            self.program_load.address.eq(address_now[:ADDRESS]),
            self.program_load.data.eq(words[top - 32 * INSTRUCTION_WORDS :]),
        ]

    @staticmethod
    def _unit_words(rows: Value, row_words: int) -> Value:
        """Words of a row or an instruction."""
        return Mux(rows, row_words, INSTRUCTION_WORDS)


class StreamOut(wiring.Component):
    """Sends `length` words of vector memory from `address`, one per cycle if the sink is ready; the last has `TLAST`.

    An address is given out only if the queue behind the memory has a place for its word, so that the sink may stop at
    any time.
    """

    def __init__(self) -> None:
        super().__init__(STREAM_OUT | TRANSFER | {"vector_read": Out(ReadSignature())})

    def elaborate(self, platform: Any) -> Module:
        """Addresses, a cycle of memory, the queue."""
        m = Module()
        active = Signal()
        last = Signal()
        remaining = Signal(32)
        ask = Signal()
        m.submodules.queue = queue = EntryQueue(width=33, depth=_PLACES)
        m.d.comb += [ask.eq(active & queue.credit), queue.issue.eq(ask)]

        address = Signal(ADDRESS)
        reading = Signal()
        reading_last = Signal()
        m.d.comb += self.vector_read.enable.eq(reading)
        m.d.sync += [reading.eq(ask), reading_last.eq(last)]
        with m.If(ask):
            m.d.sync += [
                self.vector_read.address.eq(address),
                address.eq(address + 1),
                remaining.eq(remaining - 1),
                last.eq(remaining == 2),
                active.eq(~last),
            ]
        with m.If(self.start):
            m.d.sync += [
                address.eq(self.address[:ADDRESS]),
                remaining.eq(self.length),
                last.eq(self.length == 1),
                active.eq(self.length != 0),
            ]
        arrived = Signal()
        arrived_last = Signal()
        m.d.sync += [arrived.eq(reading), arrived_last.eq(reading_last)]
        m.d.comb += [
            queue.push.eq(arrived),
            queue.entry.eq(Cat(self.vector_read.data, arrived_last)),
            self.m_axis_tvalid.eq(queue.some),
            Cat(self.m_axis_tdata, self.m_axis_tlast).eq(queue.front),
            queue.take.eq(queue.some & self.m_axis_tready),
            self.busy.eq(active | ~queue.idle),
        ]
        return m
