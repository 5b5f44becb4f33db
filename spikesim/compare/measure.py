"""`measure_core`, `measure_array`: a core, or its array alone, built, simulated on real work and put into figures.

What a measurement depends on is its key in the cache: design, library, clock, work, and this program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from spikesim.compare.array_run import run_array
from spikesim.compare.core_run import images, run_core
from spikesim.compare.designs import TOP, Built, Source, build
from spikesim.compare.keys import data_digest
from spikesim.compare.measured import GateRun, unit_figures
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork, Work
from spikesim.results.comparison import Agreement, Design
from spikesim.rtl.array.core import ArrayCore
from spikesim.rtl.array.events import lists_events
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.verilog import verilog
from spikesim.support.progress import SILENT, Progress
from spikesim.support.sources import digest

_CORE_SAMPLES = 256
_ARRAY_SAMPLES = 512
"""Cycles of a run, about, that are simulated with delays, too."""


def measure_core(
    config: CoreConfig,
    technology: Technology,
    work: Work,
    *,
    name: str,
    label: str,
    progress: Progress = SILENT,
) -> Design:
    """A whole core on whole tokens."""
    source = core_source(config, technology)

    def measured() -> dict[str, Any]:
        with progress.stage(f"build {name}"):
            built = build(source, technology)
        tokens = work.words.shape[0]
        expected = work.cycles["dense" if config.dense else "spiking"]
        run = run_core(
            built.netlist,
            built.timing,
            work,
            dense=config.dense,
            sample_every=max(1, int(expected.max()) * tokens // _CORE_SAMPLES),
            access_s=built.access_s,
            progress=progress,
        )
        return _design(built, run, technology, name, label, run.cycles / tokens)

    data = data_digest(work.words, work.outputs, *work.cycles.values(), *images(work).values())
    inputs = [source.text, name, label, data, *technology.conditions(__name__)]
    return Design.model_validate(technology.cache.get("design", inputs, measured))


def core_source(config: CoreConfig, technology: Technology) -> Source:
    """A whole core in Verilog, without the ports that only a bench reads."""
    return Source(
        text=_verilog(SpikeCore, config, technology), lists_serve_gathers=_listed(config), unused=("trace_*",)
    )


def measure_array(
    config: CoreConfig,
    technology: Technology,
    gathers: Sequence[GatherWork],
    *,
    name: str,
    label: str,
    progress: Progress = SILENT,
) -> Design:
    """The array and its encoder on gathers of one token; its cycles per token are theirs."""
    source = Source(text=_verilog(ArrayCore, config, technology), lists_serve_gathers=_listed(config))

    def measured() -> dict[str, Any]:
        with progress.stage(f"build {name}"):
            built = build(source, technology)
        expected = sum(gather.matrix.size for gather in gathers) // (config.ways * config.lanes)
        run = run_array(
            built.netlist,
            built.timing,
            config,
            gathers,
            sample_every=max(1, expected // (16 * _ARRAY_SAMPLES)),
            access_s=built.access_s,
            progress=progress,
        )
        return _design(built, run, technology, name, label, run.cycles)

    data = data_digest(*(part for gather in gathers for part in (gather.matrix, gather.counts)))
    inputs = [source.text, name, label, data, *technology.conditions(__name__)]
    return Design.model_validate(technology.cache.get("design", inputs, measured))


def _verilog(component: Callable[[CoreConfig], Any], config: CoreConfig, technology: Technology) -> str:
    inputs = [component.__name__, asdict(config), digest(component.__module__, verilog.__module__)]
    text: str = technology.cache.get("verilog", inputs, lambda: verilog(component(config), TOP))
    return text


def _listed(config: CoreConfig) -> bool:
    return lists_events(config) and not config.dense


def _design(
    built: Built, run: GateRun, technology: Technology, name: str, label: str, cycles_per_token: float
) -> dict[str, Any]:
    figures = unit_figures(
        built.netlist,
        built.timing,
        run,
        frequency_hz=technology.frequency_hz,
        parts=built.parts,
        macros=built.macros,
    )
    design = Design(
        name=name,
        label=label,
        cells=built.netlist.cells,
        flip_flops=built.synthesis.flip_flops,
        units=figures.units,
        cycles_per_token=cycles_per_token,
        timing=built.figures,
        lockstep=Agreement(tokens=run.tokens, cycles=run.activity.cycles, values=run.values),
        glitches=figures.glitches,
    )
    return design.model_dump(mode="json")
