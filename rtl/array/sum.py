"""`ArraySum`: the arithmetic of a gather, ways × lanes: operands, adder trees, accumulators."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.array.events import event_layout, pass_planes, shifts_of
from spikesim.rtl.array.gather import step_layout
from spikesim.rtl.array.operands import SIGN
from spikesim.rtl.config import CoreConfig

PRODUCT_BITS = 15
"""Of a product of two bytes of which one is never −128."""


class ArraySum(wiring.Component):
    """Per lane: `sums[l]` + offset ← Σ over the chunk of ± row · 2^plane (plane: of the event), count · row (dense).

    `events`, `step` and `rows` (as `Operands` gives them) belong together; throughput 1. Before a plane's first step
    (`double`) the sum is doubled; in window order, before the lower pass, multiplied by 2^row_planes. Sums wrap.
    `sums` hold from `ended` on, `ended_step` with them, until the next chunk's first operands.

    Operands are complemented instead of negated, and unsigned: what the sums of all lanes lack for that is the same,
    and `ArrayOffset` sums it once.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "events": In(event_layout(config)).array(config.ways),
                "step": In(step_layout(config)),
                "rows": In(config.lanes * 8).array(config.ways),
                "sums": Out(config.accumulator_bits).array(config.lanes),
                "ended": Out(1),
                "ended_step": Out(step_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The lanes, and what is the same for all of them."""
        m = Module()
        config = self.config
        step = Signal(step_layout(config))
        m.d.comb += step.eq(delayed(m, self.step, sum_stages(config), "step"))
        chosen = [self._chosen(m, way) for way in range(config.ways)]
        for lane in range(config.lanes):
            m.submodules[f"lane_{lane}"] = part = ArrayLane(config)
            m.d.comb += [
                part.first.eq(step.first),
                part.double.eq(step.double),
                part.active.eq(step.active),
                self.sums[lane].eq(part.sum),
            ]
            for way in range(config.ways):
                m.d.comb += [
                    part.rows[way].eq(self.rows[way].word_select(lane, 8)),
                    *(getattr(part, name)[way].eq(value) for name, value in chosen[way].items()),
                ]
        m.d.sync += [self.ended.eq(step.active & step.end), self.ended_step.eq(step)]
        return m

    def _chosen(self, m: Module, way: int) -> dict[str, Value]:
        """What a way's event means to all lanes: `negative` with its row, `at` or `factor` a cycle later."""
        event = self.events[way]
        if self.config.dense:
            factor = Signal(signed(8), name=f"factor_{way}", reset_less=True)
            m.d.sync += factor.eq(Mux(event.digit, event.code, 0))
            return {"factor": factor}
        shifts = shifts_of(self.config)
        at = Signal(len(shifts), name=f"at_{way}")
        plane = event.plane[: (len(shifts) - 1).bit_length()]
        for shift in shifts:
            m.d.sync += at[shift].eq(event.digit & (plane == shift if len(shifts) > 1 else 1))
        return {"negative": event.negative, "at": at}


class ArrayLane(wiring.Component):
    """One lane of `ArraySum`. A module of its own, so that it is mapped to gates once, however many lanes there are.

    `first`, `double`, `active` belong to the `rows` of `sum_stages` cycles before.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        ways = config.ways
        chosen: dict[str, Any] = (
            {"factor": In(signed(8)).array(ways)}
            if config.dense
            else {"negative": In(1).array(ways), "at": In(len(shifts_of(config))).array(ways)}
        )
        super().__init__(
            {
                "rows": In(8).array(ways),
                "first": In(1),
                "double": In(1),
                "active": In(1),
                "sum": Out(config.accumulator_bits),
                **chosen,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Operand, (product,) accumulator with the whole tree in front of it."""
        m = Module()
        held = Signal(self.config.accumulator_bits, name="held", reset_less=True)
        bits = len(held)
        terms = [self._term(m, way) for way in range(self.config.ways)]
        before: Value = held & (~self.first).replicate(bits)
        if shift := pass_planes(self.config):
            same, more = ~self.first & ~self.double, ~self.first & self.double
            before = (held & same.replicate(bits)) | ((held << shift)[:bits] & more.replicate(bits))
        with m.If(self.active):
            m.d.sync += held.eq(sum(terms) + before)
        m.d.comb += self.sum.eq(held)
        return m

    def _term(self, m: Module, way: int) -> Value:
        """A way's product, or its operand, behind a register shifted by its event's plane, or 0 without event."""
        row = self.rows[way]
        if self.config.dense:
            operand = Signal(signed(8), name=f"row_{way}", reset_less=True)
            product = Signal(PRODUCT_BITS, name=f"product_{way}", reset_less=True)
            m.d.sync += [
                operand.eq(row ^ SIGN),
                product.eq((operand * self.factor[way])[:PRODUCT_BITS] ^ (1 << (PRODUCT_BITS - 1))),
            ]
            return product
        operand = Signal(8, name=f"operand_{way}", reset_less=True)
        m.d.sync += operand.eq(row ^ self.negative[way].replicate(8))
        at = self.at[way]
        value: Value = operand & at[0].replicate(8)
        for shift in range(1, len(at)):
            value = value | (operand & at[shift].replicate(8)) << shift
        return value


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
        # Into registers first: counts and signs come straight from the encoders' memories.
        events = [Signal(event_layout(config), name=f"event_{way}") for way in range(config.ways)]
        m.d.sync += [mine.eq(its) for mine, its in zip(events, self.events, strict=True)]
        low = delayed(m, self.step.state & ~self.step.high, 2, "low")
        bits = 16 + config.ways.bit_length()
        lacking = Signal(signed(bits))
        if config.dense:
            # A product has 2^14 too much; of a lower byte 2^7, times the count, is missing.
            counts = Signal(signed(bits))
            m.d.sync += counts.eq(
                sum((event.code.as_signed() & event.digit.replicate(8).as_signed()) for event in events)
            )
            m.d.comb += lacking.eq(Mux(low, counts << 7, 0) - (config.ways << PRODUCT_BITS - 1))
        else:
            # A signed operand has 2^7 too much; a complemented one lacks 1, of a lower byte 1 − 2^8; times 2^plane.
            every, negative = Signal(bits), Signal(bits)
            planes = [self._weight(event.plane) for event in events]
            m.d.sync += [
                every.eq(sum(Mux(e.digit, w, 0) for e, w in zip(events, planes, strict=True))),
                negative.eq(
                    sum(Mux(e.digit & e.negative, w, 0) for e, w in zip(events, planes, strict=True))
                ),
            ]
            m.d.comb += lacking.eq(negative - Mux(low, negative << 8, every << 7))
        wait = self.LEAD + sum_stages(config)
        late = delayed(m, lacking, wait - 2, "lacking").as_signed()
        step = Signal(step_layout(config))
        m.d.comb += step.eq(delayed(m, self.step, wait, "step"))
        shift = pass_planes(config)
        shifted = Mux(step.double, self.offset << shift, self.offset) if shift else self.offset
        before = Mux(step.first, 0, shifted)
        with m.If(step.active):
            m.d.sync += self.offset.eq(before + late)
        return m

    def _weight(self, plane: Value) -> Value:
        shifts = shifts_of(self.config)
        return Const(1) << plane[: (len(shifts) - 1).bit_length()] if len(shifts) > 1 else Const(1)
