"""The float model: every node of a graph evaluated by torch, the outside truth that integers are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.graph import Graph

Values = dict[str, torch.Tensor]
"""float32[samples, *shape] of every node; by `current_of` and `membrane_of` what a neuron keeps, before its reset."""

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "sigmoid": torch.sigmoid,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "step": lambda x: (x > 0).to(x.dtype),
}


SAMPLES_AT_ONCE = 64
"""Samples that go through a node together: bounds memory."""


def current_of(neuron: str) -> str:
    """The name under which the current of a neuron is known."""
    return f"{neuron}:current"


def membrane_of(neuron: str) -> str:
    """The name under which the membrane of a neuron is known, as it is compared with the threshold."""
    return f"{neuron}:membrane"


class Reference:
    """Runs nodes of a graph for some samples, step by step: what `Neuron` and `Delay` keep begins as zeros."""

    def __init__(self, some: Sequence[nodes.Node]) -> None:
        self.nodes = some
        self._kept: Values = {}
        self._delayed: Values = {}

    def step(self, values: Values) -> Values:
        """One step: the values of all nodes, `values` those of others that they take, of the same samples."""
        values = dict(values)
        with torch.no_grad():
            for node in self.nodes:
                values[node.name] = self._value(node, values)
        for node in self.nodes:
            if isinstance(node, nodes.Delay):
                self._delayed[node.name] = values[node.inputs[0]]
        return values

    def _value(self, node: nodes.Node, values: Values) -> torch.Tensor:
        given = [] if isinstance(node, nodes.Delay) else [values[name] for name in node.inputs]
        match node:
            case nodes.Linear():
                return functional.linear(given[0], _tensor(node.weight), _optional(node.bias))
            case nodes.Conv():
                return _over_images(given[0], len(node.kernel), lambda image: _convolution(node, image))
            case nodes.Pool():
                return _over_images(given[0], len(node.kernel), lambda image: _pool(node, image))
            case nodes.Affine():
                return given[0] * _tensor(node.scale) + _tensor(node.shift)
            case nodes.LayerNorm():
                return _norm(node, given[0])
            case nodes.Sum():
                return given[0] - given[1] if node.subtract else given[0] + given[1]
            case nodes.Product():
                return given[0] * given[1]
            case nodes.Activation():
                return _ACTIVATIONS[node.kind](given[0])
            case nodes.IntegerLIF():
                return torch.round(given[0].clamp(0, node.levels)) * node.scale
            case nodes.Neuron():
                return self._neuron(node, given[0], values)
            case nodes.Delay():
                if node.name in self._delayed:
                    return self._delayed[node.name]
                return torch.zeros(next(iter(values.values())).shape[0], *node.shape)
            case nodes.Attention():
                return _attention(node, *given)
            case nodes.Rearrange():
                index = torch.from_numpy(node.index.reshape(-1))
                return given[0].flatten(1)[:, index].reshape(-1, *node.index.shape)
            case nodes.Concat():
                return torch.cat(given, node.axis + 1)
            case _:
                raise node.refuse("be a node that the float model knows")

    def _neuron(self, node: nodes.Neuron, x: torch.Tensor, values: Values) -> torch.Tensor:
        zeros = torch.zeros_like(x)
        current = x * _tensor(node.gain)
        if node.alpha is not None:
            current = current + _tensor(node.alpha) * self._kept.get(f"{node.name}.i", zeros)
            self._kept[f"{node.name}.i"] = current
        values[current_of(node.name)] = current
        v = _tensor(node.beta) * self._kept.get(f"{node.name}.v", zeros) + current + _tensor(node.leak)
        values[membrane_of(node.name)] = v
        if node.threshold is None:
            self._kept[f"{node.name}.v"] = v
            return v
        threshold = _tensor(node.threshold)
        if node.delayed:
            v = _after_spike(node, v, self._kept.get(f"{node.name}.s", zeros), threshold)
        spikes = ((v >= threshold) if node.at_threshold else (v > threshold)).to(x.dtype)
        self._kept[f"{node.name}.s"] = spikes
        self._kept[f"{node.name}.v"] = v if node.delayed else _after_spike(node, v, spikes, threshold)
        return spikes


def _after_spike(
    node: nodes.Neuron, v: torch.Tensor, spikes: torch.Tensor, threshold: torch.Tensor
) -> torch.Tensor:
    if node.reset is None:
        return v - spikes * threshold
    return torch.where(spikes > 0, _tensor(node.reset).expand_as(v), v)


def _over_images(
    x: torch.Tensor, axes: int, function: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """A function of [samples, channels, *sizes]; axes of length 1 before the channels stay where they are."""
    leading = x.shape[: -axes - 1]
    y = function(x.reshape(prod(leading), *x.shape[-axes - 1 :]))
    return y.reshape(*leading, *y.shape[1:])


def _padded(x: torch.Tensor, padding: tuple[nodes.Pair, ...], value: float) -> torch.Tensor:
    pads = [size for pair in reversed(padding) for size in pair]
    return functional.pad(x, pads, value=value) if any(pads) else x


def _convolution(node: nodes.Conv, x: torch.Tensor) -> torch.Tensor:
    function = functional.conv1d if len(node.kernel) == 1 else functional.conv2d
    x = _padded(x, node.padding, 0.0)
    return function(x, _tensor(node.weight), _optional(node.bias), node.stride, 0, node.dilation, node.groups)


def _pool(node: nodes.Pool, x: torch.Tensor) -> torch.Tensor:
    two = len(node.kernel) == 2
    if node.kind == "max":
        largest = functional.max_pool2d if two else functional.max_pool1d
        return largest(_padded(x, node.padding, float("-inf")), node.kernel, node.stride)
    mean = functional.avg_pool2d if two else functional.avg_pool1d
    padded = _padded(x, node.padding, 0.0)
    y = mean(padded, node.kernel, node.stride)
    if node.kind == "sum":
        return y * prod(node.kernel)
    if node.counts_padding:
        return y
    inside = mean(_padded(torch.ones_like(x), node.padding, 0.0), node.kernel, node.stride)
    return y / inside


def _norm(node: nodes.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    if node.centred:
        return functional.layer_norm(x, x.shape[-1:], _tensor(node.weight), _optional(node.bias), node.eps)
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + node.eps) * _tensor(node.weight)
    return y if node.bias is None else y + _tensor(node.bias)


def _attention(
    node: nodes.Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    match node.kind:
        case "softmax":
            return torch.softmax(query @ key.transpose(-1, -2) * node.scale, -1) @ value
        case "linear":
            return query @ (key.transpose(-1, -2) @ value) * node.scale
        case _:
            assert_never(node.kind)


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _optional(array: NDArray[np.float32] | None) -> torch.Tensor | None:
    return None if array is None else _tensor(array)


class Walk:
    """The float model of a whole graph, a piece at a time: `live` has, float32[steps, samples, *shape], what a later
    piece takes.
    """

    def __init__(self, graph: Graph, samples: NDArray[np.float32]) -> None:
        """`samples`: float32[samples, steps, *shape]."""
        self.graph = graph
        self.live: Values = {graph.input.name: torch.from_numpy(samples).transpose(0, 1)}
        self._left = list(graph.nodes)

    def advance(
        self, some: Sequence[nodes.Node], seen: Callable[[Values], None] | None = None, wanted: str = ""
    ) -> Values:
        """Runs the next nodes -> the values of those that a later node takes, and of the node `wanted`.

        `seen` is given the values of some samples at a time, of one step, those of neurons' insides too.
        """
        done = {node.name for node in some}
        self._left = [node for node in self._left if node.name not in done]
        later = {name for node in self._left for name in node.inputs} | {self.graph.output}
        taken = {name for node in some for name in node.inputs if name not in done}
        steps, samples = next(iter(self.live.values())).shape[:2]
        found: Values = {}
        for first in range(0, samples, SAMPLES_AT_ONCE):
            part = slice(first, first + SAMPLES_AT_ONCE)
            reference = Reference(some)
            for step in range(steps):
                values = reference.step({name: self.live[name][step, part] for name in taken})
                if seen is not None:
                    seen(values)
                for name in done & (later | {wanted}):
                    if name not in found:
                        found[name] = torch.empty(steps, samples, *values[name].shape[1:])
                    found[name][step, part] = values[name]
        self.live = {name: value for name, value in {**self.live, **found}.items() if name in later}
        return found


def evaluated(graph: Graph, samples: NDArray[np.float32]) -> torch.Tensor:
    """float32[samples, steps, *shape] -> float32[steps, samples, *shape of the result]."""
    return Walk(graph, samples).advance([n for n in graph.nodes if not isinstance(n, nodes.Input)])[
        graph.output
    ]
