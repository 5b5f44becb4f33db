"""`Host`: the core's side of a system: registers over AXI4-Lite, memories over AXI-Stream.

The register map is the table of `spikesim.rtl.host.registers`; how streams map to memories is in
`spikesim.rtl.host.stream`. All outputs reset to idle; streams and responses under way are dropped by a reset.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, flipped

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.bus import AXI_LITE, RegisterBus
from spikesim.rtl.host.registers import (
    COUNTER_BASE,
    COUNTER_NAMES,
    COUNTERS,
    MAGIC,
    REGISTERS,
    VERSION,
    config_word,
)
from spikesim.rtl.host.stream import (
    PROGRAM,
    STREAM_IN,
    STREAM_OUT,
    VECTOR,
    StreamIn,
    StreamOut,
)
from spikesim.rtl.interface import ProgramLoadSignature, ReadSignature, RowLoadSignature, WriteSignature
from spikesim.rtl.isa import ADDRESS, POSITION_BITS

_SETTINGS = {r.name: r.width for r in REGISTERS if r.name in {"TARGET", "ADDRESS", "LENGTH"}}


class Host(wiring.Component):
    """Registers, and transfers between streams and memories while the core does not run.

    Core side:

    * `core_start` is high for one cycle; the core takes `core_entry` and `position`, which hold, and answers with
      `core_done` for one cycle. `core_busy`: the core must be left alone for a reason of its own.
    * `counters`: as they are now. `clear_counters`: for one cycle.
    * `vector_read`, `vector_write`: ports of vector memory, used only while the core does not run; the same for
      `row_load` and `program_load`.

    Answered with SLVERR and otherwise ignored: addresses without a register; writes to registers that are only
    read; CONTROL and TRANSFER while the core or a transfer runs; POSITION while the core runs; a TRANSFER that is
    none.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            AXI_LITE
            | STREAM_IN
            | STREAM_OUT
            | {
                "core_start": Out(1),
                "core_busy": In(1),
                "core_done": In(1),
                "core_entry": Out(ADDRESS),
                "position": Out(POSITION_BITS),
                "counters": In(COUNTERS),
                "clear_counters": Out(1),
                "vector_read": Out(ReadSignature()),
                "vector_write": Out(WriteSignature()),
                "row_load": Out(RowLoadSignature(config)),
                "program_load": Out(ProgramLoadSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The bus, the streams, and the registers between them."""
        m = Module()
        m.submodules.bus = bus = RegisterBus()
        m.submodules.stream_in = stream_in = StreamIn(self.config)
        m.submodules.stream_out = stream_out = StreamOut()
        for names, inner in ((AXI_LITE, bus), (STREAM_IN, stream_in), (STREAM_OUT, stream_out)):
            for name, member in names.items():
                mine, its = getattr(self, name), getattr(inner, name)
                m.d.comb += its.eq(mine) if member.flow is In else mine.eq(its)
        for name in ("vector_write", "row_load", "program_load"):
            wiring.connect(m, getattr(stream_in, name), flipped(getattr(self, name)))
        wiring.connect(m, stream_out.vector_read, flipped(self.vector_read))

        # Transfer settings: kept here, read by both streams at their start.
        settings = {name: Signal(width, name=name.lower()) for name, width in _SETTINGS.items()}
        m.d.comb += stream_in.target.eq(settings["TARGET"])
        for stream in (stream_in, stream_out):
            m.d.comb += [stream.address.eq(settings["ADDRESS"]), stream.length.eq(settings["LENGTH"])]

        # A start takes a cycle to the core or a stream, in which they count as running already.
        running = Signal()
        core = Signal()
        streaming = Signal()
        done = Signal()
        m.d.comb += [
            core.eq(running | self.core_busy),
            streaming.eq(stream_in.start | stream_out.start | stream_in.busy | stream_out.busy),
        ]
        hold = Signal()
        with m.If(self.core_done):
            m.d.sync += [running.eq(0), done.eq(1)]
            with m.If(~hold):
                m.d.sync += self.position.eq(self.position + 1)
        m.d.sync += [
            self.core_start.eq(0),
            self.clear_counters.eq(0),
            stream_in.start.eq(0),
            stream_out.start.eq(0),
        ]

        status = Cat(core, done, streaming, stream_in.short)
        self._reads(m, bus, settings=settings, status=status)

        # Writes.
        written, word = {}, bus.write_data
        for register in REGISTERS:
            written[register.name] = Signal(name=f"write_{register.name.lower()}")
            m.d.comb += written[register.name].eq(
                bus.write_enable & (bus.write_address == register.offset // 4)
            )
        command = bus.write_mask[0]  # commands are in the lowest byte
        transfer_in, transfer_out = word[0] & ~word[1], word[1] & ~word[0]
        known_target = Mux(word[0], settings["TARGET"] <= PROGRAM, settings["TARGET"] == VECTOR)
        no_transfer = command & (word[:2] != 0) & ~((transfer_in | transfer_out) & known_target)
        writable = Cat(written[register.name] for register in REGISTERS if register.access != "R").any()
        refused = Signal()
        m.d.comb += [
            refused.eq(
                ~writable
                | ((written["CONTROL"] | written["TRANSFER"]) & (core | streaming))
                | (written["POSITION"] & core)
                | (written["TRANSFER"] & no_transfer)
            ),
            bus.write_error.eq(refused),
        ]
        for name, target in (settings | {"ENTRY": self.core_entry, "POSITION": self.position}).items():
            with m.If(written[name] & ~refused):
                width = len(target)
                m.d.sync += target.eq((target & ~bus.write_mask[:width]) | (word & bus.write_mask)[:width])
        with m.If(command & ~refused):
            with m.If(written["CONTROL"] & word[0]):
                m.d.sync += [self.core_start.eq(1), running.eq(1), done.eq(0), hold.eq(word[1])]
            with m.If(written["STATUS"] & word[1]):
                m.d.sync += done.eq(self.core_done)  # one that comes now is not lost
            with m.If(written["TRANSFER"]):
                m.d.sync += [stream_in.start.eq(transfer_in), stream_out.start.eq(transfer_out)]
            with m.If(written["CLEAR"] & word[0]):
                m.d.sync += self.clear_counters.eq(1)
        return m

    def _reads(self, m: Module, bus: RegisterBus, *, settings: dict[str, Signal], status: Any) -> None:
        """In the first cycle a counter and another register, in the second the one that is meant."""
        values = {
            "ID": MAGIC,
            "VERSION": VERSION,
            "CONFIG": config_word(self.config),
            "STATUS": status,
            "ENTRY": self.core_entry,
            "POSITION": self.position,
        } | settings
        counter = Signal(64)
        high_word = Signal(32)
        other = Signal(32)
        is_counter = Signal()
        is_high = Signal()
        known = Signal()
        chosen = Signal()
        m.d.sync += [chosen.eq(bus.read_enable), known.eq(0), other.eq(0), is_counter.eq(0)]
        with m.Switch(bus.read_address):
            for register in REGISTERS:
                with m.Case(register.offset // 4):
                    m.d.sync += [known.eq(1), other.eq(values.get(register.name, 0))]
                    if register.offset >= COUNTER_BASE:
                        m.d.sync += is_counter.eq(1)
        counters = data.View(data.ArrayLayout(64, len(COUNTER_NAMES)), self.counters.as_value())
        with m.Switch(bus.read_address[1:5]):
            for i in range(len(COUNTER_NAMES)):
                with m.Case(i):
                    m.d.sync += counter.eq(counters[i])
        m.d.comb += is_high.eq(bus.read_address[0])
        m.d.sync += [
            bus.read_error.eq(~known),
            bus.read_data.eq(Mux(is_counter, Mux(is_high, high_word, counter[:32]), other)),
        ]
        with m.If(chosen & is_counter & ~is_high):
            m.d.sync += high_word.eq(counter[32:])
