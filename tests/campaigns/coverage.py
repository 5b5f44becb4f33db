"""Coverage of the core's RTL: Verilator's lines, branches and toggles under random programs, and bins.

    make coverage

A bin is a case that the core must have met: a unit's operation, a coding, a pattern of the banks. Bins are counted on
what the programs asked of the core, lines and toggles on what the RTL did. Registers, refusals and faults, which no
program meets, are the business of the system's bench: lines of host and sequencer that it reaches count as well, though
its core has other sizes. Prints a table; the files go to build/coverage.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers.bench import run_bench
from helpers.places import CHECKOUT
from helpers.rtl_cores import CORES
from helpers.system_design import system_design
from helpers.verilator_coverage import Point, covered, lines_met, points_of

from spikesim.program import series
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.emit import TOP
from spikesim.rtl.isa import Extent, PointwiseOperation, Statistic, Unit
from spikesim.rtl.verilog import verilog
from spikesim.spikes.digits import digits
from spikesim.verify.lockstep import BuiltCore, Lockstep
from spikesim.verify.random_programs import RandomProgram

FOLDER = CHECKOUT / "build" / "coverage"
COVERED = ("naf", "ternary", "row", "dense_wide")
"""Cores with few banks: more of the same banks and lanes would only add copies of the same lines."""

PROGRAMS = 24
LINE_GOAL = 0.98
HOST = r"spike_core_(host|sequencer)"
"""Modules of the host's registers and streams, and of what a host may ask that cannot be."""


def instruction_bins(lockstep: Lockstep) -> Counter[str]:
    """What the hardware instructions of a program are."""
    bins: Counter[str] = Counter()
    for instruction in lockstep.executable.instructions:
        common = instruction.common
        bins[f"unit {instruction.unit.name.lower()}"] += 1
        bins[f"extent {Extent(common.get('extent', Extent.FIXED)).name.lower()}"] += 1
        if common.get("partition"):
            bins["partition"] += 1
        if common.get("block_end"):
            bins["block end"] += 1
        for kind, fields in instruction.fields.items():
            if kind == "pointwise":
                bins[f"operation {PointwiseOperation(fields['operation']).name.lower()}"] += 1
                bins[f"statistic {Statistic(fields.get('statistic', 0)).name.lower()}"] += 1
                if fields.get("has_scalar"):
                    bins["scalar"] += 1
                if fields.get("clip"):
                    bins["clip"] += 1
            if kind == "array":
                bins["gather state" if fields.get("state") else "gather rows"] += 1
                if fields.get("blocks"):
                    bins["gather blocks"] += 1
                if fields.get("sharing", 1) > 1:
                    bins["shared heads"] += 1
    return bins


def count_bins(name: str, ways: int, coding: str, words: np.ndarray) -> Counter[str]:
    """words: int32[rows, channels] of counts that drive a gather: which planes and banks they use."""
    bins: Counter[str] = Counter()
    for row in words:
        spikes = digits(np.clip(row, -127, 127).astype(np.int8), coding) != 0
        banks = np.array([spikes[:, bank::ways].sum() for bank in range(ways)])
        if not banks.any():
            bins[f"{name}: all silent"] += 1
            continue
        if ways > 1 and (banks > 0).sum() == 1:
            bins[f"{name}: one bank alone"] += 1
        if (banks > 0).all():
            bins[f"{name}: all banks"] += 1
        planes = spikes.any(axis=1)
        top = int(np.flatnonzero(planes).max())
        if not planes[: top + 1].all():
            bins[f"{name}: a silent plane below the top"] += 1
        if (row == -127).any():
            bins[f"{name}: −127"] += 1
    return bins


def system_run() -> tuple[str, Counter[Point]]:
    """The text of the core that the system's bench runs on, and what it meets."""
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
        design, config = system_design(Path(folder))
        config, record = replace(config, trace=True), Path(folder, "record")
        run_bench(SpikeCore(config), TOP, "system", environment={"DESIGN": str(design)}, coverage=record)
        return verilog(SpikeCore(config), TOP), points_of([record])


def main() -> int:
    """Prints the table; 1 if a core's lines stay below the goal or a bin is empty."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    bins: Counter[str] = Counter()
    short = 0
    system_text, system_points = system_run()
    for name in COVERED:
        core = CORES[name]
        built = BuiltCore(core.config(), FOLDER / name, coverage=True)
        files = []
        for seed in range(PROGRAMS):
            made = RandomProgram(seed)
            program = made.program()
            lockstep = Lockstep(series([program]), core.hardware, built, FOLDER / name / str(seed))
            words = made.inputs()
            result = lockstep.run(words)
            if not result.comparison.agrees:
                print(f"{name}, seed {seed}: {result.comparison.differing}")
                return 1
            files.append(FOLDER / name / str(seed) / "run.dat")
            bins += instruction_bins(lockstep)
            for instruction in program.instructions():
                if instruction.op == "gather" and instruction.counts.name in program.constants:
                    counts = program.constants[instruction.counts.name].reshape(1, -1)
                    label = f"{core.hardware.array.order}/{core.hardware.numerics.coding}"
                    bins += count_bins(label, core.hardware.array.ways, core.hardware.numerics.coding, counts)
        points = points_of(files)
        alone = covered(points)
        text = (FOLDER / name / "spike_core.v").read_text(encoding="utf-8")
        met = lines_met(system_points, system_text, text, HOST)
        for point in points:
            points[point] += met[point.module, point.line] if point.kind == "line" else 0
        for kind, (hit, total) in sorted(covered(points).items()):
            by_programs = (
                f" ({alone[kind][0] / total:.1%} by random programs alone)" if kind == "line" else ""
            )
            print(f"{name:12} {kind} {hit / total:.1%} of {total}{by_programs}", flush=True)
            short += kind == "line" and hit / total < LINE_GOAL
        for point in sorted(point for point, times in points.items() if point.kind == "line" and not times):
            print(f"    not reached: {point.module}:{point.line}")
    expected = [f"unit {unit.name.lower()}" for unit in Unit if unit is not Unit.END]
    expected += [f"operation {operation.name.lower()}" for operation in PointwiseOperation]
    expected += [f"statistic {statistic.name.lower()}" for statistic in Statistic]
    expected += [f"extent {extent.name.lower()}" for extent in Extent]
    expected += ["partition", "block end", "scalar", "clip", "gather state", "gather blocks", "shared heads"]
    empty = [name for name in expected if not bins[name]]
    for name, count in sorted(bins.items()):
        print(f"{count:7,}  {name}")
    print(f"empty bins: {', '.join(empty) or 'none'}")
    return int(bool(short or empty))


if __name__ == "__main__":
    sys.exit(main())
