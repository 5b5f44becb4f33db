"""`segments`: a graph cut into pieces that become programs; each begins where rows of weights or a state are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import (
    Affine,
    Attention,
    Conv,
    Delay,
    Floats,
    Input,
    Linear,
    Neuron,
    Node,
    Rearrange,
)

_LEADING = Linear | Conv | Attention | Delay


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Nodes that become one program. `looped`: all of them wait for what one of them left in the step before."""

    nodes: tuple[Node, ...]
    looped: bool

    @property
    def last(self) -> Node:
        """The last one that computes something: what a float model is compared with."""
        return [node for node in self.nodes if not isinstance(node, Rearrange)][-1]

    @property
    def kind(self) -> str:
        """What it is to a reader."""
        spiking = any(isinstance(node, Neuron) for node in self.nodes)
        for node in self.nodes:
            match node:
                case Conv():
                    name = "depthwise" if 1 < node.groups == node.weight.shape[0] else "conv"
                case Linear():
                    name = "linear"
                case Attention():
                    name = f"{node.kind} attention"
                case _:
                    continue
            return f"spiking {name}" if spiking else name
        return "neurons" if spiking else type(self.last).__name__.lower()


def pruned(graph: Graph) -> Graph:
    """Without nodes that the result does not depend on."""
    needed, waiting = set[str](), [graph.output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += graph.by_name[name].inputs
    nodes = tuple(node for node in graph.nodes if node.name in needed or isinstance(node, Input))
    return Graph(nodes=nodes, output=graph.output)


def folded(graph: Graph) -> Graph:
    """Scales and shifts per output channel right behind weights become part of them."""
    nodes = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if not isinstance(node, Affine):
            continue
        before = nodes[node.inputs[0]]
        if len(graph.users(before.name)) > 1 or before.name == graph.output:
            continue
        joined = _joined(before, node, graph)
        if joined is not None:
            del nodes[before.name]
            nodes[node.name] = joined
    return Graph(
        nodes=tuple(nodes[node.name] for node in graph.nodes if node.name in nodes), output=graph.output
    )


def _joined(before: Node, affine: Affine, graph: Graph) -> Linear | Conv | None:
    """Weights with an affine of their outputs, under its name; None if that is no affine of channels."""
    if not isinstance(before, Linear | Conv):
        return None
    shape = graph.shapes[before.name]
    axis = len(shape) - 1 - (len(before.kernel) if isinstance(before, Conv) else 0)
    channels = shape[axis]
    scale, shift = (_per_channel(array, len(shape), axis, channels) for array in (affine.scale, affine.shift))
    if scale is None or shift is None:
        return None
    weight = before.weight * scale.reshape(-1, *[1] * (before.weight.ndim - 1))
    bias = shift if before.bias is None else before.bias * scale + shift
    return replace(before, name=affine.name, weight=weight, bias=bias)


def _per_channel(array: Floats, rank: int, axis: int, channels: int) -> Floats | None:
    """float32[channels] if an array that is broadcast to a shape varies along one axis only, else None."""
    whole = array.reshape([1] * (rank - array.ndim) + list(array.shape))
    if any(size != 1 for at, size in enumerate(whole.shape) if at != axis):
        return None
    return np.broadcast_to(whole.reshape(-1), (channels,)).astype(np.float32)


def segments(graph: Graph) -> tuple[Segment, ...]:
    """Of a pruned graph, in order; the input is in none."""
    found: list[Segment] = []
    current: list[Node] = []
    looped, waiting = False, set[str]()

    def close() -> None:
        nonlocal current, looped
        if current:
            found.append(Segment(nodes=tuple(current), looped=looped))
        current, looped = [], False

    for node in graph.nodes:
        if isinstance(node, Input):
            continue
        if isinstance(node, _LEADING) and not waiting and not all(isinstance(n, Rearrange) for n in current):
            close()
        if isinstance(node, Delay):
            looped = True
            waiting.add(node.inputs[0])
        current.append(node)
        waiting.discard(node.name)
        if looped and not waiting:
            close()
    close()
    computing = [segment for segment in found if any(not isinstance(n, Rearrange) for n in segment.nodes)]
    if len(computing) == len(found) or not computing:
        return tuple(found)
    return _attached(found)


def _attached(found: list[Segment]) -> tuple[Segment, ...]:
    """Rearrangements alone are no program: they go with the segment before, or behind."""
    result: list[Segment] = []
    pending: tuple[Node, ...] = ()
    for segment in found:
        if all(isinstance(node, Rearrange) for node in segment.nodes):
            if result:
                result[-1] = replace(result[-1], nodes=result[-1].nodes + segment.nodes)
            else:
                pending += segment.nodes
        else:
            result.append(replace(segment, nodes=pending + segment.nodes))
            pending = ()
    return tuple(result)
