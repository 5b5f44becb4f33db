"""Cycles a token of the shipped model, by the widths in which counts are loaded and sums drained; area of the parts.

python benchmarks/widths.py --ways 8 --lanes 64

The model runs once; the cycles of all widths are read from its trace. Parts are synthesised as in `codesign.py`, with
`--area` alone: memories are black boxes, and the path is within the part, from its inputs to its outputs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from codesign import MODEL, area

from spikesim.golden.effects import TraceRecorder
from spikesim.hardware import HardwareConfig
from spikesim.program import Program
from spikesim.program.trace import Trace
from spikesim.rtl.array.drain import Drain
from spikesim.rtl.array.load import CountLoader
from spikesim.rtl.array.scatter import ScatterControl
from spikesim.rtl.array.store import StoreControl
from spikesim.rtl.config import core_config
from spikesim.rtl.vector import VectorMemory
from spikesim.run.observers import costs
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.verify.job import model_job

WIDTHS = ((2, 1), (4, 1), (8, 1), (16, 1), (16, 2), (16, 4), (16, 8), (16, 16))
"""(load_width, drain_width)"""
PARTS = (CountLoader, Drain, ScatterControl, StoreControl, VectorMemory)


def recorded(hardware: HardwareConfig, tokens: int) -> list[tuple[Program, Trace]]:
    """The shipped model's programs and what their cycles depend on, of so many tokens."""
    job = model_job(MODEL, hardware, tokens=tokens)
    recorders = [TraceRecorder() for _ in job.programs]
    simulators = [
        Simulator(program, job.hardware, observers=[recorder])
        for program, recorder in zip(job.programs, recorders, strict=True)
    ]
    run_chain(job.chain, simulators, job.words[:, None])
    return [(program, recorder.trace) for program, recorder in zip(job.programs, recorders, strict=True)]


def cycles(runs: Sequence[tuple[Program, Trace]], hardware: HardwareConfig, tokens: int) -> str:
    """A line: all instructions, spiking and dense, then the array's, spiking."""
    spiking, dense = Counter[str](), 0
    for program, trace in runs:
        for entry in costs(program, trace, hardware):
            spiking[entry.label] += entry.spiking
            dense += entry.dense
    array = {
        label: round(total / tokens)
        for label, total in spiking.items()
        if label.startswith("gather") or label in ("scatter", "store")
    }
    return f"{spiking.total() / tokens:8,.0f} {dense / tokens:8,.0f}  {array}"


def main() -> None:
    """Prints a line per pair of widths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", type=int, default=8)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--area", action="store_true", help="synthesise the parts instead")
    arguments = parser.parse_args()
    base = HardwareConfig().replace(**{"array.ways": arguments.ways, "array.lanes": arguments.lanes})
    runs = [] if arguments.area else recorded(base, arguments.tokens)
    for load, drain in WIDTHS:
        hardware = base.replace(**{"array.load_width": load, "array.drain_width": drain})
        print(f"load_width {load:2}, drain_width {drain:2}:", end=" ")
        if arguments.area:
            found = {part.__name__: area(part(core_config(hardware))) for part in PARTS}
            print(
                ", ".join(f"{name} {um2:,.0f} µm² {ps:,.0f} ps" for name, (um2, ps) in found.items()),
                flush=True,
            )
        else:
            print(cycles(runs, hardware, arguments.tokens), flush=True)


if __name__ == "__main__":
    main()
