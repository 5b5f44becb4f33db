"""`ArraySum`: the arithmetic of a gather, ways × lanes: operands, adder trees, accumulators."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array_bits import adder_tree, delayed, tree_stages
from spikesim.rtl.array_events import event_layout, lists_events
from spikesim.rtl.array_gather import step_layout
from spikesim.rtl.config import CoreConfig


class ArraySum(wiring.Component):
    """Per lane: `sums[l]` ← Σ over the chunk of ± row (plane order), ± row · 2^plane (row order), count · row (dense).

    `events`, `step`, `words` and `states` (the memories' words) belong together; throughput 1. Rows are signed bytes;
    of a state word the upper byte, signed, or the lower, unsigned. Before a plane's first step (`double`) the sum is
    doubled. Sums wrap. `sums` hold from `ended` on, `ended_step` with them, until the next chunk's first operands.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "events": In(event_layout(config)).array(config.ways),
                "step": In(step_layout(config)),
                "words": In(config.lanes * 8).array(config.ways),
                "states": In(config.lanes * 16).array(config.ways),
                "sums": Out(signed(config.accumulator_bits)).array(config.lanes),
                "ended": Out(1),
                "ended_step": Out(step_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Operand, (shift or product,) tree, total, accumulator."""
        m = Module()
        config = self.config
        stages = tree_stages(config.ways) + lists_events(config)
        operands, negatives = self._operands(m)
        step = delayed(m, self.step, 2 + stages, "step")
        total_step = Signal(step_layout(config))
        m.d.comb += total_step.eq(step)
        # One's complements are summed; each lacks one, the same in all lanes.
        missing = None if config.dense else adder_tree(m, negatives, "missing")
        for lane in range(config.lanes):
            tree = adder_tree(m, [row[lane] for row in operands], f"tree_{lane}")
            total = Signal(signed(len(tree) + 1), name=f"total_{lane}")
            m.d.sync += total.eq(tree if missing is None else tree + missing)
            held = self.sums[lane]
            before = Signal(signed(config.accumulator_bits), name=f"before_{lane}")
            with m.If(total_step.first):
                m.d.comb += before.eq(0)
            with m.Elif(total_step.double):
                m.d.comb += before.eq(held << 1)
            with m.Else():
                m.d.comb += before.eq(held)
            with m.If(total_step.active):
                m.d.sync += held.eq(before + total)
        m.d.sync += [self.ended.eq(total_step.active & total_step.end), self.ended_step.eq(total_step)]
        return m

    def _operands(self, m: Module) -> tuple[list[list[Value]], list[Value]]:
        """Registered operands [way][lane], negative ones complemented, and which these are."""
        config = self.config
        operands, negatives = [], []
        for way in range(config.ways):
            event = self.events[way]
            on, negative = event.digit, event.digit & event.negative
            row = [self._operand(way, lane) for lane in range(config.lanes)]
            if not lists_events(config):
                m.d.sync += (registered := Signal(name=f"negative_{way}")).eq(negative)
                operands.append(
                    [self._gated(m, row[i], on, negative, f"operand_{way}_{i}") for i in range(len(row))]
                )
                negatives.append(registered)
                continue
            raw = []
            for lane, value in enumerate(row):
                register = Signal(signed(9), name=f"row_{way}_{lane}")
                m.d.sync += register.eq(value)
                raw.append(register)
            kept = delayed(m, Cat(on, negative, event.plane, event.code), 1, f"kept_{way}")
            on, negative, plane, code = kept[0], kept[1], kept[2:5], kept[5:13]
            if config.dense:
                factor = Mux(on, code, 0).as_signed()
                operands.append(
                    [self._register(m, r * factor, f"product_{way}_{i}") for i, r in enumerate(raw)]
                )
                continue
            m.d.sync += (registered := Signal(name=f"negative_{way}")).eq(negative)
            shift = 0 if config.coding == "ternary" else plane
            operands.append(
                [self._gated(m, r << shift, on, negative, f"operand_{way}_{i}") for i, r in enumerate(raw)]
            )
            negatives.append(registered)
        return operands, negatives

    def _operand(self, way: int, lane: int) -> Value:
        """A row's byte, or a state word's of this pass: 9 bits, signed."""
        state = self.states[way].word_select(lane, 16)
        byte = self.words[way].word_select(lane, 8)
        high, low = state[8:].as_signed(), Cat(state[:8], 0).as_signed()
        return Mux(self.step.state, Mux(self.step.high, high, low), byte.as_signed())

    def _gated(self, m: Module, value: Value, on: Value, negative: Value, name: str) -> Value:
        bits = len(value)
        return self._register(
            m, ((value ^ negative.replicate(bits)) & on.replicate(bits))[:bits].as_signed(), name
        )

    def _register(self, m: Module, value: Value, name: str) -> Value:
        register = Signal(value.shape(), name=name)
        m.d.sync += register.eq(value)
        return register
