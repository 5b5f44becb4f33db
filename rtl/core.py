"""`SpikeCore`: sequencer, units, memories and counters behind the host interface; the top of what is emitted."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockDomain, DomainRenamer, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from spikesim.rtl.array.unit import ArrayUnit
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.bus import AXI_LITE
from spikesim.rtl.host.stream import STREAM_IN, STREAM_OUT
from spikesim.rtl.host.unit import Host
from spikesim.rtl.isa import ADDRESS, Extent, RunLength, Unit
from spikesim.rtl.pointwise.unit import PointwiseUnit
from spikesim.rtl.select import SelectUnit
from spikesim.rtl.sequencer import Sequencer
from spikesim.rtl.vector import VectorMemory

ARRAY_UNITS = (Unit.GATHER, Unit.SCATTER, Unit.SWEEP, Unit.STORE)
"""The units of the instruction set that are one unit of hardware, around row and state memory."""


def trace_signature(config: CoreConfig) -> dict[str, wiring.Member]:
    """What the core does, for a debugger or a test bench: every run of words written to vector memory, a bit of
    `trace_write` and 32 of `trace_write_data` for each word, and the end of every instruction with its address in
    program memory and its cycles from fetch to done.
    """
    return {
        "trace_write": Out(config.written_words),
        "trace_write_address": Out(ADDRESS),
        "trace_write_data": Out(32 * config.written_words),
        "trace_done": Out(1),
        "trace_skipped": Out(1),
        "trace_address": Out(ADDRESS),
        "trace_cycles": Out(32),
    }


class SpikeCore(wiring.Component):
    """A complete core: AXI4-Lite registers (`s_axil_*`), AXI-Streams in (`s_axis_*`) and out (`m_axis_*`), an interrupt
    (`irq`) and, if the configuration asks for it, what the core does (`trace_*`).

    One clock, `clk`; synchronous active-high reset, `rst`.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        ports = {"clk": In(1), "rst": In(1)} | AXI_LITE | STREAM_IN | STREAM_OUT | {"irq": Out(1)}
        super().__init__(ports | (trace_signature(config) if config.trace else {}))

    def elaborate(self, platform: Any) -> Module:
        """Instantiate everything; multiplex vector memory by the running unit."""
        m = Module()
        m.submodules.host = host = DomainRenamer("host")(Host(self.config))
        self._clocks(m, host)
        m.submodules.sequencer = sequencer = Sequencer(self.config)
        m.submodules.pointwise = pointwise = PointwiseUnit(self.config)
        m.submodules.select = select = SelectUnit(self.config)
        m.submodules.array = array = ArrayUnit(self.config)
        m.submodules.vector = vector = VectorMemory(self.config)
        m.d.comb += self.irq.eq(host.irq)
        for members in (AXI_LITE, STREAM_IN, STREAM_OUT):
            for name, member in members.items():
                mine, its = getattr(self, name), getattr(host, name)
                m.d.comb += its.eq(mine) if member.flow is In else mine.eq(its)
        self._control(m, host, sequencer, {Unit.POINTWISE: pointwise, Unit.SELECT: select}, array)
        self._vector(m, vector, host, sequencer, pointwise, select, array)
        self._counters(m, host, sequencer, pointwise, array)
        connect(m, host.row_load, array.load)
        connect(m, host.row_read, array.peek)
        if self.config.trace:
            self._trace(m, sequencer, vector)
        return m

    def _clocks(self, m: Module, host: Any) -> None:
        """One clock; two resets: the host's is `rst` alone, everything else begins anew when the host says so, too."""
        reset = Signal()
        m.d.comb += reset.eq(self.rst | host.core_reset)
        for name, its in (("host", self.rst), ("sync", reset)):
            domain = ClockDomain(name, local=True)
            domain.clk, domain.rst = self.clk, its
            m.domains += domain

    def _control(
        self, m: Module, host: Host, sequencer: Sequencer, units: dict[Unit, Any], array: ArrayUnit
    ) -> None:
        m.d.comb += [
            sequencer.start.eq(host.core_start),
            sequencer.entry.eq(host.core_entry),
            sequencer.position.eq(host.position),
            host.core_busy.eq(sequencer.busy),
            host.core_done.eq(sequencer.done),
            host.core_fault.eq(sequencer.fault),
        ]
        connect(m, host.program_load, sequencer.program)
        connect(m, host.program_read, sequencer.peek)
        for unit, component in units.items():
            connect(m, sequencer.units[unit.value - 1], component.control)
        ports = [sequencer.units[unit.value - 1] for unit in ARRAY_UNITS]
        m.d.comb += [
            array.control.start.eq(Cat(port.start for port in ports).any()),
            array.control.instruction.eq(ports[0].instruction),
            array.control.resolved.eq(ports[0].resolved),
        ]
        m.d.comb += [port.done.eq(array.control.done) for port in ports]

    def _vector(
        self,
        m: Module,
        vector: VectorMemory,
        host: Host,
        sequencer: Sequencer,
        pointwise: PointwiseUnit,
        select: SelectUnit,
        array: ArrayUnit,
    ) -> None:
        """The running unit has the ports; a unit that is not running writes nothing, so that writes are merged."""
        write, running = vector.write, Signal(8)
        m.d.comb += running.eq(1 << sequencer.unit.as_value())
        read_a, read_b = vector.a, vector.b
        m.d.comb += [read_a.address.eq(array.read.address), read_b.address.eq(pointwise.read_b.address)]
        with m.If(running[Unit.POINTWISE.value]):
            m.d.comb += read_a.address.eq(pointwise.read_a.address)
        with m.Elif(running[Unit.SELECT.value]):
            m.d.comb += read_a.address.eq(select.read_a.address)
        with m.If(sequencer.read.enable):
            m.d.comb += read_a.address.eq(sequencer.read.address)
        with m.If(~sequencer.busy):
            m.d.comb += read_a.address.eq(host.vector_read.address)
        # A unit that is not running enables nothing.
        readers = (select.read_a, sequencer.read, host.vector_read)
        alone = Cat(port.enable for port in readers).any()
        m.d.comb += [
            read_a.enable.eq(alone | pointwise.read_a.enable | array.read.enable),
            read_b.enable.eq(pointwise.read_b.enable),
            array.read.data[0].eq(read_a.data[0]),
        ]
        for port, memory in ((pointwise.read_a, read_a), (pointwise.read_b, read_b)):
            m.d.comb += [word.eq(found) for word, found in zip(port.data, memory.data, strict=False)]
        m.d.comb += [its.eq(word) for its, word in zip(array.read.low, read_a.low, strict=True)]
        for unit in (select, sequencer):
            port = unit.read_a if unit is select else unit.read
            m.d.comb += port.data.eq(read_a.data[0])
        m.d.comb += host.vector_read.data.eq(read_a.data[0])
        alone = host.vector_write.enable | select.write.enable
        m.d.comb += [
            write.enable.eq(alone | pointwise.write.enable | array.write.enable),
            write.address.eq(host.vector_write.address),
            write.data[0].eq(host.vector_write.data),
        ]
        with m.If(select.write.enable):
            m.d.comb += [write.address.eq(select.write.address), write.data[0].eq(select.write.data)]
        for run in (pointwise.write, array.write):
            with m.If(run.enable.any()):
                m.d.comb += write.address.eq(run.address)
                m.d.comb += [word.eq(its) for word, its in zip(write.data, run.data, strict=False)]
        m.d.comb += host.memory_fault.eq(vector.fault)

    def _trace(self, m: Module, sequencer: Sequencer, vector: VectorMemory) -> None:
        write = vector.write
        m.d.comb += [
            self.trace_write.eq(Mux(sequencer.busy, write.enable, 0)),
            self.trace_write_address.eq(write.address),
            self.trace_write_data.eq(Cat(*write.data)),
            self.trace_done.eq(sequencer.instruction_done),
            self.trace_skipped.eq(sequencer.skipped),
            self.trace_address.eq(sequencer.address),
            self.trace_cycles.eq(sequencer.cycles),
        ]

    def _counters(
        self, m: Module, host: Host, sequencer: Sequencer, pointwise: PointwiseUnit, array: ArrayUnit
    ) -> None:
        keys, cached = self._keys(m, sequencer)
        steps = {
            "cycles": sequencer.busy,
            "instructions": sequencer.instruction_done,
            "events": array.events,
            "spikes": array.spikes,
            "row_reads": array.rows,
            "array_cycles": array.active,
            "lane_cycles": Mux(array.active, array.lanes, 0),
            "clipped": pointwise.clipped,
            "overflows": array.overflows,
            "keys_read": keys,
            "keys_cached": cached,
        }
        for name, amount in steps.items():
            m.d.comb += host.counters[name].eq(self._counter(m, name, amount, host.clear_counters))

    def _counter(self, m: Module, name: str, amount: Value, clear: Value) -> Value:
        """The sum of `amount` over all cycles, 64 bits, three cycles late; no addition is longer than 32 bits."""
        step = Signal.like(amount, name=f"{name}_step")
        low, high, shown = (Signal(32, name=f"{name}_{part}") for part in ("low", "high", "shown"))
        carry = Signal(name=f"{name}_carry")
        m.d.sync += [
            step.eq(amount),
            Cat(low, carry).eq(low + step),
            high.eq(high + carry),
            shown.eq(low),  # the low half that belongs to the high one
        ]
        with m.If(clear):
            m.d.sync += [low.eq(0), carry.eq(0), high.eq(0), shown.eq(0)]
        return Cat(shown, high)

    def _keys(self, m: Module, sequencer: Sequencer) -> tuple[Signal, Signal]:
        """Keys that a gather of keys reads and could read: once per group, a group per cycle while it runs."""
        port = sequencer.units[Unit.GATHER.value - 1]
        common, fields = port.instruction.common, port.instruction.fields.array
        # Of the gathers with dynamic outputs only block means have the extent FINISHED.
        wanted = (fields.run == RunLength.OUTPUTS) & (common.extent != Extent.FINISHED)
        left = Signal(12)
        keys, cached = Signal(24), Signal(24)
        with m.If(port.start & wanted):
            m.d.sync += left.eq(common.groups)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(left != 0):
            m.d.comb += [keys.eq(port.resolved.n), cached.eq(port.resolved.position + 1)]
        return keys, cached
