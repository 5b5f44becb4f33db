"""What a network holds, node by node: shapes, parameters, and multiplications of a step."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import Attention, Conv, Input, Linear, Node, Rearrange, Shape


class NodeFacts(NamedTuple):
    """`macs`: multiplications with their additions, of a step of one sample; those of matrices and convolutions."""

    name: str
    kind: str
    shape: Shape
    parameters: int
    macs: int


def graph_facts(graph: Graph) -> dict[str, Any]:
    """Nodes in order, but for those that only rearrange, and sums over all of them.

    `int8_weight_bytes`: weights of matrices and convolutions, as a core holds them.
    """
    nodes = [node for node in graph.nodes if not isinstance(node, Input | Rearrange)]
    found = [_facts(graph, node) for node in nodes]
    weights = sum(node.weight.size for node in nodes if isinstance(node, Linear | Conv))
    return {
        "nodes": [entry._asdict() for entry in found],
        "sizes": {
            "parameters": sum(entry.parameters for entry in found),
            "macs": sum(entry.macs for entry in found),
            "int8_weight_bytes": weights,
        },
        "input_shape": graph.input.shape,
        "output_shape": graph.shapes[graph.output],
        "keeps_state": graph.keeps_state,
    }


def _facts(graph: Graph, node: Node) -> NodeFacts:
    arrays = (value for value in vars(node).values() if isinstance(value, np.ndarray))
    return NodeFacts(
        name=node.name,
        kind=type(node).__name__.lower(),
        shape=graph.shapes[node.name],
        parameters=sum(array.size for array in arrays if array.dtype == np.float32),
        macs=_macs(node, graph.shapes[node.name], [graph.shapes[name] for name in node.inputs]),
    )


def _macs(node: Node, shape: Shape, inputs: list[Shape]) -> int:
    match node:
        case Linear() | Conv():
            return prod(shape) * prod(node.weight.shape[1:])
        case Attention():
            query, key, value = inputs
            heads, size, wide = query[-3], query[-1], value[-1]
            if node.kind == "softmax":
                return heads * query[-2] * key[-2] * (size + wide)
            return heads * (query[-2] + key[-2]) * size * wide
        case _:
            return 0
