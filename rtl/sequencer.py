"""`Sequencer`: fetches hardware instructions, works out what depends on the token, and starts units one at a time."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import (
    ControlSignature,
    ProgramLoadSignature,
    ProgramReadSignature,
    ReadSignature,
)
from spikesim.rtl.isa import (
    ADDRESS,
    INSTRUCTION,
    POSITION_BITS,
    RESOLVED,
    ROW,
    Enum,
    Extent,
    Unit,
)
from spikesim.rtl.memory import Ram, macro_bits

COPY_BITS = 8
"""Bits of the number of a state's copy."""

EARLY = data.StructLayout({"unit": Unit, "resolves": 1, "partition": 1, "unknown": 1})
"""What a dispatch goes by. `resolves`: it has a span; `unknown`: the core cannot execute it."""


class SequencerState(Enum, shape=4):
    """What the sequencer does in a cycle."""

    IDLE = 0
    FETCH = 1
    DECODE = 2
    DISPATCH = 3
    DIVIDE = 4
    LENGTH = 5
    DECIDE = 6
    ADDRESS = 7
    COPY = 8
    OFFSET = 9
    START = 10
    RUN = 11


class Sequencer(wiring.Component):
    """Runs the program from `entry` to END for the token at `position` when `start` is high for a cycle.

    * `done`: for one cycle, at END; with `fault` before an instruction that the core cannot execute: of a unit or with
      rows that it has not, or behind the last of program memory.
    * `instruction_done`: for one cycle with the last cycle of every instruction (END excepted), with its `address` and
      the `cycles` it took from its dispatch on; `skipped` if it did not execute.
    * `units`: a control port per unit but END, in the order of `Unit`.
    * `read`: vector memory, to learn which copy of a state is meant; only while `reading`.
    * `program`, `peek`: the write side of program memory, and its words, for the host while nothing runs.

    An instruction takes ISSUE_CYCLES (1: dispatch), RESOLVE_CYCLES more if it has a span, PARTITION_CYCLES more if it
    has a partition, and the cycles of its unit. The next one is fetched in its dispatch and stands in program memory's
    output until its own dispatch, with which the units get it. Only a step's first instruction waits for its fetch and
    for being decoded.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "entry": In(ADDRESS),
                "position": In(POSITION_BITS),
                "busy": Out(1),
                "done": Out(1),
                "fault": Out(1),
                "instruction_done": Out(1),
                "skipped": Out(1),
                "address": Out(ADDRESS),
                "cycles": Out(32),
                "unit": Out(Unit),
                "units": Out(ControlSignature()).array(len(Unit) - 1),
                "read": Out(ReadSignature()),
                "program": In(ProgramLoadSignature()),
                "peek": In(ProgramReadSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """One state per step of an instruction."""
        m = Module()
        depth = self.config.program_depth
        m.submodules.memory = memory = Ram(
            width=512, depth=depth, macro=macro_bits(512, depth), image="program", kind="program"
        )
        counter, ahead = Signal(range(depth + 1)), Signal(memory.address_bits)
        m.d.comb += [
            memory.write.enable.eq(self.program.enable),
            memory.write.address.eq(self.program.address),
            memory.write.data.eq(self.program.data),
            memory.read[0].address.eq(ahead),
        ]
        state = Signal(SequencerState)
        instruction = Signal(INSTRUCTION)
        resolved = Signal(RESOLVED)
        common = instruction.common
        started = Signal(len(Unit))
        finished = Signal()
        m.d.comb += [
            self.unit.eq(common.unit),
            self.address.eq(counter),
            self.read.address.eq(common.partition_address),
            finished.eq(Cat(unit.done for unit in self.units).any()),
        ]
        for number, unit in enumerate(self.units, 1):
            m.d.comb += [
                unit.start.eq(started[number]),
                unit.instruction.eq(instruction),
                unit.resolved.eq(resolved),
            ]
        # The clock of one instruction: 1 in its dispatch, which `load` brings about in the next cycle.
        load, loads = Signal(), Signal()
        m.d.sync += [self.cycles.eq(Mux(load, 1, self.cycles + 1)), loads.eq(load)]
        # The instruction's flip-flops lie all over a core: what enables them is one, too. Until then, program memory's
        # output is looked at, a cycle ahead.
        fetched = data.View(INSTRUCTION, memory.read[0].data)
        with m.If(loads):
            m.d.sync += instruction.eq(fetched)
        early = Signal(EARLY)
        m.d.sync += [
            early.unit.eq(fetched.common.unit),
            early.resolves.eq(fetched.common.span != 0),
            early.partition.eq(fetched.common.partition),
            early.unknown.eq(self._unknown(fetched)),
        ]
        m.d.sync += [started.eq(0), self.done.eq(0), self.read.enable.eq(0)]
        fetch, peeking = Signal(), Signal()
        m.d.sync += peeking.eq(self.peek.enable)
        m.d.comb += [
            memory.read[0].enable.eq(fetch | peeking),
            self.peek.data.eq(memory.read[0].data.word_select(delayed(m, self.peek.word, 2, "peeked"), 32)),
        ]
        with m.If(fetch):
            m.d.sync += ahead.eq(ahead + 1)

        step = Signal(range(POSITION_BITS))
        remainder = Signal(POSITION_BITS + 1)
        self._resolve(m, state, instruction, resolved, step, remainder)
        # Decided in LENGTH, where the quotient and the remainder are known.
        skip = Signal()
        nothing = (common.unit == Unit.GATHER) & (common.extent == Extent.FINISHED) & (resolved.finished == 0)
        m.d.sync += skip.eq(nothing | (common.block_end & (remainder + 1 != common.span)))
        copy = Signal(COPY_BITS)

        with m.Switch(state):
            with m.Case(SequencerState.IDLE):
                m.d.sync += [
                    counter.eq(self.entry),
                    ahead.eq(Mux(self.peek.enable, self.peek.address, self.entry)),
                ]
                with m.If(self.start):
                    m.d.sync += [state.eq(SequencerState.FETCH), self.busy.eq(1)]
            with m.Case(SequencerState.FETCH):
                m.d.comb += fetch.eq(1)
                m.d.sync += state.eq(SequencerState.DECODE)
            with m.Case(SequencerState.DECODE):
                m.d.comb += load.eq(1)
            with m.Case(SequencerState.DISPATCH):
                m.d.comb += fetch.eq(early.unit != Unit.END)
                m.d.sync += [
                    resolved.position.eq(self.position),
                    resolved.n.eq(fetched.common.length),
                    resolved.finished.eq(self.position),
                    resolved.slot.eq(0),
                    resolved.blocks.eq(0),
                    resolved.offset.eq(0),
                    remainder.eq(0),
                    step.eq(POSITION_BITS - 1),
                ]
                stops = early.unknown | (counter == depth)
                with m.If((early.unit == Unit.END) | stops):
                    m.d.sync += [state.eq(SequencerState.IDLE), self.busy.eq(0)]
                    m.d.sync += [self.done.eq(1), self.fault.eq(stops)]
                with m.Elif(early.resolves):
                    m.d.sync += state.eq(SequencerState.DIVIDE)
                with m.Else():
                    self._begin(m, state, early, started)
            with m.Case(SequencerState.DIVIDE):
                m.d.sync += step.eq(step - 1)
                with m.If(step == 0):
                    m.d.sync += state.eq(SequencerState.LENGTH)
            with m.Case(SequencerState.LENGTH):
                m.d.sync += state.eq(SequencerState.DECIDE)
            with m.Case(SequencerState.DECIDE):
                with m.If(skip):
                    m.d.comb += [self.instruction_done.eq(1), self.skipped.eq(1), load.eq(1)]
                    m.d.sync += counter.eq(counter + 1)
                with m.Else():
                    self._begin(m, state, common, started)
            with m.Case(SequencerState.ADDRESS):
                m.d.sync += state.eq(SequencerState.COPY)
            with m.Case(SequencerState.COPY):
                m.d.sync += [copy.eq(self.read.data), state.eq(SequencerState.OFFSET)]
            with m.Case(SequencerState.OFFSET):
                m.d.sync += [
                    resolved.offset.eq((copy * common.partition_stride)[:ROW]),
                    state.eq(SequencerState.START),
                ]
                m.d.sync += started.bit_select(common.unit, 1).eq(1)
            with m.Case(SequencerState.START, SequencerState.RUN):
                m.d.sync += state.eq(SequencerState.RUN)
                with m.If(finished):
                    m.d.comb += [self.instruction_done.eq(1), load.eq(1)]
                    m.d.sync += counter.eq(counter + 1)
        with m.If(load):
            m.d.sync += state.eq(SequencerState.DISPATCH)
        return m

    def _begin(self, m: Module, state: Any, common: Any, started: Any) -> None:
        """To the unit, or first to the copy of a state. `common`: has `unit` and `partition`."""
        with m.If(common.partition):
            m.d.sync += [state.eq(SequencerState.ADDRESS), self.read.enable.eq(1)]
        with m.Else():
            m.d.sync += [state.eq(SequencerState.START), started.bit_select(common.unit, 1).eq(1)]

    def _unknown(self, instruction: Any) -> Value:
        """Whether an instruction is of a unit that the core has not, or begins at a row that its memory has not."""
        fields, states, rows = instruction.fields, self.config.state_depth, self.config.row_depth
        base = {
            Unit.GATHER: (fields.array.base, Mux(fields.array.state, states, rows)),
            Unit.SCATTER: (fields.array.base, Const(states, ROW)),
            Unit.SWEEP: (fields.sweep.base, Const(states, ROW)),
            Unit.STORE: (fields.store.base, Const(rows, ROW)),
        }
        unit = instruction.common.unit
        wrong = [unit.as_value() >= len(Unit)]
        wrong += [(unit == its) & (first >= depth) for its, (first, depth) in base.items()]
        return Cat(wrong).any()

    def _resolve(
        self,
        m: Module,
        state: Any,
        instruction: Any,
        resolved: Any,
        step: Signal,
        remainder: Signal,
    ) -> None:
        """DIVIDE: `resolved.finished` holds the position's bits not yet used above the quotient's bits found so far."""
        common = instruction.common
        shifted = Cat(resolved.finished[-1], remainder)
        difference = Signal(26)  # signed: two's complement of 25 bits and more
        m.d.comb += difference.eq(shifted - common.span)
        fits = ~difference[-1]
        few = resolved.finished < common.chosen
        with m.If(state == SequencerState.DIVIDE):
            m.d.sync += [
                remainder.eq(Mux(fits, difference, shifted)),
                resolved.finished.eq(Cat(fits, resolved.finished[:-1])),
            ]
        with m.If(state == SequencerState.LENGTH):
            # The blocks' words before the own one, and what is known of the others.
            m.d.sync += [
                resolved.slot.eq(remainder),
                resolved.blocks.eq(Mux(few, resolved.finished, common.chosen)),
                resolved.n.eq(Mux(few, resolved.position - remainder, common.chosen_length)),
            ]
        with m.If(state == SequencerState.DECIDE):
            known = resolved.position + 1
            with m.Switch(common.extent):
                with m.Case(Extent.WINDOW):
                    m.d.sync += resolved.n.eq(Mux(known < common.span, known, common.span))
                with m.Case(Extent.FULL):
                    m.d.sync += resolved.n.eq(known)
                with m.Case(Extent.FINISHED):
                    m.d.sync += resolved.n.eq(resolved.finished)
                with m.Case(Extent.BLOCKS):
                    m.d.sync += resolved.n.eq(resolved.n + resolved.slot + 1)
                with m.Default():
                    m.d.sync += resolved.n.eq(common.length)
