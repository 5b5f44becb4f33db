"""Random networks of convolutions, pooling, neurons and linear layers, and what it takes to run one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.graph.graph import Graph


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


class Maker:
    """Draws a network node by node. `draw(low, high)`: an integer; `rng`: of weights."""

    def __init__(self, draw: Callable[[int, int], int], rng: np.random.Generator) -> None:
        self.draw, self.rng = draw, rng
        self.nodes: list[nodes.Node] = []

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.draw(0, len(choices) - 1)]

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
        groups = self.one_of([g for g in (1, 2, channels) if channels % g == 0])
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
            kind=self.one_of(["max", "average", "sum"]),
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
                gain=np.float32(self.one_of([1.0, 0.37])),
                leak=np.float32(self.one_of([0.0, 0.01])),
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
