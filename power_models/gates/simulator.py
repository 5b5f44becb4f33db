"""`GateSimulator`: a netlist of gates, cycle by cycle, in 64 independent streams at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError, ToolError
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.gates.kernels import Layout, SimulatorState, run_cycles
from spikesim.power_models.gates.memory import (
    Log,
    build_memories,
    held,
    put,
    read_blocks,
    read_ports,
    shape_of,
)
from spikesim.power_models.gates.program import gate_program
from spikesim.power_models.gates.waveforms import GateTimer
from spikesim.power_models.gates.words import STREAMS, word_of
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.support.together import go_on

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]
Stimulus = Mapping[str, int | NDArray[np.uint64]]

_BLOCK_WORK = 1 << 26
"""Slots times cycles of one call of compiled code, some 0.1 s: an interrupt is heeded between calls."""
_BLOCK_CYCLES = 4096
_LOG_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True)
class MemoryCounts:
    """Over all streams: `reads`, int64[ports]; `writes`: macros that are written, each once a cycle."""

    reads: Indices
    writes: int


@dataclass(frozen=True, kw_only=True)
class WriteLog:
    """Writes in order: cycle (from 0 in this run), stream, address; data: uint64[writes, chunks], the word after it."""

    cycle: Indices
    stream: Indices
    address: Indices
    data: Words


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run recorded: `outputs`, per port uint64[cycles, width]; `log`, of the memory asked for, or None."""

    outputs: dict[str, Words]
    log: WriteLog | None


class GateSimulator:
    """Simulates a netlist whose boxes are memories (`rtl/memory.v`), from registers and inputs that are all 0.

    A cycle is the clock's rising edge, then new inputs, then all cells settle once, without delays. At the edge
    registers, clock gates and memories see what had settled before. Before the first edge of all, the inputs have
    the values of the first cycle.

    `memories`: initial contents by name of box; others are 0. Words of up to 64 bits: integers[depth], or
    integers[64, depth] of each stream; wider ones: Python integers, or uint64[depth, chunks] or
    uint64[64, depth, chunks], lowest 64 bits first. Fewer words than the memory has are followed by zeros.

    Raises ToolError: see `gate_program`; a box is no memory; contents do not fit.
    """

    def __init__(
        self, netlist: Netlist, *, memories: Mapping[str, NDArray[np.uint64] | Sequence[int]] | None = None
    ) -> None:
        self.netlist = netlist
        self.program = gate_program(netlist, read_ports(netlist))
        self.memories = build_memories(self.program, memories or {})
        program, blocks, clocks = self.program, self.program.blocks, self.program.clocks
        nodes = clocks.parent.size if clocks.port else 0
        self._layout = Layout(
            first_register=program.registers[0],
            end_register=program.registers[1],
            end=blocks.first.size,
            parent=clocks.parent[:nodes],
            enable=program.slot[clocks.enable[:nodes]],
        )
        self._state = SimulatorState(
            v=np.zeros(program.slots, np.uint64),
            pending=np.zeros(program.sources, np.uint64),
            scratch=np.zeros(int(blocks.cells.max(initial=1)), np.uint64),
            dirty=np.ones(blocks.first.size, np.uint8),
            active=np.zeros(blocks.first.size, np.uint8),
            taken=np.zeros(blocks.first.size, np.uint64),
            masks=np.zeros(max(nodes, 1), np.uint64),
            toggles=np.zeros(program.slots, np.int32),
            ones=np.zeros(program.slots, np.int32),
            all_toggles=np.zeros(program.slots, np.int64),
            all_ones=np.zeros(program.slots, np.int64),
            pulses=np.zeros(max(nodes, 1), np.int64),
        )
        self._state.v[1] = word_of(1)
        self._cycles = 0
        self._started = False

    def run(
        self,
        cycles: int,
        stimulus: Stimulus | None = None,
        *,
        record: Sequence[str] = (),
        log: str | None = None,
        log_limit: int = _LOG_LIMIT,
        timer: GateTimer | None = None,
        sample_every: int = 1,
    ) -> RunResult:
        """Goes on for `cycles` cycles from the present state.

        `stimulus`: per input port a number (the same in all streams and cycles), uint64[width] or
        uint64[cycles, width], bit s of a word being for stream s (`pack`); other ports keep their values.
        `record`: output ports. `log`: a memory whose writes are wanted. `timer`, of this simulator's `program`:
        counts every `sample_every`th cycle with delays.

        Raises ToolError: a port or memory does not exist, a value does not fit it; CapacityError: there are more than
        `log_limit` writes (the cycles have been run then).
        """
        if cycles < 0 or sample_every < 1:
            raise ToolError(f"cycles must be 0 or more, not {cycles}, and every {sample_every}th sampled")
        if timer is not None and timer.program is not self.program:
            raise ToolError("the timer must be of the simulator's own program")
        constants, streams = self._stimulus(cycles, stimulus or {})
        missing = [port for port in record if port not in self.netlist.outputs]
        if missing:
            raise ToolError(f"recorded ports must be outputs of the netlist, and {missing[0]} is none")
        slots = [self.program.slot[self.netlist.outputs[port]] for port in record]
        recorded = {
            port: np.empty((cycles, s.size), np.uint64) for port, s in zip(record, slots, strict=True)
        }
        output_slots = np.concatenate([np.zeros(0, np.int64), *slots])
        writes = self._log(log, log_limit)
        if not self._started and cycles:
            self._power_up(constants, streams)
        step = int(min(_BLOCK_CYCLES, max(16, _BLOCK_WORK // max(1, self.program.slots))))
        for start, end, sampled in _spans(cycles, step, sample_every if timer else 0):
            go_on()
            before = self._state.v.copy() if sampled else self._state.v
            outputs = np.empty((end - start, output_slots.size), np.uint64)
            run_cycles(
                self.program.blocks,
                self._layout,
                self._state,
                self.memories,
                writes,
                start,
                end - start,
                *self._inputs(streams, start, end, {} if start else constants),
                outputs,
                output_slots,
            )
            self._cycles += end - start
            if timer and sampled:
                timer.sample(before, self._state.v)
            column = 0
            for rows in recorded.values():
                rows[start:end] = outputs[:, column : column + rows.shape[1]]
                column += rows.shape[1]
        return RunResult(outputs=recorded, log=None if log is None else _written(writes, log, log_limit))

    def activity(self) -> Activity:
        """What has been counted since the start or `reset_counts`, of all streams."""
        program, state, clocks = self.program, self._state, self.program.clocks
        pulses = state.pulses.astype(np.float64)
        toggles = state.all_toggles[program.slot].astype(np.float64)
        ones = state.all_ones[program.slot].astype(np.float64)
        clocked = clocks.net_node >= 0
        toggles[clocked] = 2 * pulses[clocks.net_node[clocked]]
        ones[clocked] = pulses[clocks.net_node[clocked]] / 2
        cells = clocks.cell_node
        return Activity(
            cycles=self._cycles * STREAMS,
            toggles=toggles,
            ones=ones,
            clock_pulses=np.where(cells >= 0, pulses[cells], 0.0),
        )

    def memory_counts(self) -> dict[str, MemoryCounts]:
        """Per memory, since the start or `reset_counts`."""
        counts, first = {}, 0
        for i, box in enumerate(self.netlist.boxes):
            reads = shape_of(box).reads
            counts[box.name] = MemoryCounts(
                reads=self.memories.reads[first : first + reads].copy(), writes=int(self.memories.writes[i])
            )
            first += reads
        return counts

    def reset_counts(self) -> None:
        """Forgets what has been counted; the state of the simulation stays."""
        state = self._state
        for counts in (
            state.all_toggles,
            state.all_ones,
            state.pulses,
            self.memories.reads,
            self.memories.writes,
        ):
            counts[:] = 0
        self._cycles = 0

    def memory(self, name: str) -> Words:
        """uint64[1 or 64, depth, chunks]: what a memory holds, per stream once streams may differ."""
        number = self._memory_number(name)
        return held(self.memories, number, shape_of(self.netlist.boxes[number]))

    def load(self, name: str, contents: NDArray[np.uint64], first: int = 0) -> None:
        """Writes words into a memory from address `first` on, between two cycles: contents as at the start.

        Raises ToolError: there is no such memory, or they do not fit.
        """
        number = self._memory_number(name)
        put(self.memories, number, shape_of(self.netlist.boxes[number]), contents, first)
        for block in read_blocks(self.memories, number):
            self._state.dirty[block] = 1  # the word that it last read may be another now

    def values(self) -> Words:
        """uint64[nets]: the settled values of all nets; 0 for nets of the clock."""
        return self._state.v[self.program.slot]

    def _memory_number(self, name: str) -> int:
        for i, box in enumerate(self.netlist.boxes):
            if box.name == name:
                return i
        raise ToolError(f"memories must be boxes of the netlist, and {name} is none")

    def _stimulus(self, cycles: int, stimulus: Stimulus) -> tuple[dict[str, Words], dict[str, Words]]:
        """Ports that stay as they are, uint64[width], and others, uint64[cycles, width]."""
        constants: dict[str, Words] = {}
        streams: dict[str, Words] = {}
        for port, given in stimulus.items():
            if port not in self.program.port_slots:
                raise ToolError(f"stimulated ports must be inputs other than the clock, and {port} is none")
            width = self.netlist.inputs[port].size
            if isinstance(given, (int, np.integer)):
                if not 0 <= given < 1 << width:
                    raise ToolError(f"the value of port {port} must be from 0 below 2^{width}, not {given}")
                constants[port] = np.array([word_of(int(given) >> i & 1) for i in range(width)], np.uint64)
                continue
            if given.dtype != np.uint64 or given.shape not in ((width,), (cycles, width)):
                raise ToolError(
                    f"values of port {port} must be uint64[{width}] or uint64[{cycles}, {width}], "
                    f"not {given.dtype} {given.shape}"
                )
            (constants if given.ndim == 1 else streams)[port] = given
        return constants, streams

    def _inputs(
        self, streams: Mapping[str, Words], start: int, end: int, constants: Mapping[str, Words]
    ) -> tuple[Words, Indices, Indices]:
        """For `run_cycles`: values, slots and blocks of all bits that may change; constants in the first row alone
        if nothing else does."""
        ports = [*constants, *streams]
        rows = end - start if streams else min(1, len(constants))
        parts = [np.zeros((rows, 0), np.uint64)]
        parts += [np.broadcast_to(row, (rows, row.size)) for row in constants.values()]
        parts += [words[start:end] for words in streams.values()]
        none = np.zeros(0, np.int64)
        slots, blocks = [none], [none]
        for port in ports:
            first, block = self.program.port_slots[port]
            width = self.netlist.inputs[port].size
            slots.append(np.arange(first, first + width))
            blocks.append(np.full(width, block))
        return np.concatenate(parts, axis=1), np.concatenate(slots), np.concatenate(blocks)

    def _power_up(self, constants: Mapping[str, Words], streams: Mapping[str, Words]) -> None:
        """Settles with the inputs of the first cycle, which counts nothing."""
        values, slots, _ = self._inputs(streams, 0, 1, constants)
        state = self._state
        state.v[slots] = values.reshape(-1)
        still = self._layout._replace(first_register=self._layout.end_register, parent=np.zeros(0, np.int64))
        log, outputs = self._log(None, 0), np.empty((1, 0), np.uint64)
        none = np.zeros(0, np.int64)
        run_cycles(
            self.program.blocks, still, state, self.memories, log, 0, 1, outputs, none, none, outputs, none
        )
        self.reset_counts()
        self._started = True

    def _log(self, name: str | None, limit: int) -> Log:
        number = -1 if name is None else self._memory_number(name)
        size = 0 if name is None else limit
        chunks = shape_of(self.netlist.boxes[number]).chunks if name else 1
        return Log(
            memory=number,
            cycle=np.empty(size, np.int64),
            stream=np.empty(size, np.int64),
            address=np.empty(size, np.int64),
            data=np.empty((size, chunks), np.uint64),
            noted=np.zeros(1, np.int64),
        )


def _spans(cycles: int, step: int, every: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, sampled): at most `step` cycles, or the one of every `every` (0: none) that is sampled."""
    start = 0
    while start < cycles:
        sample = start + (every // 2 - start) % every if every else cycles
        end = min(start + step, cycles, sample) if sample != start else start + 1
        yield start, end, sample == start
        start = end


def _written(log: Log, name: str, limit: int) -> WriteLog:
    count = int(log.noted[0])
    if count > limit:
        raise CapacityError(
            f"a run must have at most {limit} writes of memory {name} to be logged, not {count}"
        )
    return WriteLog(
        cycle=log.cycle[:count].copy(),
        stream=log.stream[:count].copy(),
        address=log.address[:count].copy(),
        data=log.data[:count].copy(),
    )
