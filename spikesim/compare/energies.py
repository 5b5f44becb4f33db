"""`energies_of`: what every component of the core takes per event, row read, word or cycle, for estimates of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikesim.compare import parts
from spikesim.compare.bases import Designs, parts_of
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork, Work, array_cycles
from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.cycle.delivery import gather_cycles, gather_reads, skip_cycles
from spikesim.hardware import HardwareConfig
from spikesim.power_models.memories.scaling import node_nm
from spikesim.results.base import Rates
from spikesim.results.comparison import Design
from spikesim.results.energy import Counted, Energies, EnergyRate
from spikesim.results.report import Report
from spikesim.run import energy
from spikesim.run.energy import Usage, array_of, estimate, memories_of
from spikesim.spikes.digits import digits
from spikesim.support.arithmetic import ceil_div

_OF_ARRAYS: dict[str, tuple[Counted, tuple[str, ...]]] = {
    energy.ARRAY: ("events", (parts.ARRAY, parts.OFFSET)),
    energy.ENCODER: ("events", (parts.ENCODER, parts.ENCODER_MEMORY)),
    energy.ADDRESSING: ("array_cycles", (parts.ADDRESSING,)),
    energy.ROWS: ("row_reads", (parts.ROW_MEMORY,)),
}
"""Measured while the array alone gathers: nothing else moves there."""

_OF_CORES: dict[str, tuple[Counted, tuple[str, ...]]] = {
    energy.UPDATE: ("update_cycles", (parts.UPDATE, parts.UPDATE_MEMORY)),
    energy.STATE: ("update_cycles", (parts.STATE_MEMORY,)),
    energy.VECTOR: ("vector_words", (parts.VECTOR_MEMORY,)),
    energy.PROGRAM: ("cycles", (parts.PROGRAM_MEMORY,)),
    energy.POINTWISE: ("pointwise_words", (parts.POINTWISE,)),
    energy.CONTROL: ("cycles", (parts.CONTROL,)),
}
"""Measured while whole tokens run."""


def energies_of(
    work: Work, arrays: Designs, cores: Designs, technology: Technology, report: Report
) -> Energies:
    """Rates of all cores that were measured, and how far their estimate is off for the same tokens.

    What the array's parts take comes from the array alone, so that the estimate of the whole core, where attention
    and states gather, too, and where the array mostly rests, is one.
    """
    hardware, frequency = work.hardware, technology.frequency_hz
    usage = usage_of(work)
    gathered = Usage(
        tokens=1, cores=1, counters=gather_counters(work.gathers, hardware), costs=(), elapsed={}
    )
    rates = [
        _rate(name, per, names, arrays, cores, gathered, frequency)
        for name, (per, names) in _OF_ARRAYS.items()
    ]
    rates += [
        _rate(name, per, names, cores, cores, usage, frequency) for name, (per, names) in _OF_CORES.items()
    ]
    timing = cores["spiking"].timing
    energies = Energies(
        command=report.command,
        created=report.created,
        version=report.versions["spikesim"],
        model=report.model.name,
        library=technology.library.name,
        node=f"{node_nm(technology.node.node):g} nm",
        voltage_v=technology.library.voltage,
        clock_mhz=frequency / 1e6,
        array=array_of(hardware),
        memories=memories_of(hardware),
        memory_access_ns=(timing.memory_access_ns or 0.0) + (timing.memory_slack_ns or 0.0),
        rates=tuple(rates),
        error=Rates(spiking=0, dense=0),
    )
    found = estimate(energies, usage, hardware).total_uj
    errors = {
        core: getattr(found, core) / (1e3 * parts_of(design).power * design.cycles_per_token / frequency) - 1
        for core, design in cores.items()
    }
    return energies.model_copy(update={"error": Rates(**errors)})


def usage_of(work: Work) -> Usage:
    """All tokens of all streams."""
    tokens = next(iter(work.cycles.values())).size
    counters = Counters()
    for cost in work.by_kind.values():
        counters.add(cost.counters)
    return Usage(
        tokens=tokens,
        cores=1,
        counters=counters,
        costs=tuple(work.by_kind.values()),
        elapsed={core: float(cycles.sum()) for core, cycles in work.cycles.items()},
    )


def gather_counters(gathers: Sequence[GatherWork], hardware: HardwareConfig) -> Counters:
    """What the arrays count in these gathers, mean over the streams and rounded."""
    lanes, coding = hardware.array.lanes, hardware.numerics.coding
    ways = hardware.array.ways
    streams = len(gathers[0].counts)
    totals = dict.fromkeys(("events", "row_reads", "row_reads_dense", "row_reads_skipping"), 0)
    for gather in gathers:
        chunks = ceil_div(gather.matrix.shape[0], lanes)
        totals["events"] += chunks * int((digits(gather.counts, coding) != 0).sum())
        for core, rows in gather_reads(gather.counts, hardware).items():
            totals["row_reads" if core == "spiking" else f"row_reads_{core}"] += chunks * int(rows.sum())
    totals["array_cycles"] = array_cycles(gathers, lanes, lambda counts: gather_cycles(counts, hardware))
    totals["array_cycles_dense"] = array_cycles(
        gathers, lanes, lambda counts: np.full(len(counts), ceil_div(counts.shape[1], ways), np.int64)
    )
    totals["array_cycles_skipping"] = array_cycles(
        gathers, lanes, lambda counts: skip_cycles(counts, hardware)
    )
    return Counters(**{name: round(total / streams) for name, total in totals.items()})


def _rate(
    name: str,
    per: Counted,
    names: tuple[str, ...],
    run: Designs,
    cores: Designs,
    usage: Usage,
    frequency_hz: float,
) -> EnergyRate:
    """`run`: designs whose power this is, while they did what `usage` says; leakage and area are those of the cores."""
    return EnergyRate(
        component=name,
        per=per,
        dynamic_pj=_rates(
            {
                core: 1e9
                * _dynamic_mw(design, names)
                * design.cycles_per_token
                / frequency_hz
                / max(usage.count(per, core), 1)
                for core, design in run.items()
                if core in cores
            }
        ),
        leakage_mw=_rates({core: _leakage_mw(design, names) for core, design in cores.items()}),
        area_um2=_rates({core: parts_of(design, names).area for core, design in cores.items()}),
    )


def _rates(values: Mapping[CoreName, float]) -> Rates:
    return Rates(**{core: values[core] for core in CORES if core in values})


def _dynamic_mw(design: Design, names: tuple[str, ...]) -> float:
    return parts_of(design, names).power - _leakage_mw(design, names)


def _leakage_mw(design: Design, names: tuple[str, ...]) -> float:
    return sum(unit.power.leakage for unit in design.units if unit.unit in names)
