"""`Host`: the core's side of a system: registers over AXI4-Lite, memories over AXI-Stream.

The register map is the table of `spikesim.rtl.host.registers`; how streams map to memories is in
`spikesim.rtl.host.bounds`. All outputs reset to idle; streams and responses under way are dropped by a reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, flipped

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.bounds import TransferBounds, reaches
from spikesim.rtl.host.bus import AXI_LITE, DECERR, OKAY, SLVERR, RegisterBus
from spikesim.rtl.host.registers import (
    CONTEXT_BITS,
    COUNTER_BASE,
    COUNTER_NAMES,
    COUNTERS,
    ERRORS,
    EVENTS,
    REGISTERS,
    constants,
)
from spikesim.rtl.host.stream import STREAM_IN, STREAM_OUT, StreamIn, StreamOut
from spikesim.rtl.interface import (
    ProgramLoadSignature,
    ProgramReadSignature,
    ReadSignature,
    RowLoadSignature,
    RowReadSignature,
    WriteSignature,
)
from spikesim.rtl.isa import ADDRESS, POSITION_BITS

_COMMANDS = {"CONTROL": (0b01, 0b11), "TRANSFER": (1, 2, 3), "CLEAR": (1,), "ABORT": (1, 2)}
"""What may be written to a register that does something; anything else is refused."""


class Host(wiring.Component):
    """Registers, and transfers between streams and memories while the core does not run.

    Core side:

    * `core_start` is high for one cycle; the core takes `core_entry` and `position`, which hold, and answers with
      `core_done` for one cycle, with `core_fault` if it met what it cannot execute. `core_busy`: the core must be left
      alone for a reason of its own. `memory_fault`: it addressed a memory beyond its end.
    * `core_reset`, for one cycle: the core and everything here but the bus begin anew.
    * `counters`: as they are now. `clear_counters`: for one cycle.
    * `vector_read`, `vector_write`: ports of vector memory, used only while the core does not run; the same for
      `row_load`, `row_read`, `program_load` and `program_read`.

    `irq`: the level of the events that are not masked out.

    Answered with DECERR: addresses without a register. With SLVERR, and otherwise ignored: writes to registers that
    are only read; commands that are none; CONTROL and TRANSFER while the core or a transfer runs; POSITION and CONTEXT
    while the core runs; a start beyond CONTEXT or program memory and a transfer beyond its memory, for which ERROR has
    a bit as well.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            AXI_LITE
            | STREAM_IN
            | STREAM_OUT
            | {
                "irq": Out(1),
                "core_start": Out(1),
                "core_busy": In(1),
                "core_done": In(1),
                "core_fault": In(1),
                "memory_fault": In(1),
                "core_reset": Out(1),
                "core_entry": Out(ADDRESS),
                "position": Out(POSITION_BITS),
                "counters": In(COUNTERS),
                "clear_counters": Out(1),
                "vector_read": Out(ReadSignature()),
                "vector_write": Out(WriteSignature()),
                "row_load": Out(RowLoadSignature(config)),
                "row_read": Out(RowReadSignature(config)),
                "program_load": Out(ProgramLoadSignature()),
                "program_read": Out(ProgramReadSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The bus and what reads the registers, which a reset by software leaves alone; the rest."""
        m = Module()
        m.submodules.bus = bus = RegisterBus()
        self._connect(m, AXI_LITE, bus)
        kept = Module()
        m.submodules.registers = ResetInserter(self.core_reset)(kept)
        values, reset = self._registers(kept, bus)
        m.d.sync += self.core_reset.eq(reset)
        self._reads(m, bus, constants(self.config) | values)
        return m

    def _connect(self, m: Module, members: Mapping[str, Any], inner: Any) -> None:
        """Ports that an inner component has, too."""
        for name, member in members.items():
            mine, its = getattr(self, name), getattr(inner, name)
            m.d.comb += its.eq(mine) if member.flow is In else mine.eq(its)

    def _streams(self, m: Module) -> tuple[StreamIn, StreamOut]:
        m.submodules.stream_in = stream_in = StreamIn(self.config)
        m.submodules.stream_out = stream_out = StreamOut(self.config)
        self._connect(m, STREAM_IN, stream_in)
        self._connect(m, STREAM_OUT, stream_out)
        for stream, names in (
            (stream_in, ("vector_write", "row_load", "program_load")),
            (stream_out, ("vector_read", "row_read", "program_read")),
        ):
            for name in names:
                wiring.connect(m, getattr(stream, name), flipped(getattr(self, name)))
        return stream_in, stream_out

    def _registers(self, m: Module, bus: RegisterBus) -> tuple[dict[str, Value], Value]:
        """What is written, and what becomes of it; -> what is read, and the command to reset."""
        config = self.config
        stream_in, stream_out = self._streams(m)
        settings = {
            register.name: Signal(register.width, name=register.name.lower())
            for register in REGISTERS
            if register.name in {"TARGET", "ADDRESS", "LENGTH", "IRQ_MASK"}
        }
        context = Signal(CONTEXT_BITS, init=config.context)
        position = Signal(CONTEXT_BITS)
        settings |= {"ENTRY": self.core_entry, "POSITION": position, "CONTEXT": context}
        m.submodules.bounds = bounds = TransferBounds(config)
        for reader in (stream_in, stream_out, bounds):
            m.d.comb += [
                reader.target.eq(settings["TARGET"]),
                reader.address.eq(settings["ADDRESS"]),
                reader.length.eq(settings["LENGTH"]),
            ]

        # A start takes a cycle to the core or a stream, in which they count as running already.
        running, hold, done = Signal(), Signal(), Signal()
        core, streaming = Signal(), Signal()
        m.d.comb += [
            core.eq(running | self.core_busy),
            streaming.eq(stream_in.start | stream_out.start | stream_in.busy | stream_out.busy),
        ]

        # Writes.
        word = bus.write_data & bus.write_mask
        written = {}
        for register in REGISTERS:
            name = register.name
            written[name] = Signal(name=f"write_{name.lower()}")
            m.d.comb += written[name].eq(bus.write_enable & (bus.write_address == register.offset // 4))
        codes = {name: [word == code for code in allowed] for name, allowed in _COMMANDS.items()}
        into, out, drain = codes["TRANSFER"]
        start, start_held = codes["CONTROL"]

        full = (position >= context) | (position >= config.context)
        beyond = {
            "context": written["CONTROL"] & start & full,
            "entry": written["CONTROL"] & (self.core_entry >= config.program_depth),
            "transfer": written["TRANSFER"] & ~drain & ~(bounds.inside & self._reachable(settings, into)),
        }
        busy = (written["CONTROL"] | written["TRANSFER"]) & (core | streaming)
        busy |= (written["POSITION"] | written["CONTEXT"]) & core
        unknown = Cat(written[name] & ~Cat(allowed).any() for name, allowed in codes.items()).any()
        read_only = Cat(written[r.name] for r in REGISTERS if r.access == "R").any()
        outside, refused = Signal(), Signal()
        m.d.comb += [
            outside.eq(Cat(beyond.values()).any() & ~busy & ~unknown),
            refused.eq(read_only | busy | unknown | outside),
            bus.write_response.eq(
                Mux(Cat(written.values()).any(), Mux(refused, SLVERR, OKAY), DECERR),
            ),
        ]
        for name, target in settings.items():
            with m.If(written[name] & ~refused):
                width = len(target)
                m.d.sync += target.eq((target & ~bus.write_mask[:width]) | word[:width])
        cleared = {name: Mux(written[name], word, 0) for name in ("STATUS", "ERROR", "IRQ_STATUS")}
        started = written["CONTROL"] & ~refused
        m.d.sync += [
            self.core_start.eq(started),
            stream_in.start.eq(written["TRANSFER"] & ~refused & (into | drain)),
            stream_in.drain.eq(drain),
            stream_out.start.eq(written["TRANSFER"] & ~refused & out),
            self.clear_counters.eq(written["CLEAR"] & ~refused),
        ]
        abort, reset = Signal(), Signal()
        m.d.comb += [
            Cat(abort, reset).eq(Cat(written["ABORT"] & code for code in codes["ABORT"])),
            stream_in.abort.eq(abort),
            stream_out.abort.eq(abort),
        ]

        # The core.
        m.d.comb += self.position.eq(Mux(full, 0, position))
        with m.If(cleared["STATUS"][1]):
            m.d.sync += done.eq(0)
        with m.If(started):
            m.d.sync += [running.eq(1), done.eq(0), hold.eq(start_held)]
        with m.If(self.core_done):  # one that comes now is not lost to a clearing
            m.d.sync += [running.eq(0), done.eq(1)]
            with m.If(~hold):
                m.d.sync += position.eq(position + 1)

        # What happens: errors, and events that may interrupt.
        errors = {name: Signal(name=f"error_{name}") for name, _ in ERRORS}
        now = {name: outside & is_beyond for name, is_beyond in beyond.items()}
        now |= {
            "program": self.core_done & self.core_fault,
            "memory": self.memory_fault,
            "frame": stream_in.misframed,
        }
        for bit, (name, error) in enumerate(errors.items()):
            m.d.sync += error.eq((error & ~cleared["ERROR"][bit]) | now[name])
        error = Cat(errors.values()).any()
        transferring = Signal()
        m.d.sync += transferring.eq(streaming)
        happened = {"done": self.core_done, "transferred": transferring & ~streaming}
        pending = {name: Signal(name=f"pending_{name}") for name in happened}
        for bit, name in enumerate(happened):
            m.d.sync += pending[name].eq((pending[name] & ~cleared["IRQ_STATUS"][bit]) | happened[name])
        events = Cat((pending | {"error": error})[name] for name, _ in EVENTS)
        m.d.sync += self.irq.eq((events & settings["IRQ_MASK"]).any())
        status = Cat(core, done, streaming, stream_in.short, stream_in.long, error)
        return settings | {"STATUS": status, "ERROR": Cat(errors.values()), "IRQ_STATUS": events}, reset

    def _reachable(self, settings: Mapping[str, Value], into: Value) -> Value:
        """Whether the memory is there, and can be written if that is wanted."""
        memories = reaches(self.config)
        can_be_read = Cat(Const(memory.depth > 0, 1) for memory in memories)
        can_be_written = Cat(Const(memory.writable, 1) for memory in memories)
        target = settings["TARGET"]
        return can_be_read.bit_select(target, 1) & (~into | can_be_written.bit_select(target, 1))

    def _reads(self, m: Module, bus: RegisterBus, values: Mapping[str, Any]) -> None:
        """In the first cycle a counter and another register, in the second the one that is meant."""
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
            bus.read_response.eq(Mux(known, OKAY, DECERR)),
            bus.read_data.eq(Mux(is_counter, Mux(is_high, high_word, counter[:32]), other)),
        ]
        with m.If(chosen & is_counter & ~is_high):
            m.d.sync += high_word.eq(counter[32:])
