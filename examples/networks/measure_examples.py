"""Measure the example networks: the float model beside the integers of the golden model, for every activation coding.

python examples/networks/measure_examples.py                     # all of them, on all samples
python examples/networks/measure_examples.py digits_cnn --samples 50
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph.frontend import GraphFrontEnd, OpenedGraph
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.reference import Walk
from spikesim.mapping.graph.weights import on_quantized_weights
from spikesim.program import Chain
from spikesim.program.verifier import verify_chain
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator

HERE = Path(__file__).resolve().parent
EXAMPLES = {
    "digits_mlp": ".pt2",
    "digits_cnn": ".pt2",
    "digits_yolo": ".pt2",
    "digits_attention": ".pt2",
    "moving_lif": ".nir",
}
ACTIVATIONS = ("threshold", "int8")

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`floats`, `integers`: float[steps, samples, classes] of the float model and of the program; `labels`:
    uint8[samples]."""

    floats: Floats
    integers: Floats
    labels: NDArray[np.uint8]
    programs: int
    instructions: int
    cycles: int

    def accuracy(self, scores: Floats) -> float:
        """The share of samples whose class has the largest sum over all steps."""
        return float((scores.sum(0).argmax(1) == self.labels).mean())

    @property
    def changed(self) -> int:
        """Samples for which the integers have another answer than the float model."""
        return int((self.floats.sum(0).argmax(1) != self.integers.sum(0).argmax(1)).sum())


def path_of(name: str) -> Path:
    """The file of an example."""
    return HERE / f"{name}{EXAMPLES[name]}"


def samples_of(name: str, count: int | None = None) -> tuple[Floats, NDArray[np.uint8]]:
    """The first of its samples, float32[samples, steps, ...], and their labels."""
    with np.load(HERE / f"{name}.npz") as file:
        x, y = file["x"][:count], file["y"][:count]
    return (x if name.startswith("moving") else x[:, None]).astype(np.float32), y


@cache
def opened(name: str) -> OpenedGraph:
    """An example, read from its file."""
    graph = GraphFrontEnd().open(path_of(name))
    if not isinstance(graph, OpenedGraph):
        raise TypeError(f"{name} must be a graph")
    graph.check()
    return graph


def float_scores(graph: Graph, x: Floats) -> Floats:
    """float32[steps, samples, classes] of samples [samples, steps, ...]."""
    walk = Walk(graph, x.reshape(*x.shape[:2], *graph.input.shape))
    walk.advance([node for node in graph.nodes if node is not graph.input])
    scores: Floats = walk.live[graph.output].flatten(2).numpy()
    return scores


def measured(name: str, activation: str, count: int | None = None) -> Measured:
    """An example, calibrated on all of its samples and run on the first of them."""
    x, labels = samples_of(name)
    network = opened(name)
    hardware = HardwareConfig().replace(**{"numerics.activation": activation})
    x = x.reshape(*x.shape[:2], *network.shape)
    network.calibrate(x, hardware)
    x, labels = x[:count], labels[:count]
    samples, steps = x.shape[:2]
    chain = Chain(programs=network.programs, links=network.links, output=network.output)
    verify_chain(chain)
    words = network.host(samples * steps, steps).words(x.reshape(-1, *network.shape), network.entry)
    if network.keeps_state:
        words = words.reshape(samples, steps, -1).swapaxes(0, 1)
    else:
        words = words[:, None]
    simulators = [Simulator(program, hardware, words.shape[1]) for program in chain.programs]
    result = run_chain(chain, simulators, np.ascontiguousarray(words))
    real = np.ldexp(result.astype(np.float64), -chain.port(chain.output).format.fraction)
    if not network.keeps_state:
        real = real.swapaxes(0, 1)
    cycles = sum(sum(each.spiking for each in simulator.cycles) for simulator in simulators)
    return Measured(
        floats=float_scores(network.source_graph, x),
        integers=real.astype(np.float32),
        labels=labels,
        programs=len(chain.programs),
        instructions=sum(sum(1 for _ in program.instructions()) for program in chain.programs),
        cycles=cycles // samples,
    )


def main() -> None:
    """Print a row for every example and activation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=list(EXAMPLES), help=", ".join(EXAMPLES))
    parser.add_argument("--samples", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names:
        for activation in ACTIVATIONS:
            began = time.perf_counter()
            m = measured(name, activation, options.samples)
            sizes = (path.stat().st_size / 1000 for path in (path_of(name), HERE / f"{name}.npz"))
            print(
                f"{name:17} {activation:9} {len(m.labels)} samples: float {m.accuracy(m.floats):.2%},"
                f" integers {m.accuracy(m.integers):.2%}, {m.changed} other answers;"
                f" {m.programs} programs, {m.instructions} instructions, {m.cycles:,} cycles a sample;"
                f" {' + '.join(f'{size:.0f}' for size in sizes)} kB; {time.perf_counter() - began:.1f} s"
            )
    x, _ = samples_of("moving_lif", options.samples)
    graph = opened("moving_lif").source_graph
    with np.load(HERE / "moving_lif_snntorch.npz") as file:
        theirs = {key: np.unpackbits(file[key], -1, 10)[:, : len(x)] for key in file.files}
    spikes = {
        "the file as it is": (float_scores(graph, x), theirs["spikes"]),
        "quantised weights": (float_scores(on_quantized_weights(graph), x), theirs["spikes_quantized"]),
        "integers": (measured("moving_lif", "int8", options.samples).integers, theirs["spikes_quantized"]),
    }
    for what, (ours, reference) in spikes.items():
        print(f"moving_lif, {what}: {(ours == reference).mean():.3%} of spikes are snnTorch's")


if __name__ == "__main__":
    main()
