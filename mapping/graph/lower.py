"""`lower_segment`: nodes of a graph to one program; a function per kind of node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikesim.hardware import HardwareConfig
from spikesim.mapping.builder import ProgramBuilder
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.formats import Formats
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.lower_attention import lower_attention
from spikesim.mapping.graph.lower_elementwise import (
    lower_activation,
    lower_affine,
    lower_concat,
    lower_integer_lif,
    lower_layer_norm,
    lower_product,
    lower_sum,
)
from spikesim.mapping.graph.lower_matrix import lower_conv, lower_linear
from spikesim.mapping.graph.lower_neuron import begin_delay, end_delay, lower_neuron
from spikesim.mapping.graph.lower_pool import lower_pool
from spikesim.mapping.graph.lowering import Lowering
from spikesim.mapping.graph.segments import Segment
from spikesim.mapping.graph.tensor import Tensor, row_major
from spikesim.mapping.ranges import fraction_for
from spikesim.program import ACTIVATION_LIMIT, Port, Program, Requires


def lower_segment(
    name: str,
    segment: Segment,
    graph: Graph,
    tensors: dict[str, Tensor],
    formats: Formats,
    hardware: HardwareConfig,
) -> tuple[Program, Tensor]:
    """The program of a segment; adds the tensors of its nodes to those that are known, and returns that of its last.

    Ports: inputs are the vectors of other programs that it takes, under their names there; outputs its last tensor's
    vector, then those that later programs take. Raises CapacityError for what the core has no room for.
    """
    builder = ProgramBuilder(
        name,
        Requires(accumulator_bits=hardware.array.accumulator_bits, numerics=hardware.numerics),
    )
    low = Lowering(
        builder=builder,
        numerics=hardware.numerics,
        graph=graph,
        tensors=tensors,
        formats=formats,
    )
    before = {tensor.vector: tensor for tensor in tensors.values()}
    builder.vectors |= {vector: tensor.words for vector, tensor in before.items()}
    if segment.looped:
        with builder.section("recurrent"):
            for node in segment.nodes:
                _lower(low, node, segment)
    else:
        for node in segment.nodes:
            with builder.section(
                "recurrent" if isinstance(node, nodes.Neuron | nodes.Attention) else "parallel"
            ):
                _lower(low, node, segment)
    last = tensors[segment.last.name]
    with builder.section("parallel"):
        if graph.output in {node.name for node in segment.nodes}:
            last = _result(low, graph, before)
    return _built(low, segment, before, last), last


def _result(low: Lowering, graph: Graph, before: Mapping[str, Tensor]) -> Tensor:
    """The network's output: plain numbers in their order, in a vector of the last program."""
    tensor = low.tensor(graph.output)
    if tensor.unit != 1.0:
        peak = tensor.limit * tensor.unit * 2.0**-tensor.fraction
        dense = low.dense("result-dense", tensor)
        tensor = low.settled(
            "result-plain", dense, fraction_for(peak, ACTIVATION_LIMIT, 1.0), ACTIVATION_LIMIT
        )
    order = row_major(tensor.shape)
    tensor = low.ordered("result-words", tensor, order)
    if tensor.vector in before:
        low.builder.vector("result-words", tensor.words)
        low.copy_into("result-words", tensor, order)
        tensor = replace(tensor, vector="result-words")
    low.tensors[graph.output] = tensor
    return tensor


def _built(low: Lowering, segment: Segment, before: Mapping[str, Tensor], last: Tensor) -> Program:
    builder = low.builder
    taken = _read(builder)
    inputs = tuple(port(tensor) for vector, tensor in before.items() if vector in taken)
    for vector in before:
        if vector not in taken:
            del builder.vectors[vector]
    inside = {node.name for node in segment.nodes}
    handed = {last.vector: last}
    for node in low.graph.nodes:
        if node.name in inside or isinstance(node, nodes.Delay):
            continue
        for given in node.inputs:
            if given in inside and low.tensors[given].vector not in before:
                handed.setdefault(low.tensors[given].vector, low.tensors[given])
    return builder.build(inputs, tuple(map(port, handed.values())))


def _read(builder: ProgramBuilder) -> set[str]:
    """The vectors that instructions name."""
    return {
        view.name
        for _, body in builder.sections
        for instruction in body
        for _, view, _ in instruction.views()
    }


def port(tensor: Tensor) -> Port:
    """The port by which a tensor goes from program to program."""
    return Port(name=tensor.vector, format=tensor.format, shape=(tensor.words,))


def _lower(low: Lowering, node: nodes.Node, segment: Segment) -> None:
    low.tensors[node.name] = _tensor(low, node, segment)
    for delay in segment.nodes:
        if isinstance(delay, nodes.Delay) and delay.inputs[0] == node.name:
            end_delay(low, delay)


def _tensor(low: Lowering, node: nodes.Node, segment: Segment) -> Tensor:
    match node:
        case nodes.Linear():
            return lower_linear(low, node)
        case nodes.Conv():
            return lower_conv(low, node)
        case nodes.Pool():
            return lower_pool(low, node)
        case nodes.Affine():
            return lower_affine(low, node)
        case nodes.LayerNorm():
            return lower_layer_norm(low, node)
        case nodes.Sum():
            return lower_sum(low, node)
        case nodes.Product():
            return lower_product(low, node)
        case nodes.Activation():
            return lower_activation(low, node)
        case nodes.IntegerLIF():
            return lower_integer_lif(low, node)
        case nodes.Neuron():
            return lower_neuron(low, node)
        case nodes.Attention():
            return lower_attention(low, node)
        case nodes.Concat():
            return lower_concat(low, node)
        case nodes.Rearrange():
            x = low.tensor(node.inputs[0])
            return replace(x, order=x.order.reshape(-1)[node.index])
        case nodes.Delay():
            source = next(n for n in segment.nodes if n.name == node.inputs[0])
            if not isinstance(source, nodes.Neuron) or source.threshold is None:
                raise node.refuse("delay spikes of neurons, whose format is known before they are")
            return begin_delay(low, node, (0, 1, 1.0))
        case _:
            raise node.refuse("be a node that the core can execute")
