"""`Graph`: nodes in the order of execution, with inferred shapes; what is wrong with them is found when it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from spikesim.errors import GraphError
from spikesim.mapping.graph.nodes import Delay, Input, Neuron, Node, Shape


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`nodes`: every one behind its inputs, but for those of a `Delay`; one `Input`. `output`: the name of the result.

    Raises GraphError for names that are not unique or not known, more inputs than one, and shapes that do not fit.
    """

    nodes: tuple[Node, ...]
    output: str

    def __post_init__(self) -> None:
        inputs = [node for node in self.nodes if isinstance(node, Input)]
        if len(inputs) != 1:
            raise GraphError(f"a network must have one input, not {len(inputs)}")
        for name, times in Counter(node.name for node in self.nodes).items():
            if times > 1:
                raise GraphError(f"node {name} must have a name of its own")
        if self.output not in self.by_name:
            raise GraphError(f"the output must be a node, not {self.output}")
        _ = self.shapes

    @property
    def input(self) -> Input:
        """The node by which samples come in."""
        return next(node for node in self.nodes if isinstance(node, Input))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every node's output."""
        found: dict[str, Shape] = {}
        for node in self.nodes:
            for name in node.inputs:
                if name not in found and not isinstance(node, Delay):
                    raise node.refuse(f"come behind its input {name}")
            shapes = () if isinstance(node, Delay) else tuple(found[name] for name in node.inputs)
            found[node.name] = node.shape_of(*shapes)
        for node in self.nodes:
            if isinstance(node, Delay) and found.get(node.inputs[0]) != node.shape:
                raise node.refuse(f"delay a shape of {list(node.shape)}")
        return found

    def plainly_named(self) -> Graph:
        """Without dashes in names: the vectors of a node, and those alone, have its name, a dash, and what they are."""
        taken: set[str] = set()
        names: dict[str, str] = {}
        for node in sorted(self.nodes, key=lambda node: "-" in node.name):
            plain, number = node.name.replace("-", "_"), 1
            while plain in taken:
                number += 1
                plain = f"{node.name.replace('-', '_')}_{number}"
            taken.add(plain)
            names[node.name] = plain
        nodes = tuple(
            replace(node, name=names[node.name], inputs=tuple(names[name] for name in node.inputs))
            for node in self.nodes
        )
        return Graph(nodes=nodes, output=names[self.output])

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Every node."""
        return {node.name: node for node in self.nodes}

    def users(self, name: str) -> Sequence[Node]:
        """The nodes that take an output."""
        return self._users.get(name, ())

    @cached_property
    def _users(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return found

    @property
    def keeps_state(self) -> bool:
        """Whether steps of a sample depend on each other."""
        return any(isinstance(node, Delay | Neuron) for node in self.nodes)
