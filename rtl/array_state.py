"""`StateUpdate`: the arithmetic on state words, per bank and lane: products, rounding shifts, sums that wrap."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array_bits import adder_tree, delayed
from spikesim.rtl.array_events import event_layout, row_address_bits
from spikesim.rtl.config import CoreConfig

PRODUCT = signed(24)
"""count · update: 8 and 16 bits."""

UPDATE_CYCLES = 5
"""From a row's last step to its write."""


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
        places, ways = row_address_bits(config), config.ways
        super().__init__(
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

    def elaborate(self, platform: Any) -> Module:
        """Per bank: step, term, product and memory, shifted, sum."""
        m = Module()
        config = self.config
        shift, half, rest = Signal(5), Signal(PRODUCT.width), Signal(PRODUCT.width)
        m.d.sync += [
            shift.eq(self.shift),
            half.eq((1 << shift) >> 1),
            rest.eq(((1 << shift) - 1) >> 1),
        ]
        wrapped: list[Value] = []
        for b in range(config.ways):
            wrapped += self._bank(m, b, shift, half, rest)
        m.d.sync += self.overflows.eq(adder_tree(m, wrapped, "overflow"))
        return m

    def _bank(self, m: Module, b: int, shift: Value, half: Value, rest: Value) -> list[Value]:
        config = self.config
        places = row_address_bits(config)

        def register(shape: Any, name: str) -> Any:
            return Signal(shape, name=f"{name}_{b}")

        event = self.events[b]
        done = event.valid & event.last
        # The row's place goes to the memory and, later, to its write port.
        m.d.sync += [
            self.read[b].eq(done | self.sweep_row),
            self.place_read[b].eq(Mux(self.sweeping, self.sweep_place, (self.place + event.row)[:places])),
        ]
        passed = Cat(self.read[b], self.place_read[b])
        later = delayed(m, passed, 2, f"passed_{b}")
        m.d.sync += Cat(self.write[b], self.place_write[b]).eq(
            Mux(self.sweeping, delayed(m, later, 1, f"swept_{b}"), later)
        )
        first = delayed(m, event.first, 1, f"first_{b}")
        valid = delayed(m, event.valid, 1, f"valid_{b}")
        wrapped = []
        for lane in range(config.lanes):

            def at(shape: Any, name: str, lane: int = lane) -> Any:
                return Signal(shape, name=f"{name}_{b}_{lane}")

            update = self.update[lane]
            term, product, state = at(signed(22), "term"), at(PRODUCT, "product"), at(signed(16), "state")
            if config.dense:
                part = Mux(event.plane[0], event.code[4:].as_signed(), Cat(event.code[:4], 0).as_signed())
                m.d.sync += term.eq(part * update)
                before = product << 4
            else:
                m.d.sync += term.eq(Mux(event.digit, Mux(event.negative, -update, update), 0))
                before = product if config.coding == "ternary" else product << 1
            with m.If(valid):
                m.d.sync += product.eq(Mux(first, 0, before) + term)
            m.d.sync += state.eq(self.words[b].word_select(lane, 16))
            operand = at(PRODUCT, "operand")
            m.d.comb += operand.eq(Mux(self.sweeping, state, product))
            quotient, up = at(PRODUCT, "quotient"), at(1, "up")
            tie = (operand & rest) == 0
            m.d.sync += [
                quotient.eq(operand >> shift),
                up.eq((operand & half).any() & (~tie | (operand >> shift)[0])),
            ]
            exact = at(signed(26), "exact")
            m.d.comb += exact.eq(Mux(self.sweeping, 0, state) + quotient + up)
            m.d.sync += self.data[b].word_select(lane, 16).eq(exact[:16])
            over = at(1, "over")
            m.d.sync += over.eq((exact[15:] != 0) & ~exact[15:].all())
            counted = at(1, "wrapped")
            m.d.sync += counted.eq(over & self.write[b])
            wrapped.append(counted)
        return wrapped
