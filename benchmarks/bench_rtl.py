"""Simulated cycles per second: the Python simulator, the compiled RTL, and the RTL under cocotb, on the same programs.

Everything is measured in this run: the shipped model's layers token by token, then one layer after another of growing
size. The simulator's rate is that of the same tokens in one batch, as `spikesim map` runs them. It works on values and
closed forms, and does not slow down with the cycles that a value takes; the RTL does.

    python benchmarks/bench_rtl.py [--cocotb]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.programs import compiled_layer, small_config
from helpers.rtl_cores import BUILDS

from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.program import Chain, series
from spikesim.rtl.config import core_config
from spikesim.rtl.emit import resident_config
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.verify.job import model_job
from spikesim.verify.lockstep import BuiltCore, Lockstep, enlarged

SCALES = (1, 2, 4)
GROWTH_TOKENS = 48
MODEL = Path(__file__).parents[1] / "examples" / "tiny_dssa"
COCOTB_CYCLES = 20_000


def simulator_rate(chain: Chain, hardware: HardwareConfig, words: np.ndarray) -> float:
    """Core cycles per second of the simulator: the same chain, all tokens in one call, after a warm-up."""
    best = 0.0
    for _ in range(3):
        simulators = [Simulator(program, hardware) for program in chain.programs]
        start = time.perf_counter()
        run_chain(chain, simulators, words[:, None])
        seconds = time.perf_counter() - start
        cycles = sum(entry.spiking for simulator in simulators for entry in simulator.cycles)
        best = max(best, cycles / seconds)
    return best


def cocotb_rate(core: BuiltCore) -> float:
    """Clock cycles per second of the same core with cocotb attached: a free clock, one port sampled per cycle."""
    from helpers.bench import run_bench

    from spikesim.rtl.core import SpikeCore

    with tempfile.TemporaryDirectory(prefix="bench-rtl-") as folder:
        seconds = Path(folder, "seconds")
        environment = {"CYCLES": str(COCOTB_CYCLES), "SECONDS": str(seconds)}
        run_bench(SpikeCore(core.config), "spike_core", "free_clock", environment=environment)
        return COCOTB_CYCLES / float(seconds.read_text(encoding="ascii"))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument(
        "--cocotb",
        action="store_true",
        help="the core under cocotb too: its build, with every signal visible, takes many minutes",
    )
    arguments = parser.parse_args()
    job = model_job(arguments.model, HardwareConfig(), tokens=arguments.tokens)
    hardware, _ = enlarged(job.chain, job.hardware)
    layout = link(job.chain, hardware)
    core = BuiltCore(resident_config(hardware, layout), BUILDS / "bench_rtl")
    core.binary()
    print(f"build of the RTL: {core.seconds:.0f} s (0: kept from before)")
    with tempfile.TemporaryDirectory(prefix="bench-rtl-") as folder:
        lockstep = Lockstep(job.chain, hardware, core, Path(folder))
        result = lockstep.run(job.words)
    print(f"agree: {result.comparison.agrees}")
    verilator = result.clock_cycles / result.seconds["Verilator"]
    repeats = max(1, 256 // len(job.words))
    many = np.tile(job.words, (repeats, 1))
    simulator = simulator_rate(job.chain, hardware, many)
    print(f"{'whole model':24} simulator {simulator / 1e6:10.1f} M cycles/s")
    print(
        f"{'':24} Verilator {verilator / 1e6:10.3f} M cycles/s, simulator {simulator / verilator:,.0f} times faster"
    )
    if arguments.cocotb:
        cocotb = cocotb_rate(core)
        print(
            f"{'':24} cocotb    {cocotb / 1e6:10.3f} M cycles/s, simulator {simulator / cocotb:,.0f} times faster"
        )
    growth()


def growth() -> None:
    """One SSE layer of growing width on one core: what a wider layer does to both rates."""
    hardware = HardwareConfig().replace(**{"limits.max_context": 64})
    core = BuiltCore(
        core_config(hardware, encoder_rows=32, scatter_rows=4, blocks=4), BUILDS / "bench_rtl_growth"
    )
    for scale in SCALES:
        config = small_config(hidden_size=64 * scale, num_heads=4 * scale, intermediate_size=128 * scale)
        layer = compiled_layer(config, 1, hardware, tokens=GROWTH_TOKENS, sequences=1)
        chain, words = series([compile_position(config), layer.program]), layer.words[:, 0]
        sized, _ = enlarged(chain, hardware)
        with tempfile.TemporaryDirectory(prefix="bench-rtl-") as folder:
            core.binary()
            result = Lockstep(chain, sized, core, Path(folder)).run(words[:8])
        verilator = result.clock_cycles / result.seconds["Verilator"]
        simulator = simulator_rate(chain, hardware, words)
        per_token = result.comparison.cycles // 8
        print(
            f"SSE layer, hidden {config.hidden_size:4}, {per_token:8,} cycles/token: simulator "
            f"{simulator / 1e6:8.1f} M cycles/s, Verilator {verilator / 1e6:6.3f}, ratio {simulator / verilator:7,.0f}"
        )


if __name__ == "__main__":
    main()
