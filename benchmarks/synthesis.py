"""The core and its units in gates of Nangate45 at 2 ns: area by unit, worst slack, flip-flops, latches, memories.

python benchmarks/synthesis.py            units and core, spiking and dense
python benchmarks/synthesis.py --units    units alone

Mapped, sized and buffered as `spikesim compare` does it, in parts that its cache keeps; slack is static timing's.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np

from spikesim.compare.designs import TOP, Built, Source, build
from spikesim.compare.technology import Technology
from spikesim.hardware import HardwareConfig
from spikesim.rtl.array.unit import ArrayUnit
from spikesim.rtl.config import core_config
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.host.unit import Host
from spikesim.rtl.memory_kinds import unwrapped
from spikesim.rtl.pointwise.unit import PointwiseUnit
from spikesim.rtl.select import SelectUnit
from spikesim.rtl.sequencer import Sequencer
from spikesim.rtl.verilog import verilog

FREQUENCY_HZ = 500e6
SMALLEST = 0.01
"""Of a design's area: units below are added up as others."""


def main() -> None:
    """Prints a line per design, and one per unit of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", action="store_true", help="leave the whole core out")
    parser.add_argument("--context", type=int, default=4096, help="longest sequence the encoder holds")
    arguments = parser.parse_args()
    hardware = HardwareConfig().replace(
        **{"limits.max_context": arguments.context, "limits.max_channels": 4096}
    )
    technology = Technology.of(None, FREQUENCY_HZ, use_cache=True)
    print(f"{'design':28} {'area':>13} {'worst slack':>11} {'flip-flops':>10} {'latches':>7} {'memories':>8}")
    for dense in (False, True):
        config = core_config(hardware, dense=dense)
        kind = "dense" if dense else "spiking"
        units = [ArrayUnit] if dense else [Host, Sequencer, PointwiseUnit, SelectUnit, ArrayUnit]
        for unit in [*units, *([] if arguments.units else [SpikeCore])]:
            start = time.monotonic()
            source = Source(text=unwrapped(verilog(unit(config), TOP)), lists_serve_gathers=False)
            _show(f"{kind} {unit.__name__}", build(source, technology), time.monotonic() - start)


def _show(name: str, built: Built, seconds: float) -> None:
    netlist, timing, synthesis = built.netlist, built.timing, built.synthesis
    area = float(netlist.area.sum())
    print(
        f"{name:28} {area:9,.0f} µm² {1e12 * timing.worst_slack_s:8.0f} ps {synthesis.flip_flops:10,}"
        f" {synthesis.latches:7} {len(netlist.boxes):8}  ({timing.worst.start} -> {timing.worst.end},"
        f" {seconds:.0f} s)",
        flush=True,
    )
    by_unit: dict[str, float] = defaultdict(float)
    for unit, share in zip(netlist.units, np.bincount(netlist.unit, netlist.area) / area, strict=True):
        by_unit[_group(unit)] += share
    small = sum(share for share in by_unit.values() if share < SMALLEST)
    shown = {unit: share for unit, share in by_unit.items() if share >= SMALLEST}
    for unit, share in [*sorted(shown.items(), key=lambda entry: -entry[1]), ("others", small)]:
        print(f"  {unit or 'top':26} {area * share:9,.0f} µm² {100 * share:7.1f} %")


def _group(path: str) -> str:
    """The first two levels; equal instances, which differ in their number, together."""
    return ".".join(name.rstrip("0123456789").rstrip("_") for name in path.split(".")[:2])


if __name__ == "__main__":
    main()
