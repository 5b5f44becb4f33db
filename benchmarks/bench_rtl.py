"""Simulated cycles per second: the Python simulator, the compiled RTL, and the RTL under cocotb, on the same programs.

Everything is measured in this run: the shipped model's layers token by token, then one layer after another of growing
size. The simulator's rate is that of the same tokens in `SEQUENCES` sequences side by side, as `spikesim map` runs
them. It works on values and closed forms, and does not slow down with the cycles that a value takes; the RTL does.

    python benchmarks/bench_rtl.py [--cocotb]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bars import Bars

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.programs import compiled_layer, small_config
from helpers.rtl_cores import BUILDS, CORES, built_core

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
RTL_TOKENS = 8
"""Of a layer, as many as the RTL runs in its share of the time."""

SEQUENCES = 16
"""How many copies of the words the simulator runs side by side, in one call; `spikesim map` takes all sequences."""

BAR = 1000
"""Cycles per second of the simulator over those of the RTL, at the largest layer."""

MODEL = Path(__file__).parents[1] / "examples" / "tiny_dssa"
COCOTB_CYCLES = 20_000


def simulator_rate(chain: Chain, hardware: HardwareConfig, words: np.ndarray) -> float:
    """Core cycles per second of the simulator on words: int32[tokens, words], in all sequences, after a warm-up."""
    best = 0.0
    stream = np.repeat(words[:, None], SEQUENCES, axis=1)
    for _ in range(5):
        simulators = [Simulator(program, hardware, SEQUENCES) for program in chain.programs]
        start = time.perf_counter()
        run_chain(chain, simulators, stream)
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
        help="the core under cocotb too, which is built once more for it",
    )
    parser.add_argument("--small", action="store_true", help="a layer on a small core, once, not judged")
    arguments = parser.parse_args()
    bars = Bars(judged=not arguments.small)
    if arguments.small:
        core = CORES["plane"]
        layer_ratio(built_core("plane", core.config()), core.hardware, 1)
        return
    whole_model(arguments.model, arguments.tokens, with_cocotb=arguments.cocotb)
    hardware = HardwareConfig().replace(**{"limits.max_context": 64})
    core = BuiltCore(
        core_config(hardware, encoder_rows=64, scatter_rows=4, blocks=4), BUILDS / "bench_rtl_growth"
    )
    core.binary()
    ratios = [layer_ratio(core, hardware, scale) for scale in SCALES]
    bars.at_least("simulator over RTL, largest layer", ratios[-1], BAR, ",.0f")
    bars.close()


def whole_model(model: Path, tokens: int, *, with_cocotb: bool) -> None:
    """The shipped model on a core that holds all its layers."""
    job = model_job(model, HardwareConfig(), tokens=tokens)
    hardware, _ = enlarged(job.chain, job.hardware)
    core = BuiltCore(
        resident_config(hardware, link(job.chain, hardware)),
        BUILDS / "bench_rtl",
    )
    core.binary()
    print(f"build of the RTL: {core.seconds:.0f} s (0: kept from before)")
    verilator, cycles = verilator_rate(job.chain, hardware, core, job.words)
    simulator = simulator_rate(job.chain, hardware, job.words)
    print(_row("whole model", cycles, simulator, verilator, len(job.words)))
    if with_cocotb:
        cocotb = cocotb_rate(core)
        print(f"under cocotb {cocotb / 1e6:.3f} M cycles/s, ratio {simulator / cocotb:,.0f}")


def layer_ratio(core: BuiltCore, hardware: HardwareConfig, scale: int) -> float:
    """An SSE layer, the width times `scale`, by itself: what a wider layer does to both rates; returns their ratio."""
    config = small_config(hidden_size=64 * scale, num_heads=4 * scale, intermediate_size=128 * scale)
    layer = compiled_layer(config, 1, hardware, tokens=GROWTH_TOKENS, sequences=1)
    chain, words = series([compile_position(config), layer.program]), layer.words[:, 0]
    verilator, cycles = verilator_rate(chain, enlarged(chain, hardware)[0], core, words[:RTL_TOKENS])
    simulator = simulator_rate(chain, hardware, words)
    print(_row(f"SSE layer, hidden {config.hidden_size}", cycles, simulator, verilator, len(words)))
    return simulator / verilator


def verilator_rate(
    chain: Chain, hardware: HardwareConfig, core: BuiltCore, words: np.ndarray
) -> tuple[float, int]:
    """Clock cycles per second of the compiled RTL on words: int32[tokens, words], and cycles per token."""
    with tempfile.TemporaryDirectory(prefix="bench-rtl-") as folder:
        result = Lockstep(chain, hardware, core, Path(folder)).run(words)
    if not result.comparison.agrees:
        raise SystemExit("simulator and RTL differ")
    return result.clock_cycles / result.seconds["Verilator"], result.comparison.cycles // len(words)


def _row(name: str, cycles: int, simulator: float, verilator: float, tokens: int) -> str:
    return (
        f"{name:22} {cycles:7,} cycles/token: simulator {simulator / 1e6:7.1f} M cycles/s"
        f" ({tokens * SEQUENCES} tokens, {SEQUENCES} sequences), Verilator {verilator / 1e6:6.3f},"
        f" ratio {simulator / verilator:6,.0f}"
    )


if __name__ == "__main__":
    main()
