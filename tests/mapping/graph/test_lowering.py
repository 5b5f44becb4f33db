"""Random networks: the program is the quantised network, word for word, as plain numpy evaluates it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.integer_graph import IntegerGraph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.graph.graph import Graph
from spikesim.program import Chain
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator


def opened(graph: Graph, samples: np.ndarray, hardware: HardwareConfig) -> OpenedGraph:
    found = OpenedGraph(graph, Path("network.pt2"), "test")
    found.check()
    found.calibrate(samples, hardware)
    return found


def words_of(network: OpenedGraph, samples: np.ndarray) -> np.ndarray:
    """int32[samples, steps, words]: what comes in."""
    count, steps = samples.shape[:2]
    host = network.host(count * steps, steps)
    flat = samples.reshape(-1, *samples.shape[2:])
    return host.words(flat, network.entry).reshape(count, steps, -1)


def executed(network: OpenedGraph, words: np.ndarray, hardware: HardwareConfig) -> np.ndarray:
    """int32[samples, steps, outputs] of the golden model."""
    chain = Chain(programs=network.programs, links=network.links, output=network.output)
    simulators = [Simulator(program, hardware, words.shape[0]) for program in chain.programs]
    out = run_chain(chain, simulators, np.ascontiguousarray(words.swapaxes(0, 1)))
    return out.swapaxes(0, 1)


def evaluated(network: OpenedGraph, words: np.ndarray, hardware: HardwareConfig) -> np.ndarray:
    """The same, by numpy."""
    entering = network.tensors[network.graph.input.name]
    integers = IntegerGraph(network, hardware.numerics)
    found = []
    for sample in words:
        steps = np.stack([step[entering.order] for step in sample])
        found.append([values[network.graph.output].reshape(-1) for values in integers.run(steps)])
    return np.array(found, dtype=np.int64)


class Maker:
    """Draws a network node by node; `data`: hypothesis'."""

    def __init__(self, data: Any, rng: np.random.Generator) -> None:
        self.data, self.rng = data, rng
        self.nodes: list[nodes.Node] = []

    def draw(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def weights(self, *shape: int) -> np.ndarray:
        return (self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def add(self, node: type[nodes.Node], *given: str, **fields: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(node(name=name, inputs=given, **fields))
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return Graph(nodes=tuple(self.nodes), output=name).shapes[name]

    def conv(self, x: str, axes: int) -> str:
        channels, *sizes = self.shape(x)[-axes - 1 :]
        kernel = tuple(min(self.draw(1, 3), size) for size in sizes)
        dilation = tuple(
            self.draw(1, 2) if k > 1 and s > 3 else 1 for k, s in zip(kernel, sizes, strict=True)
        )
        padding = tuple(
            (self.draw(0, d * (k - 1)), self.draw(0, k - 1)) for k, d in zip(kernel, dilation, strict=True)
        )
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        padding = tuple(
            p if sum(p) + s >= r else (r - s, 0) for p, s, r in zip(padding, sizes, reach, strict=True)
        )
        groups = self.data.draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
        outputs = groups * self.draw(1, 2) if groups > 1 else self.draw(1, 5)
        bias = self.weights(outputs, 1)[:, 0] if self.draw(0, 1) else None
        return self.add(
            nodes.Conv,
            x,
            weight=self.weights(outputs, channels // groups, *kernel),
            bias=bias,
            stride=tuple(self.draw(1, 2) for _ in kernel),
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    def pool(self, x: str, axes: int) -> str:
        sizes = self.shape(x)[-axes:]
        kernel = tuple(min(self.draw(1, 3), size) for size in sizes)
        padding = tuple((self.draw(0, k // 2), self.draw(0, k // 2)) for k in kernel)
        return self.add(
            nodes.Pool,
            x,
            kind=self.data.draw(st.sampled_from(["max", "average", "sum"])),
            kernel=kernel,
            stride=tuple(self.draw(1, 3) for _ in kernel),
            padding=padding,
        )

    def function(self, x: str, spiking: bool) -> str:
        choice = self.draw(0, 2)
        if spiking:
            reset = [None, np.float32(0), np.float32(0.125)][choice]
            return self.add(
                nodes.Neuron,
                x,
                beta=np.float32(0.9),
                gain=np.float32(self.data.draw(st.sampled_from([1.0, 0.37]))),
                leak=np.float32(self.data.draw(st.sampled_from([0.0, 0.01]))),
                alpha=np.float32(0.6) if self.draw(0, 1) else None,
                threshold=np.float32(0.25),
                reset=reset,
                at_threshold=bool(self.draw(0, 1)),
                delayed=bool(self.draw(0, 1)),
            )
        if choice == 0:
            return self.add(nodes.IntegerLIF, x, levels=self.draw(1, 8), scale=0.25)
        return self.add(nodes.Activation, x, kind="relu") if choice == 1 else x

    def network(self) -> Graph:
        axes, spiking = self.draw(1, 2), bool(self.draw(0, 1))
        sizes = [self.draw(3, 7) for _ in range(axes)]
        x = self.add(nodes.Input, shape=(1, self.draw(1, 4), *sizes))
        for _ in range(self.draw(1, 3)):
            before = x
            x = self.conv(x, axes)
            x = self.function(x, spiking)
            if self.shape(x) == self.shape(before) and self.draw(0, 1):
                x = self.add(nodes.Sum, x, before, subtract=bool(self.draw(0, 1)))
            if self.draw(0, 1):
                x = self.pool(x, axes)
            if self.draw(0, 2) == 0:
                x = self.add(nodes.Concat, x, x, axis=1)
        shape = self.shape(x)
        x = self.add(nodes.Rearrange, x, index=np.arange(np.prod(shape)).reshape(1, -1))
        channels = self.shape(x)[-1]
        x = self.add(nodes.Linear, x, weight=self.weights(6, channels), bias=self.weights(6, 1)[:, 0])
        return Graph(nodes=tuple(self.nodes), output=x)


@given(data=st.data(), seed=st.integers(0, 2**32 - 1), activation=st.sampled_from(["threshold", "int8"]))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_networks_are_what_numpy_says(data: Any, seed: int, activation: str) -> None:
    rng = np.random.default_rng(seed)
    graph = Maker(data, rng).network()
    steps = 3 if graph.keeps_state else 1
    samples = rng.standard_normal((2, steps, *graph.input.shape)).astype(np.float32)
    if data.draw(st.booleans()):
        samples = (samples > 0.5).astype(np.float32)
    hardware = HardwareConfig().replace(**{"numerics.activation": activation})
    network = opened(graph, samples, hardware)
    words = words_of(network, samples)
    assert (executed(network, words, hardware) == evaluated(network, words, hardware)).all()


@pytest.mark.parametrize(
    "kind", ["silu", "gelu", "gelu_tanh", "sigmoid", "hardswish", "hardsigmoid", "relu6"]
)
def test_functions_are_near_those_of_torch(kind: Any) -> None:
    rng = np.random.default_rng(1)
    samples = 3 * rng.standard_normal((8, 1, 40)).astype(np.float32)
    x = nodes.Input(name="x", shape=(40,))
    graph = Graph(nodes=(x, nodes.Activation(name="y", inputs=("x",), kind=kind)), output="y")
    hardware = HardwareConfig()
    network = opened(graph, samples, hardware)
    words = executed(network, words_of(network, samples), hardware)
    (lowered,) = network.lower(samples, lambda _: _Nothing())
    assert lowered.reference is not None
    expected = lowered.reference(slice(None)).numpy()[:, 0]
    real = words[:, 0] * 2.0 ** -lowered.program.text.outputs[0].format.fraction
    assert np.abs(real - expected).max() < 2e-3


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
