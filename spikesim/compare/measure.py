"""`core_job`, `array_job`: a core, or its array alone, to be built, simulated on real work and put into figures.

What a measurement depends on is its key in the cache: design, library, clock, work, and this program. `measured` does
several jobs at a time: one is synthesised, on all processors, while another is simulated, on one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
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
from spikesim.rtl.memory_kinds import unwrapped
from spikesim.rtl.verilog import verilog
from spikesim.support.progress import SILENT, Advance, Progress
from spikesim.support.sources import digest
from spikesim.support.threads import thread_count as processors
from spikesim.support.together import together
from spikesim.tools.process import end_all

_CORE_SAMPLES = 256
_ARRAY_SAMPLES = 512
"""Cycles of a run, about, that are simulated with delays, too."""


_WORKERS = 2
"""Jobs at a time: each holds a netlist and its simulation."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A design to be measured: `inputs`, all that it depends on; `measure`, which does it."""

    inputs: list[Any]
    measure: Callable[[], dict[str, Any]]
    technology: Technology

    def design(self) -> Design:
        """From the cache, or measured now."""
        return Design.model_validate(self.technology.cache.get("design", self.inputs, self.measure))


def measured(jobs: Sequence[Job], advance: Advance | None = None) -> list[Design]:
    """The designs of the jobs, in their order; equal ones once. `advance`: told of each that is done."""
    keys = [json.dumps(job.inputs) for job in jobs]
    first = dict(zip(reversed(keys), reversed(jobs), strict=True))
    order = list(dict.fromkeys(keys))
    workers = min(_WORKERS, processors())

    def task(key: str) -> Design:
        design = first[key].design()
        if advance is not None:
            advance(keys.count(key))
        return design

    designs = together([partial(task, key) for key in order], workers=workers, stop=end_all)
    found = dict(zip(order, designs, strict=True))
    return [found[key] for key in keys]


def core_job(
    config: CoreConfig,
    technology: Technology,
    work: Work,
    *,
    name: str,
    label: str,
    progress: Progress = SILENT,
) -> Job:
    """A whole core on whole tokens."""
    source = core_source(config, technology)

    def measure() -> dict[str, Any]:
        built = _built(source, technology, name, progress)
        tokens = work.words.shape[0]
        expected = work.cycles[config.core]
        run = run_core(
            built.netlist,
            built.timing,
            work,
            core_name=config.core,
            sample_every=max(1, int(expected.max()) * tokens // _CORE_SAMPLES),
            access_s=built.access_s,
            progress=progress,
        )
        return _design(built, run, technology, name, label, run.cycles / tokens)

    data = data_digest(work.words, work.outputs, *work.cycles.values(), *images(work).values())
    inputs = [source.text, name, label, data, *technology.conditions(__name__)]
    return Job(inputs=inputs, measure=measure, technology=technology)


def core_source(config: CoreConfig, technology: Technology) -> Source:
    """A whole core in Verilog."""
    return Source(text=_verilog(SpikeCore, config, technology), lists_serve_gathers=_listed(config))


def array_job(
    config: CoreConfig,
    technology: Technology,
    gathers: Sequence[GatherWork],
    *,
    name: str,
    label: str,
    progress: Progress = SILENT,
) -> Job:
    """The array and its encoder on gathers of one token; its cycles per token are theirs."""
    source = Source(text=_verilog(ArrayCore, config, technology), lists_serve_gathers=_listed(config))

    def measure() -> dict[str, Any]:
        built = _built(source, technology, name, progress)
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
    return Job(inputs=inputs, measure=measure, technology=technology)


def _built(source: Source, technology: Technology, name: str, progress: Progress) -> Built:
    with progress.stage(f"build {name}"):
        return build(source, technology)


def _verilog(component: Callable[[CoreConfig], Any], config: CoreConfig, technology: Technology) -> str:
    inputs = [component.__name__, asdict(config), digest(component.__module__, verilog.__module__)]
    text: str = technology.cache.get("verilog", inputs, lambda: unwrapped(verilog(component(config), TOP)))
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
