"""`add_comparison`: everything `spikesim compare` measures, added to a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spikesim.compare.baselines import fp8_baseline, fp8_design, fp16_baseline, int8_baseline
from spikesim.compare.bases import (
    core_basis,
    equal_throughput_basis,
    memory_note,
    unit_basis,
    with_other,
)
from spikesim.compare.break_even import NOTE, WorkOrigin, break_even
from spikesim.compare.measure import measure_array, measure_core
from spikesim.compare.operations import RULE, amount_of, event_energies, operation_energies
from spikesim.compare.settings import STREAMS, CompareSettings
from spikesim.compare.technology import Technology
from spikesim.compare.work import Work, array_cycles, prepare
from spikesim.cycle.model import gather_cycles, skip_cycles
from spikesim.hardware import HardwareConfig
from spikesim.power_models.constants import MEMORY, PUBLISHED
from spikesim.results.comparison import Basis, BreakEvenPoint, Comparison, Design, SourcedValue
from spikesim.results.report import Report
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.emit import resident_config
from spikesim.run.runner import Stopwatch
from spikesim.run.tokens import InputRequest
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
    with stopwatch.stage("arrays"):
        arrays = _arrays(work, technology, progress)
        skipping = _skipping(work, technology, progress)
        fp8 = fp8_design(technology, work.gathers, work.hardware.array.ways, progress)
    with stopwatch.stage("cores"):
        cores = _cores(work, technology, progress)
    points: list[BreakEvenPoint] = []
    if not settings.quick:
        with stopwatch.stage("break-even"):
            origin = WorkOrigin(
                checkpoint=Path(report.model.path), tokens=work.tokens.ids, ranges=work.ranges
            )
            points = break_even(work, technology, origin, report.model.parameters, progress)
    bases = _bases(report, work, arrays, skipping, cores, technology)
    comparison = _comparison(
        report, work, technology, arrays, (skipping, fp8), cores, bases, points, stopwatch
    )
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


def _configs(work: Work) -> tuple[CoreConfig, CoreConfig]:
    return (
        resident_config(work.hardware, work.layout),
        resident_config(work.hardware, work.layout, dense=True),
    )


def _skipping(work: Work, technology: Technology, progress: Progress) -> Design:
    """The twin's array with an encoder that lists what is not zero."""
    return measure_array(
        replace(_configs(work)[1], state_depth=0, skip_zeros=True),
        technology,
        work.gathers,
        name="dense_skip_array",
        label="dense array that skips zeros",
        progress=progress,
    )


def _skip_ratio(work: Work) -> float:
    """Cycles in which the array takes operands, spiking ÷ dense without zeros, over the gathers' chunks."""
    hardware, lanes = work.hardware, work.hardware.array.lanes
    spiking = array_cycles(work.gathers, lanes, lambda counts: gather_cycles(counts, hardware))
    return spiking / array_cycles(work.gathers, lanes, lambda counts: skip_cycles(counts, hardware))


def _arrays(work: Work, technology: Technology, progress: Progress) -> tuple[Design, Design]:
    spiking, dense = (
        measure_array(
            replace(config, state_depth=0),
            technology,
            work.gathers,
            name=f"{name}_array",
            label=f"{name} array and encoder",
            progress=progress,
        )
        for name, config in zip(("spiking", "dense"), _configs(work), strict=True)
    )
    return spiking, dense


def _cores(work: Work, technology: Technology, progress: Progress) -> tuple[Design, Design]:
    spiking, dense = (
        measure_core(config, technology, work, name=f"{name}_core", label=f"{name} core", progress=progress)
        for name, config in zip(("spiking", "dense"), _configs(work), strict=True)
    )
    return spiking, dense


def _bases(
    report: Report,
    work: Work,
    arrays: tuple[Design, Design],
    skipping: Design,
    cores: tuple[Design, Design],
    technology: Technology,
) -> tuple[Basis, ...]:
    frequency = technology.frequency_hz
    cycles = report.cycles.counters["array_cycles"]
    ratio = cycles.spiking / (cycles.dense or 1)
    other, slower = "dense that skips zeros", _skip_ratio(work)
    return (
        with_other(
            unit_basis(*arrays, ratio, frequency),
            other,
            unit_basis(arrays[0], skipping, slower, frequency),
        ),
        with_other(
            equal_throughput_basis(*arrays, ratio, frequency),
            other,
            equal_throughput_basis(arrays[0], skipping, slower, frequency),
        ),
        core_basis(*cores, frequency),
    )


def _comparison(
    report: Report,
    work: Work,
    technology: Technology,
    arrays: tuple[Design, Design],
    others: tuple[Design, Design],
    cores: tuple[Design, Design],
    bases: tuple[Basis, ...],
    points: list[BreakEvenPoint],
    stopwatch: Stopwatch,
) -> Comparison:
    frequency = technology.frequency_hz
    array = work.hardware.array
    amount = amount_of(work.gathers, work.hardware.numerics.coding, array.lanes)
    skipping, fp8 = others
    per_event, per_product, per_other_product = (
        int8_baseline(
            design, count, ways=array.ways, lanes=array.lanes, label=label, note=note, frequency_hz=frequency
        )
        for design, count, label, note in (
            (arrays[0], amount.additions, "spiking, per event", "the array of this comparison: one addition"),
            (
                arrays[1],
                amount.products,
                "dense INT8",
                "the twin of this comparison: Booth multipliers, gated clocks",
            ),
            (
                skipping,
                amount.products,
                "dense INT8 that skips zeros",
                "the same, with lists of what is not zero; per product, those with 0 included",
            ),
        )
    )
    return Comparison(
        clock_mhz=frequency / 1e6,
        library=technology.facts,
        tokens=f"{work.words.shape[0]} tokens of each of {STREAMS} pieces of the input ({report.input.kind})",
        bases=bases,
        designs=(*cores, *arrays, skipping, fp8),
        baselines=(
            per_event,
            per_product,
            per_other_product,
            fp8_baseline(fp8, ways=array.ways, frequency_hz=frequency),
            fp16_baseline(),
        ),
        operations=tuple(operation_energies(work, *cores, frequency)),
        events=tuple(event_energies(arrays, cores, amount, frequency)),
        break_even=tuple(points),
        notes=(
            memory_note(*arrays, bases[1].cycle_ratio),
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
