"""Nodes that a reader makes on the way, and `settled`: what becomes of them.

A model file says attention, norms and integer neurons in several operators each. The walk over its operators makes a
draft: a list of nodes of which some are of kinds that exist here only. `settled` finds the patterns in it, writes what
is left of the kinds of this module in nodes of `spikesim.mapping.graph.nodes` or refuses it, joins rearrangements that
follow each other, and drops what nothing uses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikesim.mapping.graph.nodes import (
    Activation,
    ActivationKind,
    Affine,
    Attention,
    Conv,
    Floats,
    IntegerLIF,
    LayerNorm,
    Node,
    Pair,
    Pool,
    PoolKind,
    Product,
    Rearrange,
    Shape,
    Sum,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class MatMul(Node):
    """a b of two activations, over the last two axes; those before are alike."""

    def shape_of(self, *shapes: Shape) -> Shape:
        """[…, rows, inner], […, inner, columns] -> […, rows, columns]."""
        self.given(shapes, 2)
        left, right = shapes
        if left[:-2] != right[:-2] or left[-1] != right[-2]:
            raise self.refuse(f"multiply matrices that fit, not {list(left)} and {list(right)}")
        return (*left[:-1], right[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Elementwise(Node):
    """A function that stands in a graph only as a part of a pattern; `Power` is what may be left of it."""

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        self.given(shapes, 1)
        return shapes[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Softmax(Elementwise):
    """Along the last axis."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clamp(Elementwise):
    """min(max(x, low), high)."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Round(Elementwise):
    """To the nearest integer, or down."""

    down: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Power(Elementwise):
    """x to the power of a constant."""

    exponent: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Reduce(Node):
    """The largest, the mean or the sum along some axes, which stay with length 1."""

    kind: PoolKind
    axes: tuple[int, ...]

    def shape_of(self, *shapes: Shape) -> Shape:
        """1 along the axes."""
        self.given(shapes, 1)
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(shapes[0]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(Node):
    """A value before and behind, along every axis."""

    padding: tuple[Pair, ...]
    value: float

    def shape_of(self, *shapes: Shape) -> Shape:
        """Longer."""
        self.given(shapes, 1)
        return tuple(
            size + before + behind for size, (before, behind) in zip(shapes[0], self.padding, strict=True)
        )


def counting(shape: Shape) -> NDArray[np.int64]:
    """0, 1, 2 … in a shape: the index of a rearrangement that changes nothing."""
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def settled(nodes: Sequence[Node], output: str) -> tuple[tuple[Node, ...], str]:
    """The nodes of a graph, and the name of its result. Raises GraphError for what has no form in nodes of a graph."""
    draft = _Draft()
    for rewrite in (draft.matched, draft.written, draft.joined):
        nodes, output = draft.through(nodes, output, rewrite)
    return tuple(nodes), output


class _Draft:
    """Goes through nodes in order and puts others in their place, which then stand for them in all that follows."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {}
        self._same: dict[str, str] = {}
        self._uses: dict[str, int] = {}

    def through(
        self, nodes: Sequence[Node], output: str, rewrite: Callable[[Node], Iterator[Node]]
    ) -> tuple[Sequence[Node], str]:
        """The rewritten nodes that the output needs, and its name."""
        self._nodes, self._shapes, self._same = {}, {}, {}
        self._uses = {}
        for node in nodes:
            for name in node.inputs:
                self._uses[name] = self._uses.get(name, 0) + 1
        self._uses[output] = self._uses.get(output, 0) + 1
        taken = {node.name for node in nodes}
        for node in nodes:
            inputs = tuple(self._same.get(name, name) for name in node.inputs)
            if inputs != node.inputs:
                node = dataclasses.replace(node, inputs=inputs)
            renamed: dict[str, str] = {}
            last = ""
            for made in rewrite(node):
                if made.name not in taken:
                    taken.add(made.name)
                elif made.name != node.name and made.name not in self._nodes:
                    renamed[made.name] = free_name(made.name, taken)
                if renamed:
                    inputs = tuple(renamed.get(name, name) for name in made.inputs)
                    made = dataclasses.replace(made, name=renamed.get(made.name, made.name), inputs=inputs)
                self._nodes[made.name] = made
                self._shapes[made.name] = made.shape_of(*(self._shapes[name] for name in made.inputs))
                last = made.name
            if last and node.name in self._nodes and last != node.name:  # its output is that of the last one
                self._same[node.name] = last
                self._uses[last] = self._uses.get(node.name, 0)
        output = self._same.get(output, output)
        needed = {output}
        for node in reversed(self._nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
        return [node for node in self._nodes.values() if node.name in needed or _is_input(node)], output

    # Patterns.

    def matched(self, node: Node) -> Iterator[Node]:
        """The node, or what it is the last of several operators of."""
        match node:
            case MatMul():
                yield from self._attention(node)
            case Round() | Clamp():
                yield self._clamp_or_spikes(node)
            case Product():
                yield self._product(node)
            case Affine():
                yield from self._affine(node)
            case Sum(subtract=False):
                yield from self._straight_through(node)
            case Conv() | Pool():
                yield self._without_pad(node)
            case _:
                yield node

    def _attention(self, node: MatMul) -> Iterator[Node]:
        """softmax(q kᵀ · scale) v, q (kᵀ v) · scale, (q kᵀ) v · scale."""
        left, right = node.inputs
        found, scale = self._unscaled(left)
        weights = self._nodes[found]
        kind: Literal["softmax", "linear"] = "linear"
        if isinstance(weights, Softmax) and scale == 1.0 and self._alike(left, found):
            kind = "softmax"
            found, scale = self._unscaled(weights.inputs[0])
        product = self._nodes[found]
        if isinstance(product, MatMul) and self._alike(left, found):
            yield from self._heads(node, kind, scale, (*product.inputs, right))
            return
        found, scale = self._unscaled(right)
        product = self._nodes[found]
        if isinstance(product, MatMul) and self._alike(right, found):
            yield from self._heads(node, "linear", scale, (left, *product.inputs))
            return
        yield node

    def _heads(
        self, node: Node, kind: Literal["softmax", "linear"], scale: float, names: Sequence[str]
    ) -> Iterator[Node]:
        """Attention in place of a node, of queries, keys with tokens last, and values."""
        query, keys, value = (counting(self._shapes[name]) for name in names)
        (first, of_queries), (second, of_keys) = map(self._unscaled, names[:2])
        heads = prod(query.shape[:-2])
        rows = (
            query.reshape(heads, *query.shape[-2:]),
            keys.reshape(heads, *keys.shape[-2:]).swapaxes(-1, -2),
            value.reshape(heads, *value.shape[-2:]),
        )
        given = tuple(f"{node.name}.{part}" for part in ("queries", "keys", "values"))
        for name, part, index in zip((first, second, names[2]), given, rows, strict=True):
            index = np.ascontiguousarray(index)
            yield Rearrange(name=part, source=node.source, inputs=(name,), index=index)
        scale = scale * of_queries * of_keys
        yield Attention(name=node.name, source=node.source, inputs=given, kind=kind, scale=scale)
        index = counting((*query.shape[:-1], value.shape[-1]))
        yield Rearrange(name=f"{node.name}.out", source=node.source, inputs=(node.name,), index=index)

    def _clamp_or_spikes(self, node: Round | Clamp) -> Node:
        """round(clamp(x, 0, D)), clamp(round(x), 0, D) and floor(clamp(x, 0, D) + ½) are spikes of D virtual steps."""
        inner = self._nodes[node.inputs[0]]
        if isinstance(node, Clamp):
            if isinstance(inner, Round) and not inner.down and _is_levels(node):
                return self._spikes(node, node, inner.inputs)
            if isinstance(inner, Clamp) and inner.low <= node.high and node.low <= inner.high:
                low, high = max(inner.low, node.low), min(inner.high, node.high)
                return dataclasses.replace(node, inputs=inner.inputs, low=low, high=high)
            return node
        if node.down:
            if not (isinstance(inner, Affine) and _is(inner.scale, 1.0) and _is(inner.shift, 0.5)):
                return node
            inner = self._nodes[inner.inputs[0]]
        if isinstance(inner, Clamp) and _is_levels(inner):
            return self._spikes(node, inner, inner.inputs)
        return node

    @staticmethod
    def _spikes(node: Node, clamp: Clamp, inputs: tuple[str, ...]) -> Node:
        return IntegerLIF(name=node.name, source=node.source, inputs=inputs, levels=int(clamp.high))

    def _product(self, node: Product) -> Node:
        """x · sigmoid(x), x · hardsigmoid(x), and x · (mean(x²) + eps)^−½ along the last axis."""
        for x, factor in (node.inputs, node.inputs[::-1]):
            gate = self._nodes[factor]
            if (
                isinstance(gate, Activation)
                and gate.inputs == (x,)
                and gate.kind in ("sigmoid", "hardsigmoid")
            ):
                kind: ActivationKind = "silu" if gate.kind == "sigmoid" else "hardswish"
                return Activation(name=node.name, source=node.source, inputs=(x,), kind=kind)
            eps = self._eps(x, factor)
            if eps is not None:
                ones = np.ones(self._shapes[x][-1], np.float32)
                return LayerNorm(
                    name=node.name,
                    source=node.source,
                    inputs=(x,),
                    weight=ones,
                    bias=None,
                    eps=eps,
                    centred=False,
                )
        return node

    def _eps(self, x: str, factor: str) -> float | None:
        """eps if `factor` is (mean(x²) + eps)^−½ of the last axis, repeated along it."""
        repeat = self._nodes[factor]
        if not isinstance(repeat, Rearrange):
            return None
        shape, narrow = self._shapes[x], self._shapes[repeat.inputs[0]]
        if narrow != (*shape[:-1], 1) or (repeat.index != counting(narrow)).any():
            return None
        root = self._nodes[repeat.inputs[0]]
        if isinstance(root, Power) and root.exponent == -1.0:
            root = self._nodes[root.inputs[0]]
            exponent = 0.5
        else:
            exponent = -0.5
        if not isinstance(root, Power) or root.exponent != exponent:
            return None
        shifted = self._nodes[root.inputs[0]]
        eps = 0.0
        if isinstance(shifted, Affine) and _is(shifted.scale, 1.0) and shifted.shift.size == 1:
            eps = float(shifted.shift.item())
            shifted = self._nodes[shifted.inputs[0]]
        if not isinstance(shifted, Reduce) or shifted.kind != "average" or shifted.axes != (len(shape) - 1,):
            return None
        square = self._nodes[shifted.inputs[0]]
        return eps if isinstance(square, Product) and square.inputs == (x, x) else None

    def _affine(self, node: Affine) -> Iterator[Node]:
        """Weights of a norm that has none; a scale of integer spikes that nothing else uses; hard sigmoids."""
        inner = self._nodes[node.inputs[0]]
        if _is(node.scale, 1 / 6) and _is(node.shift, 0.0):
            x = self._six(inner)
            if x is not None:
                yield Activation(name=node.name, source=node.source, inputs=(x,), kind="hardsigmoid")
                return
            if isinstance(inner, Product):
                for x, factor in (inner.inputs, inner.inputs[::-1]):
                    if self._six(self._nodes[factor]) == x:
                        yield Activation(name=node.name, source=node.source, inputs=(x,), kind="hardswish")
                        return
        if self._uses[inner.name] == 1:
            last = self._shapes[inner.name][-1:]
            rows = all(prod(values.shape[:-1]) == 1 for values in (node.scale, node.shift))
            if isinstance(inner, LayerNorm) and rows and inner.bias is None and _is(inner.weight, 1.0):
                weight, bias = (np.broadcast_to(v.reshape(-1), last).copy() for v in (node.scale, node.shift))
                yield from self._changed(
                    node, dataclasses.replace(inner, weight=weight, bias=bias if bias.any() else None)
                )
                return
            if isinstance(inner, IntegerLIF) and node.scale.size == 1 and _is(node.shift, 0.0):
                scale = inner.scale * float(node.scale.item())
                yield from self._changed(node, dataclasses.replace(inner, scale=scale))
                return
        yield node

    def _six(self, node: Node) -> str | None:
        """x of clamp(x + 3, 0, 6)."""
        if isinstance(node, Clamp) and (node.low, node.high) == (0.0, 6.0):
            shifted = self._nodes[node.inputs[0]]
            if isinstance(shifted, Affine) and _is(shifted.scale, 1.0) and _is(shifted.shift, 3.0):
                return shifted.inputs[0]
        return None

    def _straight_through(self, node: Sum) -> Iterator[Node]:
        """x + (y − x) is y: how training hands gradients past a rounding."""
        for x, rest in (node.inputs, node.inputs[::-1]):
            difference = self._nodes[rest]
            if isinstance(difference, Sum) and difference.subtract and difference.inputs[1] == x:
                self._stands_for(node, difference.inputs[0], 1 if self._uses[rest] == 1 else 0)
                return
        yield node

    def _without_pad(self, node: Conv | Pool) -> Node:
        """Padding that is written as an operator of its own."""
        pad = self._nodes[node.inputs[0]]
        if not isinstance(pad, Pad):
            return node
        axes = len(node.padding)
        if isinstance(node, Conv):
            fits = pad.value == 0.0
        elif node.kind == "max":
            fits = pad.value == -inf
        else:
            fits = pad.value == 0.0 and (node.counts_padding or node.kind == "sum")
        if not fits or any(map(any, pad.padding[:-axes])) or min(map(min, pad.padding)) < 0:
            return node
        added = zip(node.padding, pad.padding[-axes:], strict=True)
        padding = tuple((a[0] + b[0], a[1] + b[1]) for a, b in added)
        return dataclasses.replace(node, inputs=pad.inputs, padding=padding)

    def _changed(self, node: Node, inner: Node) -> Iterator[Node]:
        """`inner` as it is now, in place of the node too."""
        self._stands_for(node, inner.name, 1)
        yield inner

    def _stands_for(self, node: Node, name: str, unused: int = 0) -> None:
        """Another output is that of the node; so many of its uses were for that only."""
        self._same[node.name] = name
        self._uses[name] += self._uses.get(node.name, 0) - unused

    def _unscaled(self, name: str) -> tuple[str, float]:
        """Past reshapes and factors: where they begin, and the product of the factors."""
        scale = 1.0
        while True:
            node = self._nodes[name]
            if isinstance(node, Affine) and node.scale.size == 1 and _is(node.shift, 0.0):
                scale *= float(node.scale.item())
            elif not isinstance(node, Rearrange) or not self._is_reshape(node):
                return name, scale
            name = node.inputs[0]

    def _is_reshape(self, node: Rearrange) -> bool:
        flat = node.index.reshape(-1)
        return flat.size == prod(self._shapes[node.inputs[0]]) and bool((flat == np.arange(flat.size)).all())

    def _alike(self, one: str, other: str) -> bool:
        """Whether the matrices of two shapes are the same ones: the last two axes are."""
        return self._shapes[one][-2:] == self._shapes[other][-2:]

    # What is left of the kinds of this module.

    def written(self, node: Node) -> Iterator[Node]:
        """The node in nodes of a graph."""
        match node:
            case Clamp():
                yield from _clamped(node)
            case Reduce():
                yield from _reduced(node, self._shapes[node.inputs[0]])
            case Pad():
                yield from _padded(node, self._shapes[node.inputs[0]])
            case Softmax():
                raise node.refuse(
                    "be the softmax of attention: along keys, without a mask, of queries by keys"
                )
            case MatMul():
                raise node.refuse("be a matrix of weights, or a product of attention")
            case Round():
                raise node.refuse("round what is clamped to 0 … D, a whole number: spikes of D virtual steps")
            case Power():
                raise node.refuse(
                    f"be a part of a norm that is known, not a power of {node.exponent:g} by itself"
                )
            case _:
                yield node

    def joined(self, node: Node) -> Iterator[Node]:
        """Rearrangements of rearrangements are one; one that changes nothing is none."""
        if isinstance(node, Rearrange):
            inner = self._nodes[node.inputs[0]]
            if isinstance(inner, Rearrange):
                index = inner.index.reshape(-1)[node.index]
                node = dataclasses.replace(node, inputs=inner.inputs, index=index)
            if node.index.shape == self._shapes[node.inputs[0]] and self._is_reshape(node):
                self._stands_for(node, node.inputs[0], 1)
                return
        yield node


def free_name(name: str, taken: set[str]) -> str:
    """The name, or the name with a number; it is taken from then on."""
    found, number = name, 1
    while found in taken:
        found = f"{name}_{number}"
        number += 1
    taken.add(found)
    return found


def _is_levels(clamp: Clamp) -> bool:
    return clamp.low == 0.0 and clamp.high != inf and clamp.high == int(clamp.high)


def _is(values: Floats, value: float) -> bool:
    return bool((values == np.float32(value)).all())


def _is_input(node: Node) -> bool:
    return not node.inputs


def _scalar(value: float) -> Floats:
    return np.array(value, np.float32)


def _clamped(node: Clamp) -> Iterator[Node]:
    """min(max(x, low), high) by rectifiers that begin at 0."""
    low, high, source = node.low, node.high, node.source
    if (low, high) in ((0.0, inf), (0.0, 6.0)):
        kind: Literal["relu", "relu6"] = "relu" if high == inf else "relu6"
        yield Activation(name=node.name, source=source, inputs=node.inputs, kind=kind)
        return
    if low == -inf and high == inf:
        yield Affine(name=node.name, source=source, inputs=node.inputs, scale=_scalar(1), shift=_scalar(0))
        return
    if not low < high:
        raise node.refuse(f"clamp to a range, not to {low:g} … {high:g}")
    if -inf < low < high < inf:
        scale, shift, kind = 6 / (high - low), low, "relu6"
    else:
        scale, shift, kind = (1.0, low, "relu") if low > -inf else (-1.0, high, "relu")
    before, rectified = f"{node.name}.in", f"{node.name}.{kind}"
    yield Affine(
        name=before, source=source, inputs=node.inputs, scale=_scalar(scale), shift=_scalar(-shift * scale)
    )
    yield Activation(name=rectified, source=source, inputs=(before,), kind=kind)
    yield Affine(
        name=node.name, source=source, inputs=(rectified,), scale=_scalar(1 / scale), shift=_scalar(shift)
    )


def _reduced(node: Reduce, shape: Shape) -> Iterator[Node]:
    """A pool over one axis, of all that is not reduced as channels; over one or two last axes as they are."""
    axes = len(node.axes)
    last = node.axes == tuple(range(len(shape) - axes, len(shape)))
    if last and axes in (1, 2) and len(shape) > axes and prod(shape[: -axes - 1]) == 1:
        kernel, padding = shape[-axes:], ((0, 0),) * axes
        yield Pool(
            name=node.name,
            source=node.source,
            inputs=node.inputs,
            kind=node.kind,
            kernel=kernel,
            stride=kernel,
            padding=padding,
        )
        return
    kept = tuple(axis for axis in range(len(shape)) if axis not in node.axes)
    length = prod(shape[axis] for axis in node.axes)
    index = np.ascontiguousarray(counting(shape).transpose(*kept, *node.axes)).reshape(-1, length)
    before, out = f"{node.name}.in", f"{node.name}.out"
    yield Rearrange(name=before, source=node.source, inputs=node.inputs, index=index)
    yield Pool(
        name=node.name,
        source=node.source,
        inputs=(before,),
        kind=node.kind,
        kernel=(length,),
        stride=(length,),
        padding=((0, 0),),
    )
    yield Rearrange(name=out, source=node.source, inputs=(node.name,), index=counting(node.shape_of(shape)))


def _padded(node: Pad, shape: Shape) -> Iterator[Node]:
    """Any element where there is none, times 0 plus the value."""
    if abs(node.value) == inf:
        raise node.refuse("pad with a number, unless a pool takes the largest of it")
    index, inside = counting(shape), np.ones(shape, np.float32)
    for axis, (before, behind) in enumerate(node.padding):
        places = np.arange(-before, shape[axis] + behind)
        within = (places >= 0) & (places < shape[axis])
        index = index.take(places.clip(0, shape[axis] - 1), axis)
        row = within.astype(np.float32).reshape(-1, *(1,) * (len(shape) - axis - 1))
        inside = inside.take(places.clip(0, shape[axis] - 1), axis) * row
    taken = f"{node.name}.in"
    yield Rearrange(name=taken, source=node.source, inputs=node.inputs, index=index)
    yield Affine(
        name=node.name,
        source=node.source,
        inputs=(taken,),
        scale=inside,
        shift=(1 - inside) * np.float32(node.value),
    )
