"""`ArraySum`: the arithmetic of a gather, ways × lanes: operands, adder trees, accumulators."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array_bits import delayed
from spikesim.rtl.array_events import event_layout, shifts_of
from spikesim.rtl.array_gather import step_layout
from spikesim.rtl.config import CoreConfig

SIGN = 0x80
"""Rows are summed with their sign bit turned over, as unsigned numbers: no operand has to be widened by its sign."""

PRODUCT_BITS = 15
"""Of a product of two bytes of which one is never −128."""


class ArraySum(wiring.Component):
    """Per lane: `sums[l]` + offset ← Σ over the chunk of ± row · 2^plane (plane: of the event), count · row (dense).

    `events`, `step`, `words` and `states` (the memories' words) belong together; throughput 1. Rows are signed bytes;
    of a state word the upper byte, signed, or the lower, unsigned. Before a plane's first step (`double`) the sum is
    doubled. Sums wrap. `sums` hold from `ended` on, `ended_step` with them, until the next chunk's first operands.

    Operands are complemented instead of negated, and unsigned: what the sums of all lanes lack for that is the same,
    and `ArrayOffset` sums it once.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "events": In(event_layout(config)).array(config.ways),
                "step": In(step_layout(config)),
                "words": In(config.lanes * 8).array(config.ways),
                "states": In(config.lanes * 16).array(config.ways),
                "sums": Out(config.accumulator_bits).array(config.lanes),
                "ended": Out(1),
                "ended_step": Out(step_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Operand, (product,) accumulator with the whole tree in front of it."""
        m = Module()
        config = self.config
        terms = self._products(m) if config.dense else self._gated(m)
        step = Signal(step_layout(config))
        m.d.comb += step.eq(delayed(m, self.step, sum_stages(config), "step"))
        keep = (~step.first & ~step.double, ~step.first & step.double)
        for lane in range(config.lanes):
            held = Signal(config.accumulator_bits, name=f"held_{lane}", reset_less=True)
            bits = len(held)
            before = (held & keep[0].replicate(bits)) | ((held << 1)[:bits] & keep[1].replicate(bits))
            with m.If(step.active):
                m.d.sync += held.eq(sum(terms[lane]) + before)
            m.d.comb += self.sums[lane].eq(held)
        m.d.sync += [self.ended.eq(step.active & step.end), self.ended_step.eq(step)]
        return m

    def _gated(self, m: Module) -> list[list[Value]]:
        """[lane]: the ways' operands, each behind a register shifted by its event's plane, or 0 without event."""
        config = self.config
        terms: list[list[Value]] = [[] for _ in range(config.lanes)]
        for way in range(config.ways):
            event = self.events[way]
            negative = event.digit & event.negative
            at = [Signal(name=f"at_{way}_{shift}") for shift in shifts_of(config)]
            plane = event.plane[: (len(at) - 1).bit_length()]
            for shift, here in enumerate(at):
                m.d.sync += here.eq(event.digit & (plane == shift if len(at) > 1 else 1))
            for lane in range(config.lanes):
                operand = Signal(8, name=f"operand_{way}_{lane}", reset_less=True)
                m.d.sync += operand.eq(self._row(way, lane) ^ negative.replicate(8))
                gated = [(operand & here.replicate(8)) << shift for shift, here in enumerate(at)]
                value = gated[0]
                for other in gated[1:]:
                    value = value | other
                terms[lane].append(value)
        return terms

    def _products(self, m: Module) -> list[list[Value]]:
        """[lane]: the ways' products."""
        terms: list[list[Value]] = [[] for _ in range(self.config.lanes)]
        for way in range(self.config.ways):
            event = self.events[way]
            factor = Signal(signed(8), name=f"factor_{way}", reset_less=True)
            m.d.sync += factor.eq(Mux(event.digit, event.code, 0))
            for lane in range(self.config.lanes):
                row = Signal(signed(8), name=f"row_{way}_{lane}", reset_less=True)
                product = Signal(PRODUCT_BITS, name=f"product_{way}_{lane}", reset_less=True)
                m.d.sync += [
                    row.eq(self._row(way, lane) ^ SIGN),
                    product.eq((row * factor)[:PRODUCT_BITS] ^ (1 << (PRODUCT_BITS - 1))),
                ]
                terms[lane].append(product)
        return terms

    def _row(self, way: int, lane: int) -> Value:
        """A row's byte, or a state word's of this pass, plus 2^7 if it is signed."""
        state = self.states[way].word_select(lane, 16)
        byte = self.words[way].word_select(lane, 8)
        high = self.step.state & self.step.high
        low = self.step.state & ~self.step.high
        return (
            ((byte ^ SIGN) & (~self.step.state).replicate(8))
            | ((state[8:] ^ SIGN) & high.replicate(8))
            | (state[:8] & low.replicate(8))
        )


def sum_stages(config: CoreConfig) -> int:
    """Registers in front of the accumulators."""
    return 2 if config.dense else 1


class ArrayOffset(wiring.Component):
    """`offset`: what the sums of `ArraySum` lack, from `ended` on, as long as these hold.

    `events` and `step` are those that `ArraySum` gets LEAD cycles later.
    """

    LEAD = 4

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "events": In(event_layout(config)).array(config.ways),
                "step": In(step_layout(config)),
                "offset": Out(config.accumulator_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Sums over the ways, what they lack, an accumulator as those of the lanes."""
        m = Module()
        config = self.config
        low = delayed(m, self.step.state & ~self.step.high, 1, "low")
        bits = 16 + config.ways.bit_length()
        lacking = Signal(signed(bits))
        if config.dense:
            # A product has 2^14 too much; of a lower byte 2^7, times the count, is missing.
            counts = Signal(signed(bits))
            m.d.sync += counts.eq(
                sum((event.code.as_signed() & event.digit.replicate(8).as_signed()) for event in self.events)
            )
            m.d.comb += lacking.eq(Mux(low, counts << 7, 0) - (config.ways << PRODUCT_BITS - 1))
        else:
            # A signed operand has 2^7 too much; a complemented one lacks 1, of a lower byte 1 − 2^8; times 2^plane.
            every, negative = Signal(bits), Signal(bits)
            planes = [self._weight(event.plane) for event in self.events]
            m.d.sync += [
                every.eq(sum(Mux(e.digit, w, 0) for e, w in zip(self.events, planes, strict=True))),
                negative.eq(
                    sum(Mux(e.digit & e.negative, w, 0) for e, w in zip(self.events, planes, strict=True))
                ),
            ]
            m.d.comb += lacking.eq(negative - Mux(low, negative << 8, every << 7))
        wait = self.LEAD + sum_stages(config)
        late = delayed(m, lacking, wait - 1, "lacking").as_signed()
        step = Signal(step_layout(config))
        m.d.comb += step.eq(delayed(m, self.step, wait, "step"))
        before = Mux(step.first, 0, Mux(step.double, self.offset << 1, self.offset))
        with m.If(step.active):
            m.d.sync += self.offset.eq(before + late)
        return m

    def _weight(self, plane: Value) -> Value:
        shifts = shifts_of(self.config)
        return Const(1) << plane[: (len(shifts) - 1).bit_length()] if len(shifts) > 1 else Const(1)
