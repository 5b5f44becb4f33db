"""`StreamIn` and `StreamOut`: AXI-Stream to the memories, and the memories to AXI-Stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.program.sizes import INSTRUCTION_WORDS
from spikesim.rtl.array.bits import delayed
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.bounds import (
    PROGRAM,
    ROWS,
    STATE,
    VECTOR,
    TransferOrder,
    length_bits,
    reaches,
)
from spikesim.rtl.interface import (
    ProgramLoadSignature,
    ProgramReadSignature,
    ReadSignature,
    RowLoadSignature,
    RowReadSignature,
    WriteSignature,
    row_read_cycles,
)
from spikesim.rtl.queue import EntryQueue

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
TRANSFER = {
    "start": In(1),
    "target": In(2),
    "address": In(32),
    "length": In(32),
    "abort": In(1),
    "busy": Out(1),
}
"""`start` for one cycle, with `target`, `address` and `length`, which lie within the memory; `busy` from the next cycle
to the last word's. `abort`, for one cycle, ends it early.
"""

_OTHER_CYCLES = 2
"""From asking for a word to it, of vector and program memory; `row_read_cycles` of the others."""


class StreamIn(wiring.Component):
    """Takes `length` words, one per cycle at most, to the memory `target`; `TLAST` ends a transfer early.

    Words come in the order of `TransferOrder`: a row is `lanes` bytes, lowest column and lowest bits first, padded to
    whole words; an instruction 16 words, lowest bits first. A row or instruction that the transfer does not complete is
    dropped.

    With `drain` the words up to TLAST are dropped, whatever `length` says.

    At the end of a transfer that was not aborted, `short` says that TLAST came before the last word, `long` that it did
    not come with it; `misframed` for one cycle that either is so. The next start clears both.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            STREAM_IN
            | TRANSFER
            | {
                "drain": In(1),
                "short": Out(1),
                "long": Out(1),
                "misframed": Out(1),
                "vector_write": Out(WriteSignature()),
                "row_load": Out(RowLoadSignature(config)),
                "program_load": Out(ProgramLoadSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Take a word; collect words; write."""
        m = Module()
        active, dropping = Signal(), Signal()
        last = Signal()
        remaining = Signal(length_bits(self.config))
        word = Signal(32)
        arrived = Signal()
        take = Signal()
        early, late = Signal(), Signal()
        m.d.comb += [
            self.s_axis_tready.eq(active),
            take.eq(self.s_axis_tvalid & active),
            early.eq(take & ~dropping & self.s_axis_tlast & ~last),
            late.eq(take & ~dropping & ~self.s_axis_tlast & last),
        ]
        m.d.sync += [
            arrived.eq(take & ~dropping),
            word.eq(self.s_axis_tdata),
            self.misframed.eq(early | late),
        ]
        with m.If(take):
            m.d.sync += [
                remaining.eq(remaining - 1),
                last.eq(remaining == 2),
                active.eq(~(self.s_axis_tlast | (last & ~dropping))),
                self.short.eq(early),
                self.long.eq(late),
            ]
        with m.If(self.abort):
            m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                remaining.eq(self.length),
                last.eq(self.length == 1),
                active.eq((self.length != 0) | self.drain),
                dropping.eq(self.drain),
                self.short.eq(0),
                self.long.eq(0),
            ]
        self._collect(m, word=word, arrived=arrived)
        write = self.vector_write.enable | self.row_load.enable | self.program_load.enable
        m.d.comb += self.busy.eq(active | arrived | write)
        return m

    def _collect(self, m: Module, *, word: Signal, arrived: Signal) -> None:
        """Words are shifted in from the top; a complete row or instruction is written in the cycle after."""
        row_words = reaches(self.config)[ROWS].unit
        words = Signal(32 * max(row_words, INSTRUCTION_WORDS))
        target = Signal(2)
        m.submodules.order = order = TransferOrder(self.config)
        m.d.comb += [
            order.begin.eq(self.start),
            order.target.eq(self.target),
            order.first.eq(self.address),
            order.step.eq(arrived),
        ]
        with m.If(self.start):
            m.d.sync += target.eq(self.target)

        enable = Signal(data.ArrayLayout(1, 3))
        address, bank = Signal.like(order.address), Signal.like(order.bank)
        m.d.sync += enable.eq(0)
        with m.If(arrived):
            m.d.sync += [words.eq(Cat(words[32:], word)), address.eq(order.address), bank.eq(order.bank)]
            for memory in (VECTOR, ROWS, PROGRAM):
                m.d.sync += enable[memory].eq(order.ends & (target == memory))
        top = len(words)
        m.d.comb += [
            self.vector_write.enable.eq(enable[VECTOR]),
            self.vector_write.address.eq(address),
            self.vector_write.data.eq(words[top - 32 :]),
            self.row_load.enable.eq(enable[ROWS]),
            self.row_load.bank.eq(bank),
            self.row_load.address.eq(address),
            self.row_load.data.eq(words[top - 32 * row_words :][: self.config.lanes * 8]),
            self.program_load.enable.eq(enable[PROGRAM]),
            self.program_load.address.eq(address),
            self.program_load.data.eq(words[top - 32 * INSTRUCTION_WORDS :]),
        ]


class StreamOut(wiring.Component):
    """Sends `length` words of the memory `target`, one per cycle if the sink is ready; the last has `TLAST`.

    A word is asked for only if the queue behind the memories has a place for it, so that the sink may stop at any time.
    An abort makes the next word that is asked for the last, since a word that waits for the sink must not change.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            STREAM_OUT
            | TRANSFER
            | {
                "vector_read": Out(ReadSignature()),
                "row_read": Out(RowReadSignature(config)),
                "program_read": Out(ProgramReadSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Places, the cycles to the words, the queue. With fewer places a ready sink would have to wait."""
        m = Module()
        active = Signal()
        last = Signal()
        remaining = Signal(length_bits(self.config))
        ask = Signal()
        target = Signal(2)
        cycles = row_read_cycles(self.config)
        m.submodules.queue = queue = EntryQueue(width=33, depth=cycles + 2)
        m.submodules.order = order = TransferOrder(self.config)
        m.d.comb += [
            ask.eq(active & queue.credit),
            queue.issue.eq(ask),
            order.begin.eq(self.start),
            order.target.eq(self.target),
            order.first.eq(self.address),
            order.step.eq(ask),
        ]
        with m.If(ask):
            m.d.sync += [remaining.eq(remaining - 1), last.eq(remaining == 2), active.eq(~last)]
        with m.If(self.abort):
            m.d.sync += last.eq(1)
        with m.If(self.start):
            m.d.sync += [
                target.eq(self.target),
                remaining.eq(self.length),
                last.eq(self.length == 1),
                active.eq(self.length != 0),
            ]

        of_vector, of_program = target == VECTOR, target == PROGRAM
        # Vector memory wants its address from a register; the others have one of their own.
        reading = Signal()
        m.d.sync += reading.eq(ask & of_vector)
        with m.If(ask):
            m.d.sync += self.vector_read.address.eq(order.address)
        rows, program = self.row_read, self.program_read
        m.d.comb += [
            self.vector_read.enable.eq(reading),
            rows.enable.eq(ask & ~of_vector & ~of_program),
            rows.state.eq(target == STATE),
            rows.bank.eq(order.bank),
            rows.address.eq(order.address),
            rows.word.eq(order.word),
            program.enable.eq(ask & of_program),
            program.address.eq(order.address),
            program.word.eq(order.word),
        ]
        early = delayed(m, Cat(ask, last), _OTHER_CYCLES, "early")
        late = delayed(m, early, cycles - _OTHER_CYCLES, "late")
        arrived = Mux(of_vector | of_program, early, late)
        word = Mux(of_vector, self.vector_read.data.as_unsigned(), Mux(of_program, program.data, rows.data))
        m.d.comb += [
            queue.push.eq(arrived[0]),
            queue.entry.eq(Cat(word, arrived[1])),
            self.m_axis_tvalid.eq(queue.some),
            Cat(self.m_axis_tdata, self.m_axis_tlast).eq(queue.front),
            queue.take.eq(queue.some & self.m_axis_tready),
            self.busy.eq(active | ~queue.idle),
        ]
        return m
