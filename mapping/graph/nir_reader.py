"""Networks from NIR (Neuromorphic Intermediate Representation, `nir` 1.0.8): spiking neurons that keep their state.

NIR is in continuous time; a tool picks the time step and the way to integrate. Here, as in the importers of norse 1.1.0
(norse/torch/utils/import_nir.py, lif_box.py) and snntorch 1.0.0 (snntorch/import_nir.py), a step is forward Euler:

    LIF, LI          v ← (1 − dt/τ) v + (dt/τ) (r x + v_leak)
    CubaLIF, CubaLI  i ← (1 − dt/τ_syn) i + (dt/τ_syn) w_in x, then v as above with i for x and τ_mem for τ
    IF, I            v ← v + r x

A spike is v > threshold, and the potential is v_reset after it, in the same step, as NIR defines it. An IF has no time
constant, and every importer (sinabs, norse) adds its input once a step, without dt. The default dt is that of snntorch,
1e-4 s; norse's is 1e-3 s. Recurrent edges bring what came out at the step before, zeros first: an edge out of a neuron
is delayed, so that the weights behind it act at every step, as in snntorch.

What the tools do otherwise: norse drops r of LIF and IF, puts v_leak into the synapse of CubaLIF too, and resets to 0;
its exporter writes τ times the dt that it is given, which must be 1 then. snntorch divides the threshold by r dt/τ
instead of scaling the input, which is the same for one factor, and imports IF as a leaky neuron; a neuron of its own
that subtracts its threshold, or resets a step later, is exported as one that does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import GraphError
from spikesim.mapping.graph.drafts import counting, free_name
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.hdf5 import Tree, read_tree
from spikesim.mapping.graph.nodes import (
    Activation,
    Affine,
    Conv,
    Delay,
    Floats,
    Input,
    Linear,
    Neuron,
    Node,
    Pair,
    Pool,
    PoolKind,
    Rearrange,
    Shape,
    Sum,
)
from spikesim.mapping.graph.walk import LARGEST
from spikesim.support.reading import reading
from spikesim.support.shown import shown, unicode_name, visible

_WHAT = "a NIR file as nir.write writes it"
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_DEEPEST = 16
_LONGEST_DELAY = 64
"""Steps."""

_STATELESS = {
    "Affine",
    "Linear",
    "Conv1d",
    "Conv2d",
    "Scale",
    "SumPool2d",
    "AvgPool2d",
    "Flatten",
    "Threshold",
}

Edge = tuple[str, str]


def read_nir(path: str | PathLike[str], *, dt: float = 1e-4) -> Graph:
    """The graph of one step of `dt` seconds. Raises GraphError for other files, and for nodes that are not known."""
    path = Path(path)
    if not (isfinite(dt) and dt > 0):
        raise GraphError(f"the time step must be a positive number of seconds, not {dt:g}")
    tree = read_tree(path, "node", _WHAT)
    with reading(path, _WHAT, GraphError):
        return _Reader(path, dt).graph(tree)


@dataclass(frozen=True)
class _Flat:
    """All nodes by their names, with those of graphs within graphs; edges between them."""

    nodes: dict[str, Tree]
    edges: list[Edge]


class _Reader:
    """Makes nodes."""

    def __init__(self, path: Path, dt: float) -> None:
        self._path, self._dt = path, dt
        self._file = visible(unicode_name(path.name))
        self._taken: set[str] = set()
        self._made: list[Node] = []
        self._outputs: dict[str, str] = {}
        self._shapes: dict[str, Shape] = {}

    def _refuse(self, rule: str) -> GraphError:
        return GraphError(f"{self._path} must {rule}")

    def graph(self, tree: Tree) -> Graph:
        """The graph of a tree of NIR nodes."""
        if tree.get("type") != "NIRGraph":
            raise self._refuse(f"hold a graph, not {shown(tree.get('type'))}")
        flat = self._flat(tree, "", 0)
        inputs = [name for name, node in flat.nodes.items() if node["type"] == "Input"]
        outputs = [name for name, node in flat.nodes.items() if node["type"] == "Output"]
        if len(inputs) != 1 or len(outputs) != 1:
            raise self._refuse(f"have one input and one output, not {len(inputs)} and {len(outputs)}")
        into: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for source, target in flat.edges:
            into[target].append(source)
        delayed = _recurrent(flat, inputs[0], into)
        order = self._order(flat, into, delayed)
        waiting: list[tuple[Edge, str]] = []  # delays, whose inputs come later
        for name in order:
            node = flat.nodes[name]
            if not into[name] and node["type"] != "Input":
                raise self._fault(name, node, "have an input")
            given = [
                self._delay(flat, (source, name), waiting)
                if (source, name) in delayed
                else self._outputs[source]
                for source in into[name]
            ]
            self._outputs[name] = self._node(flat, name, self._added(name, given))
        nodes = {node.name: node for node in self._made}
        for (source, _), name in waiting:
            delay = nodes[name]
            nodes[name] = Delay(
                name=name, source=delay.source, inputs=(self._outputs[source],), shape=self._shapes[name]
            )
        return Graph(nodes=tuple(nodes.values()), output=self._outputs[outputs[0]])

    # The structure.

    def _flat(self, tree: Tree, prefix: str, depth: int) -> _Flat:
        """Graphs within graphs taken apart: edges to one go to its input, edges from one come from its output."""
        if depth > _DEEPEST or not isinstance(tree.get("nodes"), Mapping):
            raise self._refuse(f"hold graphs of nodes, within each other to a depth of at most {_DEEPEST}")
        nodes: dict[str, Tree] = {}
        edges: list[Edge] = []
        begins: dict[str, str] = {}
        ends: dict[str, str] = {}
        for key, node in tree["nodes"].items():
            name = prefix + key
            if not isinstance(node, Mapping) or not isinstance(node.get("type"), str):
                raise self._refuse(f"say of what type node {visible(name)} is")
            begins[key] = ends[key] = name
            if node["type"] == "NIRGraph":
                inner = self._flat(dict(node), f"{name}.", depth + 1)
                begins[key], ends[key] = (self._port(inner, f"{name}.", kind) for kind in ("Input", "Output"))
                for port in (begins[key], ends[key]):
                    inner.nodes[port] = {**inner.nodes[port], "type": "Pass"}
                nodes |= inner.nodes
                edges += inner.edges
            else:
                nodes[name] = dict(node)
        for source, target in self._edges(tree):
            if source not in begins or target not in begins:
                missing = source if source not in begins else target
                raise self._refuse(f"have edges between its nodes, not to {shown(prefix + missing)}")
            edges.append((ends[source], begins[target]))
        if len(set(edges)) < len(edges):
            raise self._refuse("have every edge once")
        return _Flat(nodes, edges)

    def _port(self, inner: _Flat, prefix: str, kind: str) -> str:
        found = [
            name
            for name, node in inner.nodes.items()
            if node["type"] == kind and "." not in name[len(prefix) :]
        ] or [name for name, node in inner.nodes.items() if node["type"] == kind]
        if len(found) != 1:
            raise self._refuse(f"have one {kind} in graph {visible(prefix[:-1])}, not {len(found)}")
        return found[0]

    def _edges(self, tree: Tree) -> Iterator[Edge]:
        edges = tree.get("edges")
        if isinstance(edges, np.ndarray) and edges.size == 0:
            return
        if (
            not isinstance(edges, np.ndarray)
            or edges.dtype != object
            or edges.ndim != 2
            or edges.shape[1] != 2
        ):
            raise self._refuse("list its edges as pairs of names")
        yield from edges

    def _order(self, flat: _Flat, into: Mapping[str, Sequence[str]], delayed: set[Edge]) -> list[str]:
        """Every node behind its inputs, those of delayed edges aside."""
        missing = {name: sum((source, name) not in delayed for source in into[name]) for name in flat.nodes}
        out: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for source, target in flat.edges:
            if (source, target) not in delayed:
                out[source].append(target)
        ready = [name for name in flat.nodes if not missing[name]][::-1]
        order = []
        while ready:
            name = ready.pop()
            order.append(name)
            for target in reversed(out[name]):
                missing[target] -= 1
                if not missing[target]:
                    ready.append(target)
        if len(order) < len(flat.nodes):
            left = next(name for name in flat.nodes if missing[name])
            raise self._refuse(f"be reached from its input, and node {visible(left)} is not")
        return order

    def _added(self, name: str, given: list[str]) -> list[str]:
        """What meets at a node is added up."""
        while len(given) > 1:
            first, second, *rest = given
            given = [self._add(Sum, name, (first, second), "sum"), *rest]
        return given

    def _delay(self, flat: _Flat, edge: Edge, waiting: list[tuple[Edge, str]]) -> str:
        """What came along an edge at the step before; the shape is what the node behind it says that it takes."""
        shape = _declared_output(flat.nodes[edge[0]])
        if shape is None:
            raise self._fault(
                edge[0], flat.nodes[edge[0]], "be a neuron or a matrix, to be delayed in a loop"
            )
        name = self._add(Delay, edge[0], ("",), "before", shape=shape)
        waiting.append((edge, name))
        return name

    def _add(
        self, node_type: type[Node], key: str, inputs: tuple[str, ...], part: str = "", **fields: Any
    ) -> str:
        """The name of a new node."""
        name = _NO_NAME.sub("_", f"{key}.{part}" if part else key).lstrip(".-")[:120] or "node"
        node = node_type(
            name=free_name(name, self._taken), source=f"{self._file}, {visible(key)}", inputs=inputs, **fields
        )
        shapes = () if isinstance(node, Delay | Input) else tuple(self._shapes[each] for each in inputs)
        self._shapes[node.name] = node.shape_of(*shapes)
        self._made.append(node)
        return node.name

    def _fault(self, name: str, node: Tree, rule: str) -> GraphError:
        return GraphError(f"node {visible(name)} ({self._file}, {visible(node['type'])}) must {rule}")

    # Nodes.

    def _node(self, flat: _Flat, name: str, given: list[str]) -> str:
        node = flat.nodes[name]
        kind = node["type"]
        if kind == "Input":
            if given:
                raise self._fault(name, node, "have no input")
            shape = self._input_shape(name, node, flat)
            return self._add(Input, name, (), shape=shape)
        (source,) = given
        match kind:
            case "Output" | "Pass":
                return source
            case "Linear" | "Affine":
                return self._matrix(name, node, source)
            case "Conv1d" | "Conv2d":
                return self._conv(name, node, source)
            case "SumPool2d" | "AvgPool2d":
                return self._pool(name, node, source, "sum" if kind == "SumPool2d" else "average")
            case "Flatten":
                return self._flatten(name, node, source)
            case "Scale":
                scale = self._like(name, node, "scale", source)
                return self._add(Affine, name, (source,), scale=_floats(scale), shift=_floats(0.0))
            case "Threshold":
                shift = -self._like(name, node, "threshold", source)
                above = self._add(Affine, name, (source,), "above", scale=_floats(1.0), shift=_floats(shift))
                return self._add(Activation, name, (above,), kind="step")
            case "Delay":
                return self._delays(name, node, source)
            case "IF" | "I" | "LIF" | "LI" | "CubaLIF" | "CubaLI":
                return self._neuron(name, node, source)
        raise self._fault(name, node, f"be of a type that is known, not {shown(kind)}")

    def _input_shape(self, name: str, node: Tree, flat: _Flat) -> Shape:
        """As the file has it, without the batch axis that norse leaves before it: what comes next has none."""
        sizes = self._numbers(name, node, "shape").reshape(-1)
        if (sizes != np.floor(sizes)).any() or (sizes < 1).any() or not sizes.size or prod(sizes) > LARGEST:
            raise self._fault(
                name, node, f"have sizes of at most {LARGEST:,} elements, not {shown(list(sizes))}"
            )
        shape = tuple(map(int, sizes))
        axes = {_axes(flat.nodes[target]) for source, target in flat.edges if source == name} - {0}
        surplus = len(shape) - min(axes, default=len(shape))
        return shape[surplus:] if surplus > 0 and set(shape[:surplus]) == {1} else shape

    def _matrix(self, name: str, node: Tree, source: str) -> str:
        weight = self._numbers(name, node, "weight")
        if weight.ndim != 2:
            raise self._fault(name, node, f"have a matrix, not weights of {list(weight.shape)}")
        bias = _floats(self._numbers(name, node, "bias").reshape(-1)) if node["type"] == "Affine" else None
        return self._add(Linear, name, (source,), weight=_floats(weight), bias=bias)

    def _conv(self, name: str, node: Tree, source: str) -> str:
        weight, axes = self._numbers(name, node, "weight"), int(node["type"][4])
        if weight.ndim != axes + 2:
            raise self._fault(name, node, f"have weights over {axes} axes, not {list(weight.shape)}")
        stride, dilation = (self._sizes(name, node, key, axes) for key in ("stride", "dilation"))
        return self._add(
            Conv,
            name,
            (source,),
            weight=_floats(weight),
            bias=_floats(self._numbers(name, node, "bias").reshape(-1)) if "bias" in node else None,
            stride=stride,
            padding=self._padding(name, node, weight.shape[2:], stride, dilation),
            dilation=dilation,
            groups=int(self._numbers(name, node, "groups").item()),
        )

    def _padding(
        self, name: str, node: Tree, kernel: Shape, stride: Shape, dilation: Shape
    ) -> tuple[Pair, ...]:
        """Numbers, or text: "valid" is none, "same" keeps the size, with the larger half behind as in torch."""
        padding = node.get("padding")
        if isinstance(padding, str) and padding == "valid":
            return ((0, 0),) * len(kernel)
        if isinstance(padding, str) and padding == "same":
            if set(stride) != {1}:
                raise self._fault(name, node, f"have a stride of 1 to keep the size, not {list(stride)}")
            whole = [step * (size - 1) for size, step in zip(kernel, dilation, strict=True)]
            return tuple((size // 2, size - size // 2) for size in whole)
        return tuple((size, size) for size in self._sizes(name, node, "padding", len(kernel)))

    def _pool(self, name: str, node: Tree, source: str, kind: PoolKind) -> str:
        kernel, stride, padding = (
            self._sizes(name, node, key, 2) for key in ("kernel_size", "stride", "padding")
        )
        pairs = tuple((size, size) for size in padding)
        return self._add(Pool, name, (source,), kind=kind, kernel=kernel, stride=stride, padding=pairs)

    def _flatten(self, name: str, node: Tree, source: str) -> str:
        shape = self._shapes[source]
        first, last = (int(self._numbers(name, node, key).item()) for key in ("start_dim", "end_dim"))
        first, last = (axis + len(shape) if axis < 0 else axis for axis in (first, last))
        if not 0 <= first <= last < len(shape):
            raise self._fault(name, node, f"flatten axes that {list(shape)} has, not {first} to {last}")
        flat = (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])
        return self._add(Rearrange, name, (source,), index=counting(shape).reshape(flat))

    def _delays(self, name: str, node: Tree, source: str) -> str:
        steps = np.unique(np.round(self._numbers(name, node, "delay") / self._dt, 6))
        if steps.size != 1 or steps[0] != int(steps[0]) or not 0 <= steps[0] <= _LONGEST_DELAY:
            raise self._fault(
                name,
                node,
                f"delay all by one whole number of steps of {self._dt:g} s, at most {_LONGEST_DELAY}",
            )
        for _ in range(int(steps[0])):
            source = self._add(Delay, name, (source,), shape=self._shapes[source])
        return source

    def _neuron(self, name: str, node: Tree, source: str) -> str:
        """Its parameters for one step, computed in doubles."""
        kind = node["type"]

        def given(key: str) -> NDArray[np.float64]:
            return self._like(name, node, key, source)

        fields: dict[str, Any] = {}
        if kind in ("IF", "I"):
            beta, gain, leak = np.ones(()), given("r"), np.zeros(())
        else:
            rate = self._rate(name, node, "tau_mem" if kind.startswith("Cuba") else "tau", source)
            beta, gain, leak = 1 - rate, given("r") * rate, given("v_leak") * rate
        if kind.startswith("Cuba"):
            synapse = self._rate(name, node, "tau_syn", source)
            fields["alpha"] = _floats(1 - synapse)
            gain = gain * synapse * (given("w_in") if "w_in" in node else 1.0)
        if kind.endswith("F"):
            fields["threshold"] = _floats(given("v_threshold"))
            fields["reset"] = _floats(given("v_reset") if "v_reset" in node else 0.0)
        return self._add(
            Neuron, name, (source,), beta=_floats(beta), gain=_floats(gain), leak=_floats(leak), **fields
        )

    def _rate(self, name: str, node: Tree, key: str, source: str) -> NDArray[np.float64]:
        """dt/τ, of which 1 − dt/τ must not change sign."""
        tau = self._like(name, node, key, source)
        if not (tau > 0).all() or (self._dt / tau > 1 + 1e-6).any():
            raise self._fault(
                name, node, f"have a {key} of at least the time step, {self._dt:g} s, not {tau.min():g} s"
            )
        return np.minimum(self._dt / tau, 1.0)

    # Values.

    def _numbers(self, name: str, node: Tree, key: str) -> NDArray[np.float64]:
        value = node.get(key)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            raise self._fault(name, node, f"have numbers for {key}")
        numbers = value.astype(np.float64)
        if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > np.finfo(np.float32).max:
            raise self._fault(name, node, f"have finite numbers for {key}")
        return numbers

    def _like(self, name: str, node: Tree, key: str, source: str) -> NDArray[np.float64]:
        """Numbers that fit what comes in; one number fits all."""
        numbers, shape = self._numbers(name, node, key), self._shapes[source]
        if numbers.size == 1:
            return numbers.reshape(())
        if numbers.shape != shape:
            raise self._fault(name, node, f"have a {key} of {list(shape)}, not of {list(numbers.shape)}")
        return numbers

    def _sizes(self, name: str, node: Tree, key: str, axes: int) -> tuple[int, ...]:
        numbers = self._numbers(name, node, key).reshape(-1)
        if numbers.size not in (1, axes) or (numbers != np.floor(numbers)).any() or (numbers < 0).any():
            raise self._fault(name, node, f"have whole numbers for {key}, one for each of {axes} axes")
        sizes = tuple(map(int, numbers))
        return sizes * axes if len(sizes) == 1 else sizes


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float32)


def _recurrent(flat: _Flat, begin: str, into: Mapping[str, Sequence[str]]) -> set[Edge]:
    """Edges that close loops on the way from the input; each as close behind a neuron as nothing else is affected."""
    out: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for source, target in flat.edges:
        out[source].append(target)
    closing = []
    active: set[str] = set()
    done: set[str] = set()
    for root in (begin, *flat.nodes):
        if root in done:
            continue
        path = [(root, iter(out[root]))]
        active.add(root)
        while path:
            name, targets = path[-1]
            target = next(targets, "")
            if not target:
                path.pop()
                active.discard(name)
                done.add(name)
            elif target in active:
                closing.append((name, target))
            elif target not in done:
                active.add(target)
                path.append((target, iter(out[target])))
    delayed = set()
    for source, target in closing:
        while (
            flat.nodes[source]["type"] in _STATELESS | {"Pass"}
            and len(into[source]) == 1
            and len(out[source]) == 1
            and source != target
        ):
            source, target = into[source][0], source
        delayed.add((source, target))
    return delayed


def _declared_output(node: Tree) -> Shape | None:
    """The shape that comes out of a node, if that is known from the node alone."""
    match node["type"]:
        case "IF" | "I":
            return _shape(node.get("r"))
        case "LIF" | "LI" | "CubaLIF" | "CubaLI":
            return _shape(node.get("v_leak"))
        case "Affine" | "Linear":
            return _shape(node.get("weight"))[:1]
    return None


def _axes(node: Tree) -> int:
    """Axes of what a node takes, 0 if any."""
    known = {"Affine": 1, "Linear": 1, "Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}
    return known.get(node["type"]) or len(_declared_output(node) or ())


def _shape(value: Any) -> Shape:
    return value.shape if isinstance(value, np.ndarray) else ()
