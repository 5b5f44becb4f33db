"""`SweepControl`: right shifts of whole states, for the groups whose shift is positive."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.events import bits_for, row_address_bits
from spikesim.rtl.array.load import READ_CYCLES
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED

_WRITTEN = 5
"""From the last row's place to its write."""


def sweep_signature(config: CoreConfig) -> wiring.Signature:
    """Ports of `SweepControl`."""
    return wiring.Signature(
        {
            "start": In(1),
            "instruction": In(INSTRUCTION),
            "resolved": In(RESOLVED),
            "done": Out(1),
            "busy": Out(1),
            "reads": Out(1),
            "address": Out(ADDRESS),
            "word": In(WORD),
            "row": Out(1),
            "place": Out(row_address_bits(config)),
            "turn": Out(bits_for(config.turns)),
            "shift": Out(5),
            "clears": Out(1),
        }
    )


class SweepControl(wiring.Component):
    """`row`: shift the words at `place` by `shift`, of the banks whose `turn` it is; one turn per cycle. `clears`: the
    shift leaves nothing of a word.

    `address`, `word`: the shifts.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(sweep_signature(config))

    def elaborate(self, platform: Any) -> Module:
        """READ_CYCLES and one more per group to read and judge its shift, then its rows; at the end the pipeline."""
        m = Module()
        m.d.comb += self.clears.eq(self.shift[4])
        fields = self.instruction.fields.sweep
        places = row_address_bits(self.config)
        groups, left, wait = Signal(12), Signal(24), Signal(3)
        pointer, head = Signal(ADDRESS), Signal(places)
        turned = self.turn == self.config.turns - 1 if self.config.turns > 1 else Const(1)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [
                    groups.eq(self.instruction.common.groups),
                    pointer.eq(fields.shifts),
                    head.eq(fields.base + self.resolved.offset),
                    wait.eq(0),
                ]
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == READ_CYCLES):
                    m.d.sync += [
                        # 16 bits shifted by 16 and more round to 0, as by 17.
                        self.shift.eq(Mux(self.word[4:31].any(), 17, self.word[:5])),
                        groups.eq(groups - 1),
                        pointer.eq(pointer + 1),
                        head.eq(head + fields.head_stride),
                        self.place.eq(head),
                        left.eq(fields.rows),
                        wait.eq(0),
                    ]
                    with m.If((self.word > 0) & (fields.rows != 0)):
                        m.next = "ROWS"
                    with m.Elif(groups == 1):
                        m.next = "FLUSH"
            with m.State("ROWS"):
                m.d.comb += self.row.eq(1)
                if self.config.turns > 1:
                    m.d.sync += self.turn.eq(Mux(turned, 0, self.turn + 1))
                with m.If(turned):
                    m.d.sync += [self.place.eq(self.place + 1), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "READ"
                        with m.If(groups == 0):
                            m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == _WRITTEN - 1):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("IDLE")),
                self.reads.eq(fsm.ongoing("READ")),
                self.address.eq(Mux(self.reads, pointer, 0)),
            ]
        return m
