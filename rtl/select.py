"""`SelectUnit`: the indices of the largest words of each group."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD, ControlSignature, ReadSignature, WriteSignature
from spikesim.rtl.isa import ADDRESS
from spikesim.timing import SELECT_PASS


class SelectUnit(wiring.Component):
    """Executes `Unit.SELECT`: of n candidates per group, the `common.chosen` largest, of equal words the first.

    Their indices are stored ascending, filled up with −1. The order of choice is total: by value, then by index. A
    pass over the candidates finds the first of them behind the last choice, the threshold; after as many passes as
    choices, one more writes every candidate at or before the threshold. Each pass takes n + `SELECT_PASS` cycles,
    and filling up one per choice, needed or not. n may be 0.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "control": In(ControlSignature()),
                "read_a": Out(ReadSignature()),
                "write": Out(WriteSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Passes, and a pipeline of candidates: address, word, against the threshold, against the best."""
        m = Module()
        common, fields = self.control.instruction.common, self.control.instruction.fields.select
        n, count = self.control.resolved.n, common.chosen

        scanning, filling, finishing = Signal(), Signal(), Signal()
        groups, passes, fills = Signal(12), Signal(8), Signal(8)
        left, turn = Signal(24), Signal(range(SELECT_PASS))
        base, destination = Signal(ADDRESS, reset_less=True), Signal(ADDRESS, reset_less=True)
        writing = passes == 0

        # candidates on their way: stage 0 has the address, 1 the memory's word, 2 and 3 the word in a register
        valid = Signal(4)
        index, index_3 = Signal(24), Signal(24, reset_less=True)
        word, word_3 = Signal(WORD, reset_less=True), Signal(WORD, reset_less=True)
        behind = Signal(reset_less=True)
        threshold, threshold_index, any_chosen = Signal(WORD), Signal(24), Signal()
        best, best_index, found = Signal(WORD), Signal(24), Signal()
        m.d.comb += [valid[0].eq(scanning & (left != 0)), self.read_a.enable.eq(valid[0])]
        m.d.sync += [
            valid[1:].eq(valid[:3]),
            word.eq(self.read_a.data),
            word_3.eq(word),
            index_3.eq(index),
            behind.eq((word < threshold) | ((word == threshold) & (index > threshold_index))),
            index.eq(index + valid[2]),
        ]
        pointer, written = Signal(ADDRESS, reset_less=True), Signal(8)
        m.d.sync += [self.write.enable.eq(0), self.write.address.eq(pointer), self.control.done.eq(finishing)]
        write = Signal()
        m.d.comb += write.eq(Mux(filling, written != count, valid[3] & writing & any_chosen & ~behind))
        with m.If(write):
            m.d.sync += [self.write.enable.eq(1), pointer.eq(pointer + 1), written.eq(written + 1)]
        m.d.sync += self.write.data.eq(Mux(filling, -1, index_3.as_signed()))
        with m.If(valid[3] & (behind | ~any_chosen) & (~found | (word_3 > best))):
            m.d.sync += [best.eq(word_3), best_index.eq(index_3), found.eq(1)]

        next_group, first_group = Signal(), Signal()
        with m.If(scanning & (left != 0)):
            m.d.sync += [left.eq(left - 1), self.read_a.address.eq(self.read_a.address + 1)]
        with m.Elif(scanning & (turn != SELECT_PASS - 1)):
            m.d.sync += turn.eq(turn + 1)
        with m.Elif(scanning):
            m.d.sync += [turn.eq(0), left.eq(n), self.read_a.address.eq(base), index.eq(0), found.eq(0)]
            with m.If(~writing):
                # a pass that found nothing leaves the best one of the pass before, and with it the threshold
                m.d.sync += [threshold.eq(best), threshold_index.eq(best_index), any_chosen.eq(1)]
                m.d.sync += passes.eq(passes - 1)
            with m.Elif(count == 0):
                m.d.comb += next_group.eq(1)
            with m.Else():
                m.d.sync += [scanning.eq(0), filling.eq(1), fills.eq(count)]
        with m.Elif(filling):
            m.d.sync += fills.eq(fills - 1)
            m.d.comb += next_group.eq(fills == 1)

        m.d.comb += first_group.eq(self.control.start)
        m.d.comb += finishing.eq(next_group & (groups == 1))
        with m.If(first_group):
            m.d.sync += [
                groups.eq(common.groups),
                base.eq(fields.a),
                self.read_a.address.eq(fields.a),
                destination.eq(fields.dst),
                pointer.eq(fields.dst),
            ]
        with m.Elif(next_group):
            m.d.sync += [
                groups.eq(groups - 1),
                base.eq(base + fields.a_stride),
                self.read_a.address.eq(base + fields.a_stride),
                destination.eq(destination + fields.dst_stride),
                pointer.eq(destination + fields.dst_stride),
            ]
        with m.If(first_group | next_group):
            m.d.sync += [
                scanning.eq(~finishing),
                filling.eq(0),
                turn.eq(0),
                left.eq(n),
                passes.eq(count),
                written.eq(0),
                index.eq(0),
                found.eq(0),
                any_chosen.eq(0),
            ]
        return m
