"""`add_comparison`: everything `spikesim compare` measures, added to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.baselines import fp8_baseline, fp8_job, fp16_baseline, int8_baseline
from spikesim.compare.bases import core_basis, equal_throughput_basis, row_memory_basis, unit_basis
from spikesim.compare.break_even import NOTE, WorkOrigin, break_even
from spikesim.compare.energies import energies_of
from spikesim.compare.measure import array_job, core_job, measured
from spikesim.compare.operations import RULE, amount_of, event_energies, operation_energies
from spikesim.compare.settings import STREAMS, CompareSettings
from spikesim.compare.technology import Technology
from spikesim.compare.work import Work, array_cycles, prepare
from spikesim.cores import CORES, CoreName
from spikesim.cycle.delivery import Counts, gather_cycles, skip_cycles
from spikesim.hardware import HardwareConfig
from spikesim.power_models.constants import MEMORY, PUBLISHED
from spikesim.results.comparison import Basis, BreakEvenPoint, Comparison, Design, SourcedValue
from spikesim.results.report import Report
from spikesim.rtl.config import datapath
from spikesim.rtl.emit import resident_config
from spikesim.run.runner import Stopwatch
from spikesim.run.tokens import InputRequest
from spikesim.support.arithmetic import ceil_div
from spikesim.support.progress import SILENT, Progress

_LIMITS = (
    "Netlists are mapped, sized and buffered but neither placed nor routed: wires have the library's default wire "
    "load and no resistance, and there is no clock tree (clock gates, clock pins and their wires are counted).",
    "One corner: that of the library file. Memories are modelled, not compiled; their kind of transistor, low "
    "operating power, is an assumption that moves their leakage by decades.",
    "Glitches come from a sample of cycles, simulated with each cell's delays; all other activity is of every cycle.",
    "Every stream starts with empty caches and states, so that attention reads few keys.",
)

MAPPED_INPUT = InputRequest()
"""The tokens that a model was mapped with."""


def add_comparison(
    report: Report,
    folder: Path,
    *,
    hardware: HardwareConfig,
    liberty: Path | None,
    settings: CompareSettings,
    request: InputRequest = MAPPED_INPUT,
    progress: Progress = SILENT,
) -> Report:
    """The report with area, timing, power and energy of what `map_model` wrote into `folder`.

    `request`: what the report ran, if that was not what the folder was mapped with.
    Raises a SpikesimError for whatever the user can put right, NumericError if a netlist computes something else.
    """
    stopwatch = Stopwatch()
    technology = Technology.of(liberty, float(hardware.clock.frequency_hz), use_cache=settings.use_cache)
    with stopwatch.stage("prepare"):
        work = prepare(folder, hardware, request, tokens=settings.tokens)
    with stopwatch.stage("designs"):
        found = _measure(work, technology, progress)
    points: list[BreakEvenPoint] = []
    if not settings.quick:
        with stopwatch.stage("break-even"):
            origin = None
            if report.model.item == "token":  # samples are not kept as the numbers they were
                checkpoint = Path(report.model.path)
                origin = WorkOrigin(checkpoint=checkpoint, tokens=work.tokens.ids, ranges=work.ranges)
            points = break_even(work, technology, origin, report.model.parameters, progress)
    bases = _bases(work, found, technology)
    comparison = _comparison(report, work, technology, found, bases, points, stopwatch)
    designs = {design.name: design.timing for design in comparison.designs}
    return report.model_copy(
        update={
            "area_um2": {basis.name: basis.area_um2 for basis in bases},
            "power_mw": {basis.name: basis.power_mw for basis in bases},
            "energy_per_token_uj": {basis.name: basis.energy_per_token_uj for basis in bases},
            "reduction": {basis.name: basis.reduction for basis in bases},
            "timing": designs,
            "constants": _constants(technology),
            "comparison": comparison,
        }
    )


_NAMES: dict[CoreName, str] = {"spiking": "spiking", "dense": "dense", "skipping": "dense_skip"}
_ARRAYS: dict[CoreName, str] = {
    "spiking": "spiking array and encoder",
    "dense": "dense array and encoder",
    "skipping": "dense array that skips zeros",
}
_CORES: dict[CoreName, str] = {
    "spiking": "spiking core",
    "dense": "dense core",
    "skipping": "dense core that skips zeros",
}


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """All designs but break-even's. `plane`: the arrays, spiking in plane order, where that is not the hardware's."""

    arrays: dict[CoreName, Design]
    cores: dict[CoreName, Design]
    plane: dict[CoreName, Design] | None
    fp8: Design

    @property
    def designs(self) -> tuple[Design, ...]:
        """Each once."""
        plane = () if self.plane is None else (self.plane["spiking"],)
        return (*self.cores.values(), *self.arrays.values(), *plane, self.fp8)


def _measure(work: Work, technology: Technology, progress: Progress) -> _Measured:
    """Cores first: their simulations take longest."""
    configs = {core: resident_config(work.hardware, work.layout, **datapath(core)) for core in CORES}
    jobs = [
        core_job(
            configs[core],
            technology,
            work,
            name=f"{_NAMES[core]}_core",
            label=_CORES[core],
            progress=progress,
        )
        for core in CORES
    ]
    jobs += [
        array_job(
            replace(configs[core], state_depth=0),
            technology,
            work.gathers,
            name=f"{_NAMES[core]}_array",
            label=_ARRAYS[core],
            progress=progress,
        )
        for core in CORES
    ]
    jobs.append(fp8_job(technology, work.gathers, work.hardware.array.ways, progress))
    if work.hardware.array.order != "plane":
        jobs.append(
            array_job(
                replace(configs["spiking"], state_depth=0, order="plane"),
                technology,
                work.gathers,
                name="spiking_plane_array",
                label="spiking array and encoder, plane order",
                progress=progress,
            )
        )
    with progress.stage("designs", len(jobs)) as advance:
        found = measured(jobs, advance)
    cores, arrays = (dict(zip(CORES, found[i : i + 3], strict=True)) for i in (0, 3))
    plane = arrays | {"spiking": found[7]} if len(found) > 7 else None
    return _Measured(cores=cores, arrays=arrays, fp8=found[6], plane=plane)


def _bases(work: Work, found: _Measured, technology: Technology) -> tuple[Basis, ...]:
    frequency = technology.frequency_hz
    cycles = _gather_cycles(work)
    in_plane: tuple[Basis, ...] = ()
    if found.plane is not None:
        # What the run counted was in another order: of plane order, the last token's gathers are counted.
        in_plane = (unit_basis(found.plane, _plane_cycles(work), frequency, name="unit_plane"),)
    return (
        unit_basis(found.arrays, cycles, frequency, published=found.plane is None),
        *in_plane,
        equal_throughput_basis(found.arrays, cycles, frequency),
        row_memory_basis(found.arrays, cycles, frequency),
        core_basis(found.cores, frequency),
    )


def _gather_cycles(work: Work) -> dict[CoreName, float]:
    """Cycles in which the arrays take operands, in all gathers: those of scatters are the state update's."""
    gathers = [entry.counters for label, entry in work.by_kind.items() if label.startswith("gather")]
    return {core: float(sum(counters.of(core).array_cycles for counters in gathers)) for core in CORES}


def _plane_cycles(work: Work) -> dict[CoreName, float]:
    """Cycles in which the arrays take operands in the work's gathers, spiking in plane order."""
    hardware = work.hardware.replace(**{"array.order": "plane"})
    ways, lanes = hardware.array.ways, hardware.array.lanes
    of_counts: dict[CoreName, Callable[[Counts], NDArray[np.int64]]] = {
        "spiking": lambda counts: gather_cycles(counts, hardware),
        "dense": lambda counts: np.full(len(counts), ceil_div(counts.shape[1], ways), np.int64),
        "skipping": lambda counts: skip_cycles(counts, hardware),
    }
    return {core: float(array_cycles(work.gathers, lanes, of_counts[core])) for core in CORES}


def _comparison(
    report: Report,
    work: Work,
    technology: Technology,
    found: _Measured,
    bases: tuple[Basis, ...],
    points: list[BreakEvenPoint],
    stopwatch: Stopwatch,
) -> Comparison:
    frequency, array = technology.frequency_hz, work.hardware.array
    amount = amount_of(work.gathers, work.hardware)
    named: tuple[tuple[CoreName, float, str, str], ...] = (
        ("spiking", amount.additions, "spiking, per event", "the array of this comparison: one addition"),
        (
            "dense",
            amount.products,
            "dense INT8",
            "the twin of this comparison: Booth multipliers, gated clocks",
        ),
        (
            "skipping",
            amount.products,
            "dense INT8 that skips zeros",
            "the same, with lists of what is not zero; per product, those with 0 included",
        ),
    )
    int8 = (
        int8_baseline(
            found.arrays[core],
            count,
            ways=array.ways,
            lanes=array.lanes,
            label=label,
            note=note,
            frequency_hz=frequency,
        )
        for core, count, label, note in named
    )
    return Comparison(
        clock_mhz=frequency / 1e6,
        library=technology.facts,
        tokens=f"{work.words.shape[0]} tokens of each of {STREAMS} pieces of the input ({report.input.kind})",
        bases=bases,
        designs=found.designs,
        baselines=(
            *int8,
            fp8_baseline(found.fp8, ways=array.ways, frequency_hz=frequency),
            fp16_baseline(),
        ),
        operations=tuple(operation_energies(work, found.cores, frequency)),
        events=tuple(event_energies(found.arrays, found.cores, amount, frequency)),
        break_even=tuple(points),
        energies=energies_of(work, found.arrays, found.cores, technology, report),
        notes=(
            *_LIMITS,
            RULE,
            *((NOTE,) if points else ()),
            *technology.notes,
            *work.notes,
        ),
        seconds=stopwatch.seconds,
    )


def _constants(technology: Technology) -> tuple[SourcedValue, ...]:
    return (*technology.constants, *MEMORY, *PUBLISHED)
