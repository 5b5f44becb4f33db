"""`estimate`: energy per token of a model on any hardware, and its area, from rates that were measured on gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.hardware import HardwareConfig
from spikesim.power_models.memories.model import Dram, Sram, dram_energy_j, sram_within
from spikesim.program.sizes import INSTRUCTION_WORDS, fitted
from spikesim.results.base import Rates
from spikesim.results.energy import Counted, Energies, EnergyEstimate, EnergyRate
from spikesim.rtl.memory import macro_bits
from spikesim.run.observers import InstructionCost
from spikesim.support.arithmetic import ceil_div

ARRAY, ENCODER, ADDRESSING = "array", "encoder", "row addressing, drain"
UPDATE = "state update"
ROWS, STATE, VECTOR, PROGRAM = "row memory", "state memory", "vector memory", "program memory"
POINTWISE, CONTROL = "pointwise", "control, host"
FILLS, LEAKAGE, DRAM = "row fills", "leakage", "DRAM"

VECTOR_BANKS = "vector banks"
WORDS = "pointwise words"

_UPDATES = ("scatter", "decay", "store", "pool")
_DRAM_KIND: Dram = "lpddr4"
_WORD_BITS = 32


@dataclass(kw_only=True)
class Usage:
    """What some tokens did: sums over all of them.

    `cores`: that work at a time. `cycles`: per instruction those of the slowest core. `elapsed`: from the first to the
    last, waiting for DRAM included. `dram_bytes`: moved.
    """

    tokens: int
    cores: int
    counters: Counters
    costs: Sequence[InstructionCost]
    elapsed: Mapping[CoreName, float]
    dram_bytes: float = 0.0

    def count(self, what: Counted, core: CoreName) -> float:
        """How often per token, all cores together; cores that share an instruction each take its cycles."""
        total: int
        if what in ("events", "row_reads", "array_cycles"):
            total = getattr(self.counters.of(core), what)
        elif what in ("pointwise_words", "vector_words"):  # the same on all cores
            total = getattr(self.counters, what)
        else:
            counted_costs = (c for c in self.costs if what == "cycles" or c.label in _UPDATES)
            total = self.cores * sum(cost.cycles[core] for cost in counted_costs)
        return total / self.tokens


def estimate(energies: Energies, usage: Usage, hardware: HardwareConfig) -> EnergyEstimate:
    """µJ per token of every component, on all cores whose rates are known."""
    models = _Memories(energies, hardware)
    known = [core for core in CORES if all(_of(r.dynamic_pj, core) is not None for r in energies.rates)]
    components: dict[str, dict[CoreName, float]] = {}
    growth = {rate.component: _growth(rate, energies, hardware, models) for rate in energies.rates}
    for rate in energies.rates:
        grown = growth[rate.component]
        components[rate.component] = {
            core: 1e-6 * usage.count(rate.per, core) * (_of(rate.dynamic_pj, core) or 0.0) * grown.dynamic
            for core in known
        }
    seconds = {
        core: usage.elapsed[core] / usage.tokens / hardware.clock.frequency_hz * usage.cores for core in known
    }
    components[LEAKAGE] = {
        core: sum(
            1e3 * (_of(rate.leakage_mw, core) or 0.0) * growth[rate.component].leakage
            for rate in energies.rates
        )
        * seconds[core]
        for core in known
    }
    # A count that is stored writes one of the macros that hold a row.
    rows = usage.counters.row_fills + usage.counters.row_stores / models.row_macros
    components[FILLS] = dict.fromkeys(known, 1e6 * rows / usage.tokens * models.here[ROWS].write_energy_j)
    components[DRAM] = dict.fromkeys(known, 1e6 * dram_energy_j(usage.dram_bytes / usage.tokens, _DRAM_KIND))
    areas = {
        rate.component: {
            core: 1e-6 * (_of(rate.area_um2, core) or 0.0) * growth[rate.component].area * usage.cores
            for core in known
        }
        for rate in energies.rates
    }
    total = {core: sum(component[core] for component in components.values()) for core in known}
    return EnergyEstimate(
        components={name: Rates(**energy) for name, energy in components.items()},
        total_uj=Rates(**total),
        areas_mm2={name: Rates(**area) for name, area in areas.items()},
        total_mm2=Rates(**{core: sum(area[core] for area in areas.values()) for core in known}),
        error=energies.error,
        source=(
            f"rates measured on gates by “{energies.command}”, {energies.created[:10]}, spikesim {energies.version}: "
            f"{energies.library}, {energies.node}, {energies.voltage_v:g} V, {energies.clock_mhz:g} MHz, "
            f"{_array(energies)}"
        ),
        notes=tuple(_notes(energies, hardware)),
    )


def nearest(measured: Sequence[Energies], hardware: HardwareConfig) -> Energies | None:
    """The rates of the design that differs in the fewest settings of the array; None without any."""
    here = array_of(hardware)
    return min(
        measured, key=lambda entry: sum(entry.array.get(k) != v for k, v in here.items()), default=None
    )


def array_of(hardware: HardwareConfig) -> dict[str, int | str]:
    """The settings that rates depend on, beside the sizes of memories."""
    array = hardware.array
    return {
        "ways": array.ways,
        "lanes": array.lanes,
        "order": array.order,
        "coding": hardware.numerics.coding,
        WORDS: hardware.pointwise.words,
    }


def memories_of(hardware: HardwareConfig) -> dict[str, int]:
    """Words of every memory, of one bank where it has banks, and the number of banks of vector memory."""
    hardware = fitted(hardware)
    memory, banks = hardware.memory, hardware.vector_banks
    return {
        ROWS: hardware.rows_per_bank,
        STATE: hardware.state_rows_per_bank,
        VECTOR: ceil_div(int(memory.vector_words), banks),
        VECTOR_BANKS: banks,
        PROGRAM: max(1, int(memory.program_words) // INSTRUCTION_WORDS),
    }


@dataclass(frozen=True, kw_only=True)
class _Growth:
    """Factors by which a rate changes from the measured hardware to this one."""

    dynamic: float
    leakage: float
    area: float


class _Memories:
    """Models of the memories as they were measured, `there`, and as they are, `here`: of one bank."""

    def __init__(self, energies: Energies, hardware: HardwareConfig) -> None:
        within = 1e-9 * energies.memory_access_ns

        def models(words: Mapping[str, int], lanes: int) -> dict[str, Sram]:
            depth = {name: max(1, words[name]) for name in (ROWS, STATE, VECTOR, PROGRAM)}

            def cut(name: str, width: int, **more: Any) -> Sram:
                bits = macro_bits(width, depth[name])
                return sram_within(within, depth[name], width, macro_bits=bits, **more).whole

            return {
                ROWS: cut(ROWS, 8 * lanes, shared_port=True, write_granule=8),
                STATE: cut(STATE, 16 * lanes),
                VECTOR: sram_within(within, depth[VECTOR], _WORD_BITS, read_ports=2).whole,
                PROGRAM: cut(PROGRAM, _WORD_BITS * INSTRUCTION_WORDS, shared_port=True),
            }

        here, lanes = memories_of(hardware), hardware.array.lanes
        self.there = models(energies.memories, int(energies.array["lanes"]))
        self.here = models(here, lanes)
        self.vector_banks = here[VECTOR_BANKS] / energies.memories[VECTOR_BANKS]
        self.row_macros = 8 * lanes // macro_bits(8 * lanes, max(1, here[ROWS]))


def _growth(rate: EnergyRate, energies: Energies, hardware: HardwareConfig, models: _Memories) -> _Growth:
    """Wider arrays take more per event, larger memories more per access, by their model; the rest stays."""
    lanes = hardware.array.lanes / int(energies.array["lanes"])
    ways = hardware.array.ways / int(energies.array["ways"])
    name = rate.component
    if name in models.here:
        here, there = models.here[name], models.there[name]
        banks = ways if name in (ROWS, STATE) else models.vector_banks if name == VECTOR else 1.0
        # A cycle of a state's update works on all banks.
        at_once = ways if name == STATE else 1.0
        return _Growth(
            dynamic=at_once * here.read_energy_j / there.read_energy_j,
            leakage=banks * here.leakage_w / there.leakage_w,
            area=banks * here.area_um2 / there.area_um2,
        )
    words = int(array_of(hardware)[WORDS]) / int(energies.array[WORDS])
    sizes = dict.fromkeys((ARRAY, ADDRESSING, UPDATE), lanes * ways) | {ENCODER: ways, POINTWISE: words}
    size = sizes.get(name, 1.0)
    dynamic = size if name == UPDATE else lanes if name in (ARRAY, ADDRESSING) else 1.0
    return _Growth(dynamic=dynamic, leakage=size, area=size)


def _notes(energies: Energies, hardware: HardwareConfig) -> list[str]:
    notes = []
    here = array_of(hardware)
    apart = [f"{name} {value}" for name, value in here.items() if energies.array.get(name) != value]
    if apart:
        notes.append(f"The rates are of {_array(energies)}, this hardware has {', '.join(apart)}.")
    notes.append(
        "Dynamic energy of the array, the drain and the state update grows with the lanes, that of memories with their "
        "size by the memory model, and so do leakage and area, and those of the pointwise unit with its words; leakage "
        "is of all cores for the whole time, waiting for DRAM included."
    )
    notes.append(
        f"DRAM: {1e12 * dram_energy_j(1 / 8, _DRAM_KIND):.3g} pJ a bit ({_DRAM_KIND.upper()}), every byte moved; "
        "its refresh and standby, the network between cores, clock trees and pads are in no component."
    )
    return notes


def _array(energies: Energies) -> str:
    array = energies.array
    return (
        f"{array['ways']} ways × {array['lanes']} lanes, {array['order']} order, {array['coding']}".replace(
            "_", " "
        )
    )


def _of(rates: Rates, core: CoreName) -> float | None:
    value: float | None = getattr(rates, core)
    return value
