"""Random programs on random configurations of the core, until told to stop.

make soak                     ten configurations, 20 programs each
make soak ARGS="50 40 7"      fifty configurations, forty programs each, from seed 7
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from spikesim.cores import CORES, CoreName
from spikesim.hardware import HardwareConfig
from spikesim.program import series
from spikesim.rtl.config import core_config, datapath
from spikesim.tools import verilator
from spikesim.verify.lockstep import BuiltCore, Lockstep
from spikesim.verify.random_programs import RandomProgram


def random_hardware(generator: np.random.Generator) -> HardwareConfig:
    """Any array the generator can build, within what compiles quickly."""

    def one(*choices: object) -> object:
        return choices[int(generator.integers(len(choices)))]

    return HardwareConfig().replace(
        **{
            "array.ways": one(1, 2, 4, 8, 16),
            "array.lanes": one(1, 2, 4, 8, 16),
            "array.order": one("plane", "row", "window"),
            "array.row_planes": one(4, 5, 6),
            "array.accumulator_bits": one(28, 32, 48),
            "array.scan_bits": one(1, 2, 8, 32),
            "array.skew": one(0, 1),
            "array.load_width": one(1, 2, 4, 16, 64),
            "array.drain_width": one(1, 2, 8, 64),
            "array.state_banks": one(1, 2, 4, 16),
            "pointwise.words": one(1, 2, 4, 8, 16),
            "numerics.coding": one("bitwise", "ternary", "twos_complement", "signed_digit"),
            "limits.max_context": 64,
            "memory.row_kib": 512,
        }
    )


def main(configurations: int = 10, programs: int = 20, seed: int = 0) -> int:
    """1 if anything differs, with the seed that shows it."""
    verilator.OPTIMISATION = ("OPT_FAST=-O1", "OPT_GLOBAL=-O1")  # a core is built for its programs alone
    for number in range(configurations):
        generator = np.random.default_rng([seed, number])
        hardware = random_hardware(generator)
        core_name: CoreName = CORES[int(generator.choice(3, p=[0.6, 0.2, 0.2]))]
        ways = hardware.array.ways
        config = core_config(
            hardware,
            **datapath(core_name),
            encoder_rows=max(1, 128 // ways),
            scatter_rows=max(1, 32 // ways),
            blocks=4,
        )
        start, values, cycles = time.monotonic(), 0, 0
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            core = BuiltCore(config, Path(folder, "core"))
            for n in range(programs):
                made = RandomProgram(1000 * (seed + 1) * (number + 1) + n)
                lockstep = Lockstep(series([made.program()]), hardware, core, Path(folder, str(n)))
                found = lockstep.run(made.inputs()).comparison
                values, cycles = values + found.values, cycles + found.cycles
                if not found.agrees:
                    print(f"configuration {number}, program {n}, seed {seed}: {config}\n{found.differing}")
                    print("\n".join(map(str, found.differences)))
                    return 1
        array = hardware.array
        print(
            f"{number:3}: {core_name} {array.ways} × {array.lanes} {array.order} "
            f"{hardware.numerics.coding}, {hardware.pointwise.words} words: "
            f"{programs} programs, {values:,} values, {cycles:,} cycles agree "
            f"({time.monotonic() - start:.0f} s)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
