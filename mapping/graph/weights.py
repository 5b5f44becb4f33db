"""Weights and constants as the core has them: INT8 rows with a scale per output channel, mantissas of 16 bits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import Conv, Floats, Linear, Neuron, Node
from spikesim.mapping.quantize import mantissas, quantize_rows


@dataclass(frozen=True, kw_only=True)
class Weights:
    """weight[o] ≈ integers[o] · scales[o]; `integers`: int8 of the weight's shape, `scales`: float64[outputs]."""

    integers: NDArray[np.int8]
    scales: NDArray[np.float64]

    @property
    def real(self) -> Floats:
        """What the integers stand for. Exact in float32: the scales have 16 bits."""
        scales = self.scales.reshape(-1, *[1] * (self.integers.ndim - 1))
        return (self.integers * scales).astype(np.float32)


def quantized(weight: Floats) -> Weights:
    """INT8, a scale of 16 bits per output channel, all scales at one binary point."""
    flat = torch.from_numpy(np.ascontiguousarray(weight.reshape(weight.shape[0], -1)))
    integers, scales = quantize_rows(flat)
    words, fraction = mantissas(scales)
    return Weights(
        integers=integers.reshape(weight.shape), scales=np.ldexp(words.astype(np.float64), -fraction)
    )


def as_mantissas(values: Floats) -> Floats:
    """What the core multiplies with in place of some constants: 16 bits each, at one binary point."""
    words, fraction = mantissas(values.astype(np.float64).reshape(-1))
    return (words * 2.0**-fraction).astype(np.float32).reshape(values.shape)


def on_quantized_weights(graph: Graph) -> Graph:
    """The same network with the weights, leaks and gains that the core has: what its framework is compared on."""
    return Graph(nodes=tuple(map(_quantized, graph.nodes)), output=graph.output)


def _quantized(node: Node) -> Node:
    match node:
        case Linear() | Conv():
            return replace(node, weight=quantized(node.weight).real)
        case Neuron():
            alpha = None if node.alpha is None else as_mantissas(node.alpha)
            return replace(node, alpha=alpha, beta=as_mantissas(node.beta), gain=as_mantissas(node.gain))
        case _:
            return node
