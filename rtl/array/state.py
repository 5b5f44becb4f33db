"""`StateUpdate`: the arithmetic on state words, per update unit and lane: products, rounding shifts, sums that wrap."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import adder_tree, delayed, one_of
from spikesim.rtl.array.events import bits_for, event_layout, row_address_bits
from spikesim.rtl.config import CoreConfig

PRODUCT = signed(24)
"""count · update: 8 and 16 bits."""

UPDATE_CYCLES = 5
"""From a row's last step to its write."""


def update_signature(config: CoreConfig) -> wiring.Signature:
    """Ports of `StateUpdate`."""
    places, ways = row_address_bits(config), config.ways
    return wiring.Signature(
        {
            "events": In(event_layout(config)).array(ways),
            "turns": In(1).array(ways),
            "place": In(places),
            "update": In(signed(16)).array(config.lanes),
            "shift": In(5),
            "sweeping": In(1),
            "sweep_row": In(1),
            "sweep_clears": In(1),
            "sweep_place": In(places),
            "sweep_turn": In(bits_for(config.turns)),
            "read": Out(1).array(ways),
            "place_read": Out(places).array(ways),
            "words": In(config.lanes * 16).array(ways),
            "write": Out(1).array(ways),
            "place_write": Out(places).array(ways),
            "data": Out(config.lanes * 16).array(ways),
            "overflows": Out(range(ways * config.lanes + 1)),
        }
    )


class StateUpdate(wiring.Component):
    """Unit u updates the banks u, u + update_units, …, one at a time: bank b has turn b // update_units.

    Scatter: `events` of the step before, `place` and `update` from the cycle after the chunk's first step on. Of a
    unit's banks at most one has an event; `turns` says which may.

    A row's steps add ± update to its product, doubling before each (ternary: not; dense: update times the upper, then
    the lower half of the count). After the last, state ← state + rr(product / 2^shift), written UPDATE_CYCLES later.

    Sweep: `sweep_row`, the banks with turn `sweep_turn`: state at `sweep_place` ← rr(state / 2^shift). One row per unit
    and cycle either way. Of a row that `sweep_clears`, of whose words the shift leaves nothing, zeros are written and
    the memory is not read: it may never have been written.

    `read`, `place_read` one cycle before the memory's `words`; `write`, `place_write`, `data`. `overflows`: words that
    wrapped, at some later cycle.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(update_signature(config))

    def elaborate(self, platform: Any) -> Module:
        """The units, and what the shift means to all of them."""
        m = Module()
        config = self.config
        shift, half, rest = Signal(5), Signal(PRODUCT.width), Signal(PRODUCT.width)
        m.d.sync += [
            shift.eq(self.shift),
            half.eq((1 << shift) >> 1),
            rest.eq(((1 << shift) - 1) >> 1),
        ]
        update: list[Value] = list(self.update)
        if config.dense:  # multiplies a cycle later, when counts are out of their memory and in a register
            update = [delayed(m, word, 1, f"update_{lane}") for lane, word in enumerate(update)]
        wrapped: list[Value] = []
        for u in range(config.update_units):
            m.submodules[f"unit_{u}"] = unit = UpdateUnit(config)
            m.d.comb += [
                unit.place.eq(self.place),
                unit.shift.eq(shift),
                unit.half.eq(half),
                unit.rest.eq(rest),
                unit.sweeping.eq(self.sweeping),
                unit.sweep_row.eq(self.sweep_row),
                unit.sweep_clears.eq(self.sweep_clears),
                unit.sweep_place.eq(self.sweep_place),
                unit.sweep_turn.eq(self.sweep_turn),
            ]
            m.d.comb += [mine.eq(its) for mine, its in zip(unit.update, update, strict=True)]
            for turn, b in enumerate(range(u, config.ways, config.update_units)):
                m.d.comb += [
                    unit.events[turn].eq(self.events[b]),
                    unit.turns[turn].eq(self.turns[b]),
                    self.read[b].eq(unit.read[turn]),
                    self.place_read[b].eq(unit.place_read),
                    unit.words[turn].eq(self.words[b]),
                    self.write[b].eq(unit.write[turn]),
                    self.place_write[b].eq(unit.place_write),
                    self.data[b].eq(unit.data),
                ]
            wrapped += list(unit.wrapped)
        m.d.sync += self.overflows.eq(adder_tree(m, wrapped, "overflow"))
        return m


class UpdateUnit(wiring.Component):
    """One unit of `StateUpdate`, with its ports; `half`, `rest`: 2^(shift − 1) and the bits below.

    Its banks are told apart by one bit each that goes with the row; place and data are the same for all. Registers hold
    while no row is on its way, so that their clocks can be gated.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        places, turns = row_address_bits(config), config.turns
        super().__init__(
            {
                "events": In(event_layout(config)).array(turns),
                "turns": In(turns),
                "place": In(places),
                "update": In(signed(16)).array(config.lanes),
                "shift": In(5),
                "half": In(PRODUCT.width),
                "rest": In(PRODUCT.width),
                "sweeping": In(1),
                "sweep_row": In(1),
                "sweep_clears": In(1),
                "sweep_place": In(places),
                "sweep_turn": In(bits_for(turns)),
                "read": Out(turns),
                "place_read": Out(places),
                "words": In(config.lanes * 16).array(turns),
                "write": Out(turns),
                "place_write": Out(places),
                "data": Out(config.lanes * 16),
                "wrapped": Out(config.lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Step, term, product and memory, shifted, sum."""
        m = Module()
        config, event = self.config, Signal(event_layout(self.config))
        places, turns = row_address_bits(config), config.turns
        m.d.comb += event.eq(one_of(self.events, self.turns))
        done = event.valid & event.last
        sweeping = Signal()  # drives a great many gates; rows come much later than it rises
        m.d.sync += sweeping.eq(self.sweeping)
        # The row's place goes to the memory and, later, to its write port.
        rows, read = Signal(turns), Signal(turns)  # a bit per bank; those read are `read` a cycle later
        if turns > 1:
            swept = Cat(self.sweep_row & (self.sweep_turn == turn) for turn in range(turns))
            stepped = done.replicate(turns) & self.turns
        else:
            swept, stepped = self.sweep_row, done
        kept = (~self.sweep_clears).replicate(turns)
        m.d.sync += [rows.eq(stepped | swept), self.read.eq(stepped | (swept & kept)), read.eq(self.read)]
        with m.If(done | self.sweep_row):
            m.d.sync += self.place_read.eq(Mux(sweeping, self.sweep_place, (self.place + event.row)[:places]))
        stages = [Cat(rows, self.place_read)]
        for i in range(3):
            stages.append(delayed(m, stages[-1], 1, f"passed_{i}"))
        m.d.sync += Cat(self.write, self.place_write).eq(Mux(sweeping, stages[3], stages[2]))
        active = Signal()
        m.d.comb += active.eq(Cat(stage[:turns] for stage in stages).any())
        words, arrived = Signal(len(self.data)), Signal()
        # A row that is cleared takes what stands in the registers: its shift leaves nothing of any word.
        m.d.comb += [words.eq(one_of(self.words, read)), arrived.eq(read.any())]
        first = delayed(m, event.first, 1, "first")
        valid = delayed(m, event.valid, 1, "valid")
        part = Signal(signed(5))
        if config.dense:
            upper, lower = event.code[4:].as_signed(), Cat(event.code[:4], 0).as_signed()
            with m.If(event.valid):
                m.d.sync += part.eq(Mux(event.plane[0], upper, lower))
        states = [Signal(signed(16), name=f"state_{lane}") for lane in range(config.lanes)]
        for lane in range(config.lanes):
            term = part * self.update[lane] if config.dense else self._term(m, lane, event)
            with m.If(arrived):
                m.d.sync += states[lane].eq(words.word_select(lane, 16))
            self._lane(m, lane, term, states[lane], sweeping, active, first, valid)
        return m

    def _term(self, m: Module, lane: int, event: Any) -> Value:
        """± the update word, a cycle after the event."""
        update = self.update[lane]
        term = Signal(signed(22), name=f"term_{lane}")
        with m.If(event.valid):
            m.d.sync += term.eq(Mux(event.digit, Mux(event.negative, -update, update), 0))
        return term

    def _lane(
        self,
        m: Module,
        lane: int,
        term: Value,
        state: Value,
        sweeping: Value,
        active: Value,
        first: Value,
        valid: Value,
    ) -> None:
        config = self.config

        def at(shape: Any, name: str) -> Any:
            return Signal(shape, name=f"{name}_{lane}")

        product = at(PRODUCT, "product")
        before = product << 4 if config.dense else product if config.coding == "ternary" else product << 1
        with m.If(valid):
            m.d.sync += product.eq(Mux(first, 0, before) + term)
        operand, quotient, up = at(PRODUCT, "operand"), at(PRODUCT, "quotient"), at(1, "up")
        exact, over = at(signed(26), "exact"), at(1, "over")
        tie = (operand & self.rest) == 0
        m.d.comb += [
            operand.eq(Mux(sweeping, state, product)),
            exact.eq(Mux(sweeping, 0, state) + quotient + up),
        ]
        with m.If(active):
            m.d.sync += [
                quotient.eq(operand >> self.shift),
                up.eq((operand & self.half).any() & (~tie | (operand >> self.shift)[0])),
                self.data.word_select(lane, 16).eq(exact[:16]),
                over.eq((exact[15:] != 0) & ~exact[15:].all()),
            ]
        m.d.sync += self.wrapped[lane].eq(over & self.write.any())
