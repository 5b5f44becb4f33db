"""The nodes of a network: what the readers of model files make, and all that lowering and the float reference know.

A node has a name, the names of its inputs and one output, whose shape follows from theirs (`shape_of`). Shapes are
those of one step of one sample. Leading axes of length 1, such as the batch axis of an exported program, stay where
they are.
Images are channels first, as in torch: [1 …, channels, height, width]; sequences [1 …, channels, length].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import GraphError

Floats = NDArray[np.float32]
Shape = tuple[int, ...]
Pair = tuple[int, int]

ActivationKind = Literal[
    "relu", "relu6", "silu", "gelu", "gelu_tanh", "sigmoid", "hardswish", "hardsigmoid", "step"
]
PoolKind = Literal["max", "average", "sum"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """`name`: unique, as the model's file has it; `source`: where it came from, for sentences about it."""

    name: str
    inputs: tuple[str, ...]
    source: str = ""

    def shape_of(self, *shapes: Shape) -> Shape:
        """The shape of the output. Raises GraphError for inputs that do not fit."""
        raise NotImplementedError

    def refuse(self, rule: str) -> GraphError:
        """The error that this node breaks a rule."""
        where = f" ({self.source})" if self.source else ""
        return GraphError(f"node {self.name}{where} must {rule}")

    def given(self, shapes: tuple[Shape, ...], count: int) -> None:
        """Raises GraphError for another number of inputs."""
        if len(shapes) != count:
            raise self.refuse(f"have {count} inputs, not {len(shapes)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """What comes in at every step."""

    shape: Shape
    inputs: tuple[str, ...] = ()

    def shape_of(self, *shapes: Shape) -> Shape:
        """As declared."""
        self.given(shapes, 0)
        if not self.shape or min(self.shape) < 1:
            raise self.refuse(f"have a shape of positive sizes, not {list(self.shape)}")
        return self.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Node):
    """y = x Wᵀ + b along the last axis. `weight`: float32[outputs, channels], `bias`: float32[outputs]."""

    weight: Floats
    bias: Floats | None = None

    def shape_of(self, *shapes: Shape) -> Shape:
        """[…, channels] -> […, outputs]."""
        self.given(shapes, 1)
        (shape,) = shapes
        if self.weight.ndim != 2 or shape[-1:] != self.weight.shape[1:]:
            raise self.refuse(f"take {list(self.weight.shape[1:])} channels, not a shape of {list(shape)}")
        return (*shape[:-1], self.weight.shape[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Node):
    """A convolution over one or two axes, without a kernel turned over, as torch has it.

    `weight`: float32[outputs, channels / groups, *kernel], `bias`: float32[outputs]; per axis `stride`, `padding`
    (zeros before and behind) and `dilation`.
    """

    weight: Floats
    bias: Floats | None = None
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """Its size along every axis."""
        return self.weight.shape[2:]

    def shape_of(self, *shapes: Shape) -> Shape:
        """[1 …, channels, *sizes] -> [1 …, outputs, *sizes]."""
        self.given(shapes, 1)
        (shape,) = shapes
        axes = len(self.kernel)
        if axes not in (1, 2):
            raise self.refuse(f"be a convolution over one or two axes, not {axes}")
        if len(shape) < axes + 1 or prod(shape[: -axes - 1]) != 1:
            raise self.refuse(f"take one image a step, not a shape of {list(shape)}")
        outputs, each = self.weight.shape[:2]
        if self.groups < 1 or shape[-axes - 1] != each * self.groups or outputs % self.groups:
            raise self.refuse(
                f"take {each * self.groups} channels in {self.groups} groups, not a shape of {list(shape)}"
            )
        window = zip(self.kernel, self.dilation, strict=True)
        reach = tuple(d * (k - 1) + 1 for k, d in window)
        return (
            *shape[: -axes - 1],
            outputs,
            *_windows(self, shape[-axes:], reach, self.stride, self.padding),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Node):
    """The largest, the mean or the sum of every window, over one or two axes; per axis `kernel`, `stride`, `padding`.

    Padding is less than anything for "max", else zeros, which `counts_padding` says to count in the mean.
    """

    kind: PoolKind
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    counts_padding: bool = True

    def shape_of(self, *shapes: Shape) -> Shape:
        """[1 …, channels, *sizes] -> [1 …, channels, *sizes]."""
        self.given(shapes, 1)
        (shape,) = shapes
        axes = len(self.kernel)
        if axes not in (1, 2) or len(shape) < axes + 1 or prod(shape[: -axes - 1]) != 1:
            raise self.refuse(f"pool one image a step over one or two axes, not a shape of {list(shape)}")
        return (*shape[:-axes], *_windows(self, shape[-axes:], self.kernel, self.stride, self.padding))


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Node):
    """y = x · scale + shift, each broadcast to the shape: batch norm in evaluation, constants, gains of NIR."""

    scale: Floats
    shift: Floats

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        self.given(shapes, 1)
        if not (_broadcasts(self.scale, shapes[0]) and _broadcasts(self.shift, shapes[0])):
            raise self.refuse(f"have scales that fit {list(shapes[0])}, not {list(self.scale.shape)}")
        return shapes[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerNorm(Node):
    """Over the last axis: (x − mean) / √(variance + eps) · weight + bias; without `centred` x / √(mean x² + eps)."""

    weight: Floats
    bias: Floats | None
    eps: float
    centred: bool = True

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        self.given(shapes, 1)
        if shapes[0][-1:] != self.weight.shape:
            raise self.refuse(f"have {shapes[0][-1]} weights, not {list(self.weight.shape)}")
        return shapes[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sum(Node):
    """a + b, or a − b with `subtract`, of equal shapes."""

    subtract: bool = False

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        return _alike(self, shapes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(Node):
    """a · b, element by element, of equal shapes."""

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        return _alike(self, shapes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Node):
    """A function of every element; "gelu_tanh" is GELU's approximation by tanh, "step" is 1 where x > 0."""

    kind: ActivationKind

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        self.given(shapes, 1)
        return shapes[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLIF(Node):
    """y = scale · round(clip(x, 0, levels)): spikes of `levels` virtual steps, as integers; halves to even."""

    levels: int
    scale: float = 1.0

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        self.given(shapes, 1)
        if not 1 <= self.levels <= 127:
            raise self.refuse(f"have 1 to 127 levels, not {self.levels}")
        return shapes[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Neuron(Node):
    """A neuron that keeps its state from step to step, which begins as zeros:

        i ← alpha · i + gain · x        with `alpha`; else i = gain · x
        v ← beta · v + i + leak
        s = v > threshold, or v ≥ threshold with `at_threshold`
        v ← v − s · threshold, or `reset` where s, if that is given

    The output is s, or v of a neuron without a threshold. `alpha`, `beta`, `gain`, `leak`, `threshold`, `reset`:
    float32, each broadcast to the shape. With `delayed` the reset that a spike causes is done at the next step, between
    the leak and the input: v ← beta · v + i + leak − s′ · threshold, s′ being the spike of the step before (snnTorch).
    """

    beta: Floats
    gain: Floats
    leak: Floats
    alpha: Floats | None = None
    threshold: Floats | None = None
    reset: Floats | None = None
    at_threshold: bool = False
    delayed: bool = False

    def shape_of(self, *shapes: Shape) -> Shape:
        """Unchanged."""
        self.given(shapes, 1)
        for name in ("alpha", "beta", "gain", "leak", "threshold", "reset"):
            value = getattr(self, name)
            if value is not None and not _broadcasts(value, shapes[0]):
                raise self.refuse(f"have a {name} that fits {list(shapes[0])}, not {list(value.shape)}")
        return shapes[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Delay(Node):
    """The input of the step before, zeros at first: a recurrent edge. Its input may come later in the graph."""

    shape: Shape

    def shape_of(self, *shapes: Shape) -> Shape:
        """As declared, as its input may not be known yet."""
        return self.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Attention(Node):
    """Of queries, keys and values [1 …, heads, tokens, size]: softmax(q kᵀ · scale) v, or "linear" q (kᵀ v) · scale.

    Not causal. All tokens are those of one step.
    """

    kind: Literal["softmax", "linear"]
    scale: float

    def shape_of(self, *shapes: Shape) -> Shape:
        """[1 …, heads, tokens, size of values]."""
        self.given(shapes, 3)
        query, key, value = shapes
        if min(map(len, shapes)) < 3 or any(prod(shape[:-3]) != 1 for shape in shapes):
            raise self.refuse(f"take heads, tokens, sizes of one sample a step, not {list(query)}")
        if not (query[-3] == key[-3] == value[-3] and query[-1] == key[-1] and key[-2] == value[-2]):
            raise self.refuse(f"take heads that fit, not {list(query)}, {list(key)}, {list(value)}")
        return (*query[:-1], value[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Rearrange(Node):
    """The elements of x in another order and shape: y.flat[n] = x.flat[index.flat[n]]. Reshapes, permutations, slices,
    repetition.

    `index`: int64 of the output's shape; a reader makes it by doing to 0, 1, 2 … what the model does to x.
    """

    index: NDArray[np.int64]

    def shape_of(self, *shapes: Shape) -> Shape:
        """That of the index."""
        self.given(shapes, 1)
        size = prod(shapes[0])
        if not self.index.size or not 0 <= int(self.index.min()) <= int(self.index.max()) < size:
            raise self.refuse(f"take elements of the {size} that there are")
        return self.index.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Node):
    """Inputs one behind the other along an axis, counted from the front."""

    axis: int

    def shape_of(self, *shapes: Shape) -> Shape:
        """Sizes along the axis added up."""
        first = shapes[0]
        rest = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in shapes}
        if len(rest) != 1 or not 0 <= self.axis < len(first):
            raise self.refuse(f"join shapes that fit, not {', '.join(map(str, map(list, shapes)))}")
        return (*first[: self.axis], sum(shape[self.axis] for shape in shapes), *first[self.axis + 1 :])


def _broadcasts(array: Floats, shape: Shape) -> bool:
    """Whether an array can stand for one of a shape."""
    try:
        return np.broadcast_shapes(shape, array.shape) == shape
    except ValueError:
        return False


def _alike(node: Node, shapes: tuple[Shape, ...]) -> Shape:
    node.given(shapes, 2)
    if shapes[0] != shapes[1]:
        raise node.refuse(f"take equal shapes, not {list(shapes[0])} and {list(shapes[1])}")
    return shapes[0]


def _windows(
    node: Any, sizes: Shape, reach: tuple[int, ...], stride: tuple[int, ...], padding: tuple[Pair, ...]
) -> Shape:
    """How many windows there are along every axis."""
    found = []
    for size, window, step, (before, behind) in zip(sizes, reach, stride, padding, strict=True):
        if min(before, behind) < 0 or step < 1 or window < 1:
            raise node.refuse("have windows and strides of at least 1, and no negative padding")
        found.append((size + before + behind - window) // step + 1)
    if min(found) < 1:
        raise node.refuse(f"have windows within {list(sizes)}, not {list(reach)}")
    return tuple(found)
