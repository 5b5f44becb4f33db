"""`GateRun`: what a run on gates counted; `unit_figures`: the area and power of a design's parts under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.memories import MemoryMacro, memory_power
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.gates.simulator import MemoryCounts
from spikesim.power_models.gates.waveforms import Delays, Glitches
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.power.power import PowerResult, power
from spikesim.power_models.timing.analysis import StaticTiming
from spikesim.results.comparison import GlitchShare, Power, UnitFigures

Floats = NDArray[np.float64]


_STEP_S = 5e-12
"""Times in a cycle are multiples of this: at 1 ps twice as slow, and 2 % fewer glitches."""


def delays(timing: StaticTiming, access_s: Mapping[str, float]) -> Delays:
    """What the timed simulation needs; a delay that the library's tables put below 0 (slow inputs) counts as 0."""
    return Delays(arcs=[np.maximum(arcs, 0.0) for arcs in timing.arc_delays], memories=access_s, step=_STEP_S)


@dataclass(frozen=True, kw_only=True)
class GateRun:
    """The activity of some work, in which nothing differed from the simulator.

    * `cycles`: clock cycles of the work, mean over the streams; `activity` and `memories` stand for all streams.
    * `glitches`: of a sample of cycles. `values`: words compared. `tokens`: of all streams.
    """

    activity: Activity
    memories: dict[str, MemoryCounts]
    glitches: Glitches
    cycles: float
    values: int
    tokens: int


def scaled(activity: Activity, factor: float) -> Activity:
    """The same, as if it had lasted `factor` times as long."""
    return Activity(
        cycles=round(activity.cycles * factor),
        toggles=activity.toggles * factor,
        ones=activity.ones * factor,
        clock_pulses=activity.clock_pulses * factor,
    )


def summed(counts: Sequence[dict[str, MemoryCounts]], factors: Sequence[float]) -> dict[str, MemoryCounts]:
    """Accesses of several runs, each times its factor."""
    return {
        name: MemoryCounts(
            reads=np.rint(sum(c[name].reads * f for c, f in zip(counts, factors, strict=True))).astype(
                np.int64
            ),
            writes=round(sum(c[name].writes * f for c, f in zip(counts, factors, strict=True))),
        )
        for name in counts[0]
    }


@dataclass(frozen=True, kw_only=True)
class Figures:
    """`units`: area and power by part, memories last. `glitches`: how much they add, with its spread."""

    units: tuple[UnitFigures, ...]
    glitches: GlitchShare


def unit_figures(
    netlist: Netlist,
    timing: StaticTiming,
    run: GateRun,
    *,
    frequency_hz: float,
    parts: Sequence[str],
    macros: Sequence[MemoryMacro],
) -> Figures:
    """`parts`: of every unit of the netlist, its part; `macros`: one per box, in order."""
    quiet = power(netlist, timing, run.activity, frequency_hz=frequency_hz)
    noisy = power(netlist, timing, run.glitches.added_to(run.activity), frequency_hz=frequency_hz)
    dynamic = noisy.internal_w + noisy.switching_w - quiet.internal_w - quiet.switching_w
    names = list(dict.fromkeys(parts))
    part = np.array([names.index(name) for name in parts], np.int64)[netlist.unit]
    columns = [
        np.bincount(part, weights, len(names))
        for weights in (netlist.area, quiet.leakage_w, quiet.internal_w, quiet.switching_w, dynamic)
    ]
    units = [
        UnitFigures(
            unit=name,
            area_um2=float(area),
            power=Power(
                leakage=1e3 * float(leakage),
                internal=1e3 * float(internal),
                switching=1e3 * float(switching),
                glitch=1e3 * max(float(more), 0.0),
            ),
        )
        for name, area, leakage, internal, switching, more in zip(names, *columns, strict=True)
    ]
    units += memory_power(netlist, macros, run.memories, run.activity.cycles, quiet, frequency_hz)
    return Figures(units=tuple(units), glitches=_glitches(netlist, run, quiet))


def _glitches(netlist: Netlist, run: GateRun, quiet: PowerResult) -> GlitchShare:
    """Dynamic power with glitches ÷ without, every part of the sample by itself: the spread is theirs."""
    energy = _energy_per_toggle(netlist, run.activity, quiet)
    clocked = float((energy * run.activity.toggles).sum()) / run.activity.cycles
    added = ((run.glitches.timed - run.glitches.settled) @ energy) / np.maximum(run.glitches.cycles, 1)
    factors = 1 + added / clocked
    return GlitchShare(
        cycles=int(run.glitches.cycles.sum()), factor=float(factors.mean()), spread=float(factors.std())
    )


def _energy_per_toggle(netlist: Netlist, activity: Activity, quiet: PowerResult) -> Floats:
    """float64[nets], in an arbitrary unit: what the cell that drives a net and the net dissipate per transition."""
    watts = np.zeros(netlist.nets)
    for group in netlist.groups:
        outputs = [group.pin(name) for name in group.cell.outputs]
        for nets in outputs:
            known = nets >= 0
            watts[nets[known]] += (quiet.internal_w + quiet.switching_w)[group.cells[known]] / len(outputs)
    return np.divide(watts, activity.toggles, out=np.zeros(netlist.nets), where=activity.toggles > 0)
