"""`ArrayUnit`: the event-driven array with its row and state memory. It executes gather, scatter, sweep and store.

Channel i of an operand lies in bank i mod ways, encoder row i // ways; a row is one word per bank and column chunk,
lane l in bits [8l, 8l + 8) of row memory and [16l, 16l + 16) of state memory. Cycles: `spikesim.timing`.

A gather goes: counts (`CountLoader`) → codes and events (`PlaneBank`, `ListBank`, `WindowBank`, `DenseBank` or
`SkipBank` per bank) → row addresses (`RowReader`) → memories → operands (`ArrayOperands`) → sums (`ArraySum`) → vector
memory (`Drain`), in the order of `GatherControl`. A scatter takes its events from `ListBank`s (dense: the same) to
`StateUpdate`, which serves a sweep, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import adder_tree, delayed, highest, one_of, tree_stages
from spikesim.rtl.array.drain import Drain
from spikesim.rtl.array.events import (
    bits_for,
    digit_planes,
    lists_events,
    row_address_bits,
    row_bits,
    scans_planes,
)
from spikesim.rtl.array.gather import GatherControl, step_layout
from spikesim.rtl.array.list import ListBank
from spikesim.rtl.array.load import CountLoader
from spikesim.rtl.array.operands import SIGN, ArrayOperands
from spikesim.rtl.array.planes import PlaneBank, word_of
from spikesim.rtl.array.rows import RowReader
from spikesim.rtl.array.scatter import ScatterControl, scatter_signature
from spikesim.rtl.array.state import StateUpdate, update_signature
from spikesim.rtl.array.store import StoreControl
from spikesim.rtl.array.sum import ArrayOffset, ArraySum
from spikesim.rtl.array.sweep import SweepControl, sweep_signature
from spikesim.rtl.array.turns import take_turns
from spikesim.rtl.array.window import WindowBank
from spikesim.rtl.baseline.dense import DenseBank, DenseRows
from spikesim.rtl.baseline.skip import SkipBank
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import (
    WORD,
    ControlSignature,
    RowLoadSignature,
    RowReadSignature,
    RunReadSignature,
    RunWriteSignature,
    row_read_cycles,
)
from spikesim.rtl.isa import ADDRESS, Unit
from spikesim.rtl.memory import Ram, macro_bits
from spikesim.support.arithmetic import ceil_div


class AddressMultiplier(wiring.Component):
    """`product` is the low bits of number · stride two cycles before: operand registers, product register."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__({"number": In(17), "stride": In(ADDRESS), "product": Out(row_address_bits(config))})

    def elaborate(self, platform: Any) -> Module:
        """The three registers; no wider than the product."""
        m = Module()
        width = len(self.product)
        number, stride = Signal(min(17, width)), Signal(min(ADDRESS, width))
        m.d.sync += [number.eq(self.number), stride.eq(self.stride), self.product.eq(number * stride)]
        return m


class ArrayUnit(wiring.Component):
    """Gather, scatter, sweep, store. While idle, `load` writes row memory, `peek` reads row and state memory. Without
    state memory (`state_depth` 0) there is no scatter and no sweep.

    Counters, all one pulse per cycle, at a fixed delay from what they count: `events` the array takes (dense: rows),
    `rows` of row and state memory read for them, `spikes` the events of a group's first chunk and pass, `overflows`
    state words that wrapped in a scatter. `active`: the array takes operands, `lanes` of its lanes have a column.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        ways = range(config.ways + 1)
        super().__init__(
            {
                "control": In(ControlSignature()),
                "read": Out(RunReadSignature(1, halves=config.loaded)),
                "write": Out(RunWriteSignature(config.drained)),
                "load": In(RowLoadSignature(config)),
                "peek": In(RowReadSignature(config)),
                "events": Out(ways),
                "rows": Out(ways),
                "spikes": Out(ways),
                "active": Out(1),
                "lanes": Out(range(config.lanes + 1)),
                "overflows": Out(range(config.ways * config.lanes + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The parts and what they share: the read port, multiplier, loader, lists, state memory."""
        m = Module()
        config = self.config
        m.submodules.gather = gather = GatherControl(config)
        m.submodules.store = store = StoreControl(config)
        m.submodules.multiplier = multiplier = AddressMultiplier(config)
        m.submodules.loader = loader = CountLoader(config)
        m.submodules.reader = reader = RowReader(config)
        m.submodules.operands = operands = ArrayOperands(config)
        m.submodules.sum = total = ArraySum(config)
        m.submodules.sum_offset = offset = ArrayOffset(config)
        m.submodules.drain = drain = Drain(config)
        scatter, sweep = self._state_units(m)
        self.gather, self.store = gather, store
        self.loader, self.reader, self.sum, self.drain = loader, reader, total, drain
        self.operands = operands
        m.d.comb += [its.eq(mine) for its, mine in zip(total.rows, operands.rows, strict=True)]
        m.d.comb += [offset.step.eq(reader.early_step), drain.offset.eq(offset.offset)]
        for b in range(config.ways):
            m.d.comb += offset.events[b].eq(reader.events[b])

        fields = self.control.instruction.fields.array
        unit = self.control.instruction.common.unit
        for part, executed in (
            (gather, Unit.GATHER),
            (scatter, Unit.SCATTER),
            (sweep, Unit.SWEEP),
            (store, Unit.STORE),
        ):
            m.d.comb += [
                part.start.eq(self.control.start & (unit == executed)),
                part.instruction.eq(self.control.instruction),
                part.resolved.eq(self.control.resolved),
            ]
        scattering = Signal()
        m.d.sync += scattering.eq(unit == Unit.SCATTER)
        m.d.comb += [
            self.control.done.eq(gather.done | scatter.done | sweep.done | store.done),
            multiplier.number.eq(Mux(store.busy, store.factor, gather.number)),
            multiplier.stride.eq(Mux(store.busy, store.stride, fields.block_stride)),
            gather.product.eq(multiplier.product),
            store.product.eq(multiplier.product),
            loader.start.eq(gather.load | scatter.load),
            loader.pointer.eq(Mux(scattering, scatter.counts, gather.counts)),
            loader.past.eq(Mux(scattering, 0, gather.past)),
            loader.span.eq(self.control.instruction.common.span),
            loader.own.eq(Mux(scattering, fields.channels, gather.own)),
            loader.block_bits.eq(fields.block_bits),
            gather.loaded.eq(loader.done),
            scatter.loaded.eq(loader.done),
        ]
        self._vector_memory(m)
        self._encoders(m, scattering)
        self._row_memory(m)
        self._state_memory(m)
        self._peek(m)
        self._counters(m)
        return m

    def _state_units(self, m: Module) -> tuple[Any, Any]:
        """Scatter and sweep. Without state memory they are ports alone, all 0, and synthesis drops what serves them."""
        config = self.config
        self.scatter: Any
        self.sweep: Any
        self.state: Any
        if config.state_depth:
            m.submodules.scatter = self.scatter = ScatterControl(config)
            m.submodules.sweep = self.sweep = SweepControl(config)
            m.submodules.state = self.state = StateUpdate(config)
        else:
            self.scatter = scatter_signature(config).create()
            self.sweep = sweep_signature(config).create()
            self.state = update_signature(config).create()
        return self.scatter, self.sweep

    def _vector_memory(self, m: Module) -> None:
        """At most one part shows an address at a time, the others 0."""
        word = Signal(WORD)
        halves = [Signal(signed(16), name=f"half_{i}") for i in range(self.config.loaded)]
        shown = self.gather.address | self.scatter.address | self.sweep.address | self.store.address
        reads = self.gather.reads | self.scatter.reads | self.sweep.reads | self.store.reads
        m.d.sync += [
            self.read.enable.eq(self.loader.reads | reads),
            self.read.address.eq(self.loader.address | shown),
            word.eq(self.read.data[0]),
        ]
        m.d.sync += [mine.eq(its) for mine, its in zip(halves, self.read.low, strict=True)]
        for part in (self.gather, self.sweep):
            m.d.comb += part.word.eq(word)
        for reader in (self.loader, self.scatter, self.store):
            m.d.comb += [its.eq(mine) for its, mine in zip(reader.word, halves, strict=False)]
        drain, write = self.drain, self.write
        m.d.comb += [
            write.enable.eq(drain.write.enable),
            write.address.eq(drain.write.address),
        ]
        m.d.comb += [mine.eq(its) for mine, its in zip(write.data, drain.write.data, strict=True)]

    def _encoders(self, m: Module, scattering: Value) -> None:
        config, gather, scatter = self.config, self.gather, self.scatter
        if config.skip_zeros:
            self._skip_encoders(m, scattering)
            return
        last = Signal(row_bits(config))
        with m.If(self.loader.valid[0] | self.loader.open):
            m.d.sync += last.eq(self.loader.row)
        if config.dense:
            self._dense_encoders(m, scattering, last)
            return
        lists: list[ListBank] = []
        from_lists = lists_events(config)
        for b in range(config.ways if from_lists or config.state_depth else 0):
            bank = ListBank(config)
            m.submodules[f"list_{b}"] = bank
            lists.append(bank)
            m.d.comb += [
                bank.every_plane.eq(scattering),
                bank.begin.eq(scatter.begin | (gather.begin if from_lists else 0)),
                bank.clear.eq(scatter.clear | (gather.clear if from_lists else 0)),
                bank.go.eq(scatter.go | (gather.go if from_lists else 0)),
                bank.end.eq(scatter.step.end | (gather.step.end if from_lists else 0)),
            ]
            self._loads(m, b, bank, Const(1) if from_lists else scattering)
            m.d.comb += [
                self.state.events[b].eq(bank.event),
                self.state.events[b].valid.eq(bank.event.valid & scattering),
                self.state.turns[b].eq(bank.event.valid),
            ]
        take_turns(m, lists, config, scattering)
        sources: Sequence[ListBank | PlaneBank | WindowBank] = lists
        if scans_planes(config):
            sources = self._plane_encoders(m, scattering, last)
        elif not from_lists:
            sources = self._window_encoders(m, scattering)
        m.d.comb += [
            gather.left.eq(Cat(bank.left for bank in sources).any()),
            scatter.left.eq(Cat(bank.left for bank in lists).any()),
        ]
        for source, event in zip(sources, self.reader.events, strict=True):
            m.d.comb += event.eq(source.event)

    def _plane_encoders(self, m: Module, scattering: Value, last: Value) -> list[PlaneBank]:
        config, gather = self.config, self.gather
        opening = Signal()
        m.d.comb += opening.eq(self.loader.open & ~scattering)
        planes: list[PlaneBank] = []
        for b in range(config.ways):
            scanner = PlaneBank(config)
            m.submodules[f"planes_{b}"] = scanner
            planes.append(scanner)
            m.d.comb += [
                scanner.open.eq(opening),
                scanner.last.eq(word_of(last, config)),
                scanner.begin.eq(gather.begin),
                scanner.clear.eq(gather.clear),
                scanner.base.eq(gather.base),
                scanner.limit.eq(gather.limit),
                scanner.go.eq(gather.go),
                scanner.end.eq(gather.step.end),
            ]
            self._loads(m, b, scanner, ~scattering)
        occupied = [Cat(bank.occupied[p] for bank in planes).any() for p in range(digit_planes(config))]
        m.d.comb += gather.top.eq(highest(Cat(occupied)))
        return planes

    def _window_encoders(self, m: Module, scattering: Value) -> list[WindowBank]:
        gather = self.gather
        banks: list[WindowBank] = []
        for b in range(self.config.ways):
            m.submodules[f"window_{b}"] = bank = WindowBank(self.config)
            banks.append(bank)
            m.d.comb += [
                bank.clear.eq(gather.clear),
                bank.begin.eq(gather.begin),
                bank.upper.eq(gather.base[0]),
                bank.go.eq(gather.go),
                bank.end.eq(gather.step.end),
            ]
            self._loads(m, b, bank, ~scattering)
        m.d.comb += gather.top.eq(Cat(bank.above for bank in banks).any())
        return banks

    def _dense_encoders(self, m: Module, scattering: Value, last: Value) -> None:
        gather, scatter = self.gather, self.scatter
        m.submodules.rows = rows = DenseRows(self.config)
        go, block_last, last_turn = Signal(), Signal(len(last)), Signal(len(rows.turn))
        last_bank = (self.control.instruction.fields.array.channels - 1) & (self.config.ways - 1)
        m.d.sync += last_turn.eq(last_bank >> (self.config.update_units.bit_length() - 1))
        m.d.sync += block_last.eq(
            (self.control.instruction.common.span - 1) >> (self.config.ways - 1).bit_length()
        )
        m.d.comb += [
            go.eq(gather.go | scatter.go),
            rows.begin.eq(gather.begin | scatter.begin),
            rows.go.eq(go),
            rows.halves.eq(scattering),
            rows.blocks.eq(gather.by_row & ~scattering),
            rows.block_bits.eq(self.control.instruction.fields.array.block_bits),
            rows.block_last.eq(block_last),
            rows.last.eq(last),
            rows.last_turn.eq(last_turn),
            gather.left.eq(rows.left),
            scatter.left.eq(rows.left),
        ]
        row = Signal(len(rows.row))
        m.d.sync += row.eq(rows.row)
        banks: list[DenseBank] = []
        for b in range(self.config.ways):
            m.submodules[f"counts_{b}"] = bank = DenseBank(self.config)
            banks.append(bank)
            turn = Signal(name=f"turn_{b}")
            mine = rows.turn == b // self.config.update_units
            m.d.comb += [
                turn.eq(~scattering | mine if self.config.turns > 1 else 1),
                bank.open.eq(self.loader.open),
                bank.go.eq(go & turn),
                bank.place.eq(rows.row),
            ]
            m.d.sync += self.state.turns[b].eq(turn & scattering if self.config.turns > 1 else 1)
            self._loads(m, b, bank, Const(1))
            m.d.comb += [self.reader.events[b].row.eq(row), self.state.events[b].row.eq(row)]
        self._dense_events(m, banks, rows.upper, scattering)

    def _skip_encoders(self, m: Module, scattering: Value) -> None:
        """A scatter lists zeros, too, so that its banks stay in step, as those of the plain twin."""
        gather, scatter, loader = self.gather, self.scatter, self.loader
        go, lower, upper = Signal(), Signal(), Signal()
        m.d.comb += [go.eq(gather.go | scatter.go), upper.eq(scattering & ~lower)]
        with m.If(gather.begin | scatter.begin):
            m.d.sync += lower.eq(0)
        with m.Elif(go):
            m.d.sync += lower.eq(upper)
        listed = [Signal(name=f"listed_{i}") for i in range(self.config.loaded)]
        for i, some in enumerate(listed):
            m.d.comb += some.eq(scattering | loader.code[i].any())
        banks: list[SkipBank] = []
        for b in range(self.config.ways):
            m.submodules[f"counts_{b}"] = bank = SkipBank(self.config)
            banks.append(bank)
            m.d.comb += [
                bank.clear.eq(gather.clear | scatter.clear),
                bank.begin.eq(gather.begin | scatter.begin),
                bank.go.eq(go),
                bank.hold.eq(upper),
                bank.end.eq(gather.step.end | scatter.step.end),
                self.reader.events[b].row.eq(bank.event.row),
                self.state.events[b].row.eq(bank.event.row),
                self.state.turns[b].eq(bank.event.valid),
            ]
            self._loads(m, b, bank, listed[b % len(listed)])
        take_turns(m, banks, self.config, scattering)
        left = Cat(bank.left for bank in banks).any()
        m.d.comb += [gather.left.eq(left), scatter.left.eq(left)]
        self._dense_events(m, banks, upper, scattering)

    def _dense_events(
        self, m: Module, banks: Sequence[DenseBank | SkipBank], upper: Value, scattering: Value
    ) -> None:
        """All of them but their rows. `upper`: the step is of a scatter, for the upper halves of its counts."""
        valid, first, half = Signal(), Signal(), Signal()
        m.d.sync += [valid.eq(self.scatter.go), first.eq(~scattering | upper), half.eq(upper)]
        for bank, read, updated, turn in zip(
            banks, self.reader.events, self.state.events, self.state.turns, strict=True
        ):
            for event in (read, updated):
                m.d.comb += [
                    event.valid.eq(bank.event.valid),
                    event.digit.eq(bank.event.digit),
                    event.code.eq(bank.event.code),
                    event.first.eq(first),
                    event.last.eq(~half),
                    event.plane.eq(half),
                ]
            m.d.comb += updated.valid.eq(bank.event.valid & valid & turn)

    def _loads(
        self, m: Module, b: int, bank: DenseBank | ListBank | PlaneBank | SkipBank | WindowBank, enable: Value
    ) -> None:
        """Word b mod `loaded` of a cycle is bank b's count in one of its parts of the banks."""
        loader, width = self.loader, self.config.loaded
        word = b % width
        m.d.comb += [
            bank.load.eq(enable & loader.valid[word] & (loader.part == b // width)),
            bank.row.eq(loader.row),
            bank.code.eq(loader.code[word]),
        ]

    def _row_memory(self, m: Module) -> None:
        config, gather, reader, total = self.config, self.gather, self.reader, self.sum
        row_bits = bits_for(config.row_depth)
        m.d.comb += [
            reader.table_write.eq(gather.table_write),
            reader.table_index.eq(gather.table_index),
            reader.table_place.eq(gather.table_place),
            reader.by_row.eq(gather.by_row),
            reader.block_bits.eq(self.control.instruction.fields.array.block_bits),
            reader.offset.eq(gather.offset),
            reader.block.eq(gather.block),
            reader.step.eq(gather.step),
            total.step.eq(reader.taken_step),
            self.operands.step.eq(reader.taken_step),
            self.drain.restart.eq(gather.begin),
            self.drain.destination.eq(gather.destination),
            self.drain.ended.eq(total.ended),
            self.drain.step.eq(total.ended_step),
            gather.finished.eq(self.drain.finished),
        ]
        for lane in range(config.lanes):
            m.d.comb += self.drain.sums[lane].eq(total.sums[lane])
        from_state = Signal()
        of_state = self.control.instruction.fields.array.state
        m.d.sync += from_state.eq(Mux(self.peek.enable, self.peek.state, of_state))
        self.from_state = from_state
        for b in range(config.ways):
            width = config.lanes * 8
            memory = Ram(
                width=width,
                depth=config.row_depth,
                granule=8,
                macro=macro_bits(width, config.row_depth),
                image=f"row_{b:02}",
                kind="row",
            )
            m.submodules[f"row_{b}"] = memory
            hosted = self.load.enable & (self.load.bank == b)
            stored = self.store.enable[b]
            m.d.comb += [
                memory.read[0].enable.eq(reader.read[b] & ~from_state),
                memory.read[0].address.eq(reader.place[b][:row_bits]),
                memory.write.enable.eq(stored | hosted.replicate(config.lanes)),
                memory.write.address.eq(
                    Mux(self.load.enable, self.load.address, self.store.place)[:row_bits]
                ),
                memory.write.data.eq(
                    Mux(self.load.enable, self.load.data, self.store.row[b % config.fetched])
                ),
                total.events[b].eq(reader.taken[b]),
                self.operands.words[b].eq(memory.read[0].data),
            ]

    def _state_memory(self, m: Module) -> None:
        config, state, sweep, scatter = self.config, self.state, self.sweep, self.scatter
        bits = bits_for(config.state_depth)
        sweeping = Signal()  # drives a great many gates; a row comes much later than `busy`
        m.d.sync += sweeping.eq(sweep.busy)
        m.d.comb += [
            state.sweeping.eq(sweeping),
            state.place.eq(scatter.place),
            state.shift.eq(Mux(sweeping, sweep.shift, self.control.instruction.fields.array.shift)),
            state.sweep_row.eq(sweep.row),
            state.sweep_clears.eq(sweep.clears),
            state.sweep_place.eq(sweep.place),
            state.sweep_turn.eq(sweep.turn),
        ]
        for lane in range(config.lanes):
            m.d.comb += state.update[lane].eq(scatter.update[lane])
        for b in range(config.ways if config.state_depth else 0):
            width = config.lanes * 16
            memory = Ram(
                width=width,
                depth=config.state_depth,
                macro=macro_bits(width, config.state_depth),
                image=f"state_{b:02}",
                kind="state",
            )
            m.submodules[f"state_{b}"] = memory
            gathered = self.reader.read[b] & self.from_state
            place = Mux(state.read[b], state.place_read[b], self.reader.place[b])
            m.d.comb += [
                memory.read[0].enable.eq(gathered | state.read[b]),
                memory.read[0].address.eq(place[:bits]),
                memory.write.enable.eq(state.write[b]),
                memory.write.address.eq(state.place_write[b][:bits]),
                memory.write.data.eq(state.data[b]),
                state.words[b].eq(memory.read[0].data),
                self.operands.states[b].eq(memory.read[0].data),
            ]

    def _peek(self, m: Module) -> None:
        """Four lanes' sums of a row by itself. What chooses them keeps its gates quiet while nothing is asked for."""
        peek, reader, config = self.peek, self.reader, self.config
        row_words, cycles = ceil_div(config.lanes, 4), row_read_cycles(config)
        high = Signal()
        m.d.comb += [
            high.eq(peek.word >= row_words),
            reader.peek.eq(peek.enable),
            reader.peek_bank.eq(peek.bank),
            reader.peek_place.eq(peek.address),
            reader.peek_state.eq(peek.state),
            reader.peek_high.eq(high),
        ]
        index = delayed(m, peek.word & (row_words - 1), cycles, "peek_word")
        asked = delayed(m, peek.enable, cycles, "peek_enable")
        # Sums are of operands of which some have their sign bit turned over; dense ones turn all again.
        low = peek.state & ~high
        flips = delayed(m, low if config.dense else ~low, cycles, "peek_flips")
        chosen = Signal(row_words)
        words: list[Value] = []
        for i in range(row_words):
            m.d.comb += chosen[i].eq(asked & (index == i))
            lanes = range(4 * i, min(4 * i + 4, config.lanes))
            words.append(Cat(self.sum.sums[lane][:8] for lane in lanes))
        signs = Cat(Const(SIGN, 8) for _ in range(min(4, config.lanes)))
        m.d.comb += peek.data.eq(one_of(words, chosen) ^ (signs & flips.replicate(len(signs))))

    def _counters(self, m: Module) -> None:
        """Sums of the events of either kind."""
        config = self.config
        m.d.comb += self.overflows.eq(self.state.overflows)
        step = Signal(step_layout(config))
        m.d.sync += step.eq(self.scatter.step)
        gathered = self.reader.early_step
        events: list[Value] = []
        reads: list[Value] = []
        for b in range(config.ways):
            early, late = self.reader.events[b], self.state.events[b]
            on, off = gathered.active, step.active
            # A dense row is one event, although a scatter takes two steps for it.
            taken = late.last if config.dense else late.digit
            events.append((on & early.digit) | (off & late.valid & taken))
            reads.append((on & early.valid & early.first) | (off & late.valid & late.last))
        count = adder_tree(m, events, "event")
        m.d.sync += [self.events.eq(count), self.rows.eq(adder_tree(m, reads, "read"))]
        counted = Signal()
        m.d.comb += counted.eq(
            Mux(gathered.active, gathered.counted, step.counted & step.active),
        )
        m.d.sync += [
            self.spikes.eq(Mux(delayed(m, counted, tree_stages(config.ways), "counted"), count, 0)),
            self.active.eq(gathered.active | step.active),
            self.lanes.eq(Mux(gathered.active, gathered.columns, step.columns)),
        ]
