"""What all programs of a model cost together: the spikes, cycles and cores sections of a report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.hardware import STATE_BYTES, HardwareConfig
from spikesim.mapping.place import Placer, ProgramPlacement
from spikesim.power_models.energies import shipped_energies
from spikesim.program import Decay, Program
from spikesim.program.compiled import Block
from spikesim.program.sizes import fitted, matrix_rows
from spikesim.results.base import Rates, Whole
from spikesim.results.energy import EnergyEstimate
from spikesim.results.report import (
    Cores,
    Counter,
    Cycles,
    InputSpikes,
    InstructionCycles,
    Item,
    LayerCycles,
    LayerPlacement,
    LayerSpikes,
    MacroSparsity,
    MemoryUse,
    Raster,
    Spikes,
    coarse_histogram,
)
from spikesim.run.energy import Usage, estimate, nearest
from spikesim.run.observers import InstructionCost
from spikesim.run.saturation import SaturationTally
from spikesim.run.simulator import Simulator
from spikesim.spikes.digits import encoder_planes
from spikesim.spikes.statistics import DEFINITIONS, SpikeStatistics
from spikesim.support.arithmetic import ceil_div

POPULATION = (
    "|s| of every element of the input of every spiked weight matrix, all tokens; an input shared by several matrices "
    "(q, k and v, or gate and up) counts once; the output head is left out"
)

NETWORK_POPULATION = (
    "|s| of every element of the input of every weight matrix, all {item}s; an input shared by several matrices, or by "
    "several windows of one, counts once"
)

_COUNTER_MEANINGS = {
    "events": "spike events taken by the array, once per column chunk they act on",
    "spikes": "spike events encoded, once per gather or scatter",
    "row_reads": "row and state memory rows read",
    "array_cycles": "cycles in which the array takes operands",
    "row_stores": "counts of keys, values and block means written into row memory, a byte each, every copy",
    "row_fills": "row memory rows written with what streams from DRAM: weights, keys and values; modelled, as the RTL "
    "holds everything",
    "pointwise_words": "words that go through the pointwise unit",
    "vector_words": "words of vector memory read and written",
}

_SAME = ("row_stores", "row_fills", "pointwise_words", "vector_words")
"""Counters of which the dense twins count the same."""

_LIMITS = (
    "Instructions of a core do not overlap; caches, states and weights are read without wait cycles.",
    "DRAM traffic is counted at its sustained bandwidth and overlaps computation perfectly within a layer.",
    "The dense twins have the same ways and lanes and take one INT8 activation per way and cycle; "
    "one takes zeros, too, the other skips them.",
    "Cycles of several cores assume an even deal of chunks and heads plus the stated broadcast latency; "
    "only a single core has an RTL counterpart.",
)


@dataclass(frozen=True, kw_only=True)
class Streams:
    """What a program's stores move to and from DRAM for all tokens, if they do not stay on chip.

    `cache_bytes`: keys and values of what is read, this token's own entries among them; `state_bytes`: states that are
    touched, there and back. `weight_rows`: rows of row memory that the weights are, all cores together, per token.
    """

    cache_bytes: int
    state_bytes: int
    weight_rows: int


@dataclass(frozen=True, kw_only=True)
class ProgramTally:
    """One program's share. `block`: what it is to a reader.

    `entries`: cycles per instruction; `copies`, `touched`: SSE states there are, and those a token touches; `chooses`:
    whether it attends to chosen blocks; `streams`: what would stream.
    The program itself is not kept, so that a large model's weights are not.
    """

    block: Block
    entries: list[InstructionCost]
    counters: Counters
    copies: int
    touched: int
    chooses: bool
    overflows: int
    placement: ProgramPlacement
    streams: Streams
    spikes: SpikeStatistics
    clipped: int
    encoded: int

    def cycles(self, core: CoreName) -> int:
        """Of all instructions."""
        return sum(entry.cycles[core] for entry in self.entries)


@dataclass(kw_only=True)
class Tally:
    """Collects programs as they are simulated; afterwards fills the report.

    `item`: what is counted as a token.

    `settled` says what stays on chip, once all programs are placed; `sized`: the hardware with the sizes that its
    memories then have. `vector_words`, `program_words`: what all programs together take of these memories.
    """

    hardware: HardwareConfig
    tokens: int
    item: Item = "token"
    programs: list[ProgramTally] = field(default_factory=list)
    inputs: dict[str, tuple[SpikeStatistics, int]] = field(default_factory=dict)
    raster: Raster | None = None
    sized: HardwareConfig | None = None
    vector_words: int = 0
    program_words: int = 0
    saturation: SaturationTally = field(default_factory=SaturationTally)

    def add(self, program: Program, simulator: Simulator, placement: ProgramPlacement, block: Block) -> None:
        """Adds a program whose simulation is complete."""
        spikes, clipped = SpikeStatistics.empty(), 0
        for name, statistics in simulator.spikes.items():
            spikes += statistics
            clipped += simulator.clipped.get(name, 0)
            if block.layer is not None:
                label = name.removesuffix(".counts")
                known, cut = self.inputs.get(label, (SpikeStatistics.empty(), 0))
                self.inputs[label] = (known + statistics, cut + simulator.clipped.get(name, 0))
        self.saturation.add(simulator.machine, block)
        self.programs.append(
            ProgramTally(
                block=block,
                entries=simulator.cycles,
                counters=simulator.counters(),
                placement=placement,
                copies=sum(spec.copies for spec in program.text.states.values()),
                touched=_decays(program),
                chooses=any(spec.block for spec in program.text.caches.values()),
                overflows=simulator.overflows,
                streams=self._streams(program, simulator),
                spikes=spikes,
                clipped=clipped,
                encoded=sum(simulator.encoded.values()),
            )
        )

    def settled(self, placer: Placer) -> None:
        """Takes over what is known once all programs are placed."""
        self.programs = [
            replace(tally, placement=placement)
            for tally, placement in zip(self.programs, placer.finished(), strict=True)
        ]
        self.sized = placer.sized()
        self.vector_words, self.program_words = placer.vector_words, placer.program_words

    def _streams(self, program: Program, simulator: Simulator) -> Streams:
        array, text = self.hardware.array, program.text
        size = max((spec.size for spec in text.caches.values()), default=0)
        state = max((spec.heads * spec.size**2 for spec in text.states.values()), default=0)
        rows = (matrix_rows(*m.shape, ways=array.ways, lanes=array.lanes) for m in program.matrices.values())
        return Streams(
            cache_bytes=2 * size * simulator.counters().keys_read,
            state_bytes=2 * STATE_BYTES * _decays(program) * self.tokens * state,
            weight_rows=array.ways * sum(rows),
        )

    def _dram_bytes(self, tally: ProgramTally) -> int:
        """Bytes for all tokens: streamed weights and constants, and what is touched of streamed caches and states."""
        placement, streams = tally.placement, tally.streams
        moved = placement.dram_bytes * self.tokens
        if not placement.cache_resident:
            moved += streams.cache_bytes
        if not placement.state_resident:
            moved += streams.state_bytes
        return moved

    def _row_fills(self, tally: ProgramTally) -> int:
        """Rows of row memory that are written with what streams, for all tokens and on all cores."""
        placement, streams = tally.placement, tally.streams
        rows = 0 if placement.resident else streams.weight_rows * self.tokens
        if not placement.cache_resident:
            rows += ceil_div(streams.cache_bytes, self.hardware.row_bytes)
        return rows

    def _dram_cycles(self, tally: ProgramTally) -> int:
        return int(np.ceil(self._dram_bytes(tally) / self.hardware.dram_bytes_per_cycle))

    def spikes(self) -> Spikes:
        """The spikes section: all layers' projection inputs."""
        layers = [tally for tally in self.programs if tally.block.layer is not None]
        everything = SpikeStatistics.empty()
        for tally in layers:
            everything += tally.spikes
        values = everything.elements
        if not values:  # a network without matrices: as one silent value, for shares of nothing
            everything = SpikeStatistics.of([0])
        numerics = self.hardware.numerics
        window = numerics.window if numerics.activation == "threshold" else 7
        steps = encoder_planes((1 << window) - 1, numerics.coding)
        clipped = sum(tally.clipped for tally in layers)
        sparsity = {
            name: value for name, value in everything.to_dict(window).items() if name.startswith("sparsity")
        }
        sparsity["sparsity_int8_steps"] = everything.sparsity(7)
        definitions = {name: DEFINITIONS[name] for name in sparsity if name in DEFINITIONS}
        definitions["sparsity"] += f"; here T = {window}"
        definitions["sparsity_int8_steps"] = (
            "1 − spikes / (7 × elements), the seven planes of an INT8 magnitude"
        )
        events = sum(tally.encoded for tally in layers)
        return Spikes(
            definition=POPULATION if self.item == "token" else NETWORK_POPULATION.format(item=self.item),
            coding=numerics.coding,
            steps=steps,
            elements=values,
            silent=everything.silent,
            average=everything.average_spikes,
            firing_rate=events / (everything.elements * steps),
            within_7=everything.in_window,
            above_16=everything.above_16,
            headline="sparsity_int8_steps",
            sparsity=sparsity,
            definitions=definitions,
            clipped=clipped,
            clipped_share=clipped / everything.elements,
            histogram=tuple(int(n) for n in _histogram(everything)) if values else (0,) * 128,
            events_per_value={
                "bitwise": everything.average_spikes,
                "signed_digit": everything.average_naf_spikes,
                "ternary": everything.average,
                numerics.coding: events / everything.elements,
            },
            by_layer=tuple(self._layer_spikes(tally, steps) for tally in layers if tally.spikes.elements),
            by_input=tuple(
                InputSpikes(
                    name=name, elements=s.elements, silent=s.silent, average=s.average_spikes, clipped=cut
                )
                for name, (s, cut) in self.inputs.items()
            ),
            macro=self._macro(layers),
        )

    def _layer_spikes(self, tally: ProgramTally, steps: int) -> LayerSpikes:
        return LayerSpikes(
            layer=self._shown_index(tally),
            kind=tally.block.kind,
            elements=tally.spikes.elements,
            silent=tally.spikes.silent,
            average=tally.spikes.average_spikes,
            firing_rate=tally.encoded / (tally.spikes.elements * steps),
            clipped=tally.clipped,
            histogram=coarse_histogram([int(n) for n in _histogram(tally.spikes)]),
        )

    def _macro(self, layers: list[ProgramTally]) -> MacroSparsity:
        untouched, skipped = [], []
        for tally in layers:
            if tally.copies:
                untouched.append(1 - tally.touched / tally.copies)
            counters = tally.counters
            if tally.chooses and counters.keys_cached:
                skipped.append(1 - counters.keys_read / counters.keys_cached)
        return MacroSparsity(
            sse_partitions_untouched=float(np.mean(untouched)) if untouched else None,
            moba_keys_skipped=float(np.mean(skipped)) if skipped else None,
        )

    def cycles(self) -> Cycles:
        """The cycles section."""
        by_layer, counters = [], Counters()
        by_instruction: dict[str, InstructionCost] = {}
        executed: dict[str, int] = {}
        computed, elapsed = dict.fromkeys(CORES, 0), dict.fromkeys(CORES, 0)
        for tally in self.programs:
            mine = {core: tally.cycles(core) for core in CORES}
            dram = self._dram_cycles(tally)
            for core in CORES:
                computed[core] += mine[core]
                elapsed[core] += max(mine[core], dram)
            counters.add(tally.counters)
            counters.row_fills += self._row_fills(tally)
            for entry in tally.entries:
                known = by_instruction.setdefault(entry.label, InstructionCost(label=entry.label))
                known.add(entry.cycles, entry.counters)
                executed[entry.label] = executed.get(entry.label, 0) + self.tokens
            by_layer.append(
                LayerCycles(
                    layer=self._shown_index(tally),
                    kind=tally.block.kind,
                    **mine,
                    dram=dram,
                    bound="dram" if dram > mine["spiking"] else "compute",
                    bound_dense="dram" if dram > mine["dense"] else "compute",
                )
            )
        return Cycles(
            spiking=computed["spiking"],
            dense=computed["dense"],
            skipping=computed["skipping"],
            elapsed=Whole(**elapsed),
            per_token=Rates(**{core: cycles / self.tokens for core, cycles in computed.items()}),
            by_layer=tuple(by_layer),
            by_instruction={
                label: InstructionCycles(**entry.cycles, executed=executed[label])
                for label, entry in by_instruction.items()
            },
            counters={name: _counter(counters, name) for name in _COUNTER_MEANINGS},
        )

    def _shown_index(self, tally: ProgramTally) -> int:
        """Layers count from 0; what is none goes with the layer behind it, and after the last has their number."""
        before = self.programs[: self.programs.index(tally)]
        return (
            sum(t.block.layer is not None for t in before) if tally.block.layer is None else tally.block.layer
        )

    def cores(self) -> Cores:
        """The cores section."""
        hardware = fitted(self.hardware) if self.sized is None else self.sized
        placements = [tally.placement for tally in self.programs]
        by_layer = tuple(
            LayerPlacement(
                layer=self._shown_index(tally),
                kind=tally.block.kind,
                cores=tally.placement.cores,
                weight_bytes=tally.placement.weight_bytes,
                resident=tally.placement.resident,
                occupancy=self._occupancy([tally]),
            )
            for tally in self.programs
            if tally.placement.weight_bytes
        )
        layers = [
            tally.placement.resident
            for tally in self.programs
            if tally.block.layer is not None and tally.placement.weight_bytes
        ]
        cycles = self.cycles()
        rows = sum(p.cache_bytes for p in placements if p.cache_resident) + sum(
            p.row_bytes for p in placements if p.resident
        )
        states = sum(p.state_bytes for p in placements if p.state_resident)
        return Cores(
            used=max(p.cores for p in placements),
            available=hardware.system.cores,
            occupancy=self._occupancy(self.programs),
            memories=(
                MemoryUse(name="row memory", used=rows, available=hardware.row_memory_bytes, unit="bytes"),
                MemoryUse(
                    name="state memory", used=states, available=hardware.state_memory_bytes, unit="bytes"
                ),
                MemoryUse(
                    name="vector memory",
                    used=self.vector_words,
                    available=int(hardware.memory.vector_words),
                    unit="words",
                ),
                MemoryUse(
                    name="program memory",
                    used=self.program_words,
                    available=int(hardware.memory.program_words),
                    unit="words",
                ),
            ),
            resident_layers=sum(layers),
            streamed_layers=len(layers) - sum(layers),
            bound="dram" if cycles.elapsed.spiking > 2 * cycles.spiking else "compute",
            by_layer=by_layer,
        )

    def _occupancy(self, tallies: list[ProgramTally]) -> Rates:
        """Way slots that carry an operand ÷ all way slots while the programs compute, all cores together."""
        slots = self.hardware.array.ways * self.hardware.system.cores

        def share(core: CoreName) -> float:
            cycles = sum(tally.cycles(core) for tally in tallies)
            busy = sum(tally.counters.of(core).events for tally in tallies)
            return busy / (slots * cycles) if cycles else 0.0

        return Rates(**{core: share(core) for core in CORES})

    def throughput(self) -> tuple[Rates, Rates]:
        """Tokens per second at the clock, and microseconds per token."""
        elapsed = self.cycles().elapsed
        clock = self.hardware.clock.frequency_hz
        per_second = {core: clock * self.tokens / max(getattr(elapsed, core), 1) for core in CORES}
        return Rates(**per_second), Rates(**{core: 1e6 / rate for core, rate in per_second.items()})

    def energy(self) -> EnergyEstimate | None:
        """The estimate by component, from the rates that come with the package; None if there are none."""
        hardware = fitted(self.hardware) if self.sized is None else self.sized
        energies = nearest(shipped_energies(), hardware)
        if energies is None:
            return None
        counters, elapsed = Counters(), self.cycles().elapsed
        for tally in self.programs:
            counters.add(tally.counters)
            counters.row_fills += self._row_fills(tally)
        usage = Usage(
            tokens=self.tokens,
            cores=hardware.system.cores,
            counters=counters,
            costs=[entry for tally in self.programs for entry in tally.entries],
            elapsed={core: getattr(elapsed, core) for core in CORES},
            dram_bytes=sum(map(self._dram_bytes, self.programs)),
        )
        return estimate(energies, usage, hardware)

    @property
    def state_overflows(self) -> int:
        """SSE state words that wrapped, all layers."""
        return sum(tally.overflows for tally in self.programs)

    def limits(self) -> tuple[str, ...]:
        """What the model of time leaves out."""
        return _LIMITS


def _counter(counters: Counters, name: str) -> Counter:
    """The twins' events are rows read, and stand there."""
    twins: dict[str, int | None] = dict.fromkeys(CORES[1:])
    if name in _SAME:
        twins = dict.fromkeys(CORES[1:], getattr(counters, name))
    elif name != "events":
        twins = {core: getattr(counters.of(core), name) for core in CORES[1:]}
    return Counter(spiking=getattr(counters, name), meaning=_COUNTER_MEANINGS[name], **twins)


def _decays(program: Program) -> int:
    """States that a token touches."""
    return sum(isinstance(i, Decay) for i in program.instructions())


def _histogram(spikes: SpikeStatistics) -> NDArray[np.int64]:
    histogram = np.zeros(128, np.int64)
    histogram[spikes.magnitudes] = spikes.occurrences
    return histogram
