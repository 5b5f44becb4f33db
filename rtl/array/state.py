"""`StateUpdate`: the arithmetic on state words, per bank and lane: products, rounding shifts, sums that wrap."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import adder_tree, delayed
from spikesim.rtl.array.events import event_layout, row_address_bits
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
            "place": In(places),
            "update": In(signed(16)).array(config.lanes),
            "shift": In(5),
            "sweeping": In(1),
            "sweep_row": In(1),
            "sweep_place": In(places),
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
    """Scatter: `events` of the step before, `place` and `update` from the cycle after the chunk's first step on.

    A row's steps add ± update to its product, doubling before each (ternary: not; dense: update times the upper, then
    the lower half of the count). After the last, state ← state + rr(product / 2^shift), written UPDATE_CYCLES later.

    Sweep: `sweep_row`, all banks: state at `sweep_place` ← rr(state / 2^shift). One row per bank and cycle either way.

    `read`, `place_read` one cycle before the memory's `words`; `write`, `place_write`, `data`. `overflows`: words that
    wrapped, at some later cycle.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(update_signature(config))

    def elaborate(self, platform: Any) -> Module:
        """The banks, and what the shift means to all of them."""
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
        for b in range(config.ways):
            m.submodules[f"bank_{b}"] = bank = StateBank(config)
            m.d.comb += [
                bank.event.eq(self.events[b]),
                bank.place.eq(self.place),
                bank.shift.eq(shift),
                bank.half.eq(half),
                bank.rest.eq(rest),
                bank.sweeping.eq(self.sweeping),
                bank.sweep_row.eq(self.sweep_row),
                bank.sweep_place.eq(self.sweep_place),
                self.read[b].eq(bank.read),
                self.place_read[b].eq(bank.place_read),
                bank.words.eq(self.words[b]),
                self.write[b].eq(bank.write),
                self.place_write[b].eq(bank.place_write),
                self.data[b].eq(bank.data),
            ]
            m.d.comb += [mine.eq(its) for mine, its in zip(bank.update, update, strict=True)]
            wrapped += list(bank.wrapped)
        m.d.sync += self.overflows.eq(adder_tree(m, wrapped, "overflow"))
        return m


class StateBank(wiring.Component):
    """One bank of `StateUpdate`, with its ports; `half`, `rest`: 2^(shift − 1) and the bits below.

    Registers hold while no row is on its way, so that their clocks can be gated.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        places = row_address_bits(config)
        super().__init__(
            {
                "event": In(event_layout(config)),
                "place": In(places),
                "update": In(signed(16)).array(config.lanes),
                "shift": In(5),
                "half": In(PRODUCT.width),
                "rest": In(PRODUCT.width),
                "sweeping": In(1),
                "sweep_row": In(1),
                "sweep_place": In(places),
                "read": Out(1),
                "place_read": Out(places),
                "words": In(config.lanes * 16),
                "write": Out(1),
                "place_write": Out(places),
                "data": Out(config.lanes * 16),
                "wrapped": Out(config.lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Step, term, product and memory, shifted, sum."""
        m = Module()
        config, event = self.config, self.event
        places = row_address_bits(config)
        done = event.valid & event.last
        sweeping = Signal()  # drives a great many gates; rows come much later than it rises
        m.d.sync += sweeping.eq(self.sweeping)
        # The row's place goes to the memory and, later, to its write port.
        m.d.sync += self.read.eq(done | self.sweep_row)
        with m.If(done | self.sweep_row):
            m.d.sync += self.place_read.eq(Mux(sweeping, self.sweep_place, (self.place + event.row)[:places]))
        stages = [Cat(self.read, self.place_read)]
        for i in range(3):
            stages.append(delayed(m, stages[-1], 1, f"passed_{i}"))
        m.d.sync += Cat(self.write, self.place_write).eq(Mux(sweeping, stages[3], stages[2]))
        active = Signal()
        m.d.comb += active.eq(Cat(stage[0] for stage in stages).any())
        first = delayed(m, event.first, 1, "first")
        valid = delayed(m, event.valid, 1, "valid")
        part = Signal(signed(5))
        if config.dense:
            upper, lower = event.code[4:].as_signed(), Cat(event.code[:4], 0).as_signed()
            with m.If(event.valid):
                m.d.sync += part.eq(Mux(event.plane[0], upper, lower))
        for lane in range(config.lanes):
            term = part * self.update[lane] if config.dense else self._term(m, lane)
            self._lane(m, lane, term, sweeping, active, first, valid)
        return m

    def _term(self, m: Module, lane: int) -> Value:
        """± the update word, a cycle after the event."""
        event, update = self.event, self.update[lane]
        term = Signal(signed(22), name=f"term_{lane}")
        with m.If(event.valid):
            m.d.sync += term.eq(Mux(event.digit, Mux(event.negative, -update, update), 0))
        return term

    def _lane(
        self, m: Module, lane: int, term: Value, sweeping: Value, active: Value, first: Value, valid: Value
    ) -> None:
        config = self.config

        def at(shape: Any, name: str) -> Any:
            return Signal(shape, name=f"{name}_{lane}")

        product, state = at(PRODUCT, "product"), at(signed(16), "state")
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
                state.eq(self.words.word_select(lane, 16)),
                quotient.eq(operand >> self.shift),
                up.eq((operand & self.half).any() & (~tie | (operand >> self.shift)[0])),
                self.data.word_select(lane, 16).eq(exact[:16]),
                over.eq((exact[15:] != 0) & ~exact[15:].all()),
            ]
        m.d.sync += self.wrapped[lane].eq(over & self.write)
