"""Speed of the gate-level simulator against Verilator's model of the same netlist: python benchmarks/bench_gates.py.

The netlist is a gather's arithmetic (adder trees, accumulators) in Nangate45, with random inputs in every cycle:
nothing idles. Both are measured in this run, in processor time. Verilator simulates one stream at a time, once without
counting and once with its toggle coverage, which is what takes the place of the counts here.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where Verilator is made to read netlists

from helpers.gate_verilog import GateModel, gates

from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.waveforms import Delays, GateTimer
from spikesim.rtl.array.sum import ArraySum
from spikesim.rtl.config import CoreConfig

REPEATS = 5


def main() -> None:
    """Prints a line per way to simulate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--large", action="store_true", help="of the default core: Verilator compiles for minutes"
    )
    parser.add_argument("--small", action="store_true", help="a few cycles once, and without Verilator")
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--no-verilator", action="store_true")
    arguments = parser.parse_args()
    repeats = REPEATS
    if arguments.small:
        arguments.cycles, arguments.no_verilator, repeats = 50, True, 1
    config = CoreConfig() if arguments.large else CoreConfig(lanes=2, ways=4, encoder_rows=8, scatter_rows=8)
    design = gates(ArraySum(config))
    netlist = design.netlist
    rng = np.random.default_rng(0)
    cycles = arguments.cycles
    stimulus = {
        port: rng.integers(0, 1 << 64, (cycles, nets.size), dtype=np.uint64)
        for port, nets in netlist.inputs.items()
        if port != "clk"
    }
    stimulus["rst"][:] = 0
    print(f"{netlist.cells} cells, {netlist.nets} nets")

    simulator = GateSimulator(netlist)
    simulator.run(cycles, stimulus)
    seconds = min(_measured(lambda: simulator.run(cycles, stimulus)) for _ in range(repeats))
    own = 64 * cycles / seconds
    print(
        f"64 streams       {own:12,.0f} stream-cycles/s  {seconds / cycles * 1e6:8.1f} µs per cycle,"
        f" {seconds / cycles / netlist.cells * 1e9:.2f} ns per cell"
    )
    arcs = [
        rng.uniform(10e-12, 60e-12, (g.cells.size, len(g.cell.outputs), len(g.cell.inputs)))
        for g in netlist.groups
    ]
    timer = GateTimer(simulator.program, Delays(arcs=arcs))
    short = {port: words[:50] for port, words in stimulus.items()}
    simulator.run(50, short, timer=timer)
    seconds = min(_measured(lambda: simulator.run(50, short, timer=timer)) for _ in range(repeats))
    print(
        f"with delays      {64 * 50 / seconds:12,.0f} stream-cycles/s  {seconds / 50 * 1e6:8.1f} µs per cycle"
    )
    still = dict.fromkeys(stimulus, 0)
    simulator.run(50, still)
    seconds = min(_measured(lambda: simulator.run(cycles)) for _ in range(repeats))
    print(
        f"nothing changes  {64 * cycles / seconds:12,.0f} stream-cycles/s  {seconds / cycles * 1e6:8.1f} µs per cycle"
    )
    if arguments.no_verilator:
        return
    for name, counted in (("Verilator", False), ("  and counts", True)):
        with tempfile.TemporaryDirectory(prefix="spikesim-") as folder:
            start = time.monotonic()
            model = GateModel(design, Path(folder), probed=False, counted=counted)
            built = time.monotonic() - start
            few, many = 1, 3
            times = [
                min(_measured(partial(model.run, stimulus, repeats=n), children=True) for _ in range(3))
                for n in (few, many)
            ]
        rate = 64 * cycles * (many - few) / (times[1] - times[0])
        print(f"{name:16} {rate:12,.0f} cycles/s         built in {built:.0f} s; ratio {own / rate:.0f}")


def _measured(call: Callable[[], object], *, children: bool = False) -> float:
    """Processor time of a call: of this thread, or of the processes that it starts."""

    def now() -> float:
        if not children:
            return time.thread_time()
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    start = now()
    call()
    return now() - start


if __name__ == "__main__":
    main()
