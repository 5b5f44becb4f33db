"""What operators of torch do to a draft: constants are folded, activations become nodes.

A value is a torch.Tensor that the model has from the start, a plain number, or a `Ref`: the output of a node. Operators
that only move elements are done to 0, 1, 2 … in the place of the activation, whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.errors import GraphError
from spikesim.mapping.graph import drafts
from spikesim.mapping.graph.nodes import (
    Activation,
    ActivationKind,
    Affine,
    Concat,
    Conv,
    Floats,
    LayerNorm,
    Linear,
    Node,
    Pair,
    Pool,
    PoolKind,
    Product,
    Rearrange,
    Shape,
    Sum,
)

LARGEST = 2**25
"""Elements of an activation or a constant: a rearrangement of so many has an index of a quarter of a gigabyte."""

LARGEST_IN_ALL = 2**28
"""Elements of all rearrangements, and of all constants that are evaluated."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Ref:
    """An activation: the output of a node."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Origin:
    """Of the operator that is being read: the name its node is to have, and where it comes from, for sentences."""

    name: str
    source: str


Arguments = dict[str, Any]
"""Of an operator, by the names in its schema."""

Value = Any
"""Ref | torch.Tensor | number | tuple of such."""


class Walk:
    """The nodes made so far."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.origin = Origin("input", "")
        self._taken: set[str] = set()
        self._elements = 0

    def refuse(self, rule: str) -> GraphError:
        """The error that the operator being read breaks a rule."""
        return Node(name=self.origin.name, inputs=(), source=self.origin.source).refuse(rule)

    def name(self, part: str = "") -> str:
        """A free name of the operator being read, or of one of its parts."""
        name = f"{self.origin.name}.{part}" if part else self.origin.name
        name = _NO_NAME.sub("_", name).lstrip(".-")[:_LONGEST_NAME] or "node"
        return drafts.free_name(name, self._taken)

    def add(self, kind: type[Node], /, *inputs: Ref, part: str = "", **fields: Any) -> Ref:
        """The output of a new node."""
        node = kind(
            name=self.name(part),
            source=self.origin.source,
            inputs=tuple(ref.name for ref in inputs),
            **fields,
        )
        shape = node.shape_of(*(ref.shape for ref in inputs))
        if prod(shape) > LARGEST:
            raise node.refuse(f"have at most {LARGEST:,} elements, not {prod(shape):,}")
        for value in fields.values():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
                raise node.refuse("have finite numbers: weights, scales and biases")
        if isinstance(node, Rearrange):
            self._elements += prod(shape)
            if self._elements > LARGEST_IN_ALL:
                raise node.refuse(f"move, with those before, at most {LARGEST_IN_ALL:,} elements")
        self.nodes.append(node)
        return Ref(node.name, shape)

    # Arrangement.

    def indices(self, ref: Ref) -> torch.Tensor:
        """0, 1, 2 … in the shape of an activation. Doubles: every operator knows them, and they are exact."""
        return torch.arange(prod(ref.shape), dtype=torch.float64).reshape(ref.shape)

    def rearranged(self, ref: Ref, index: torch.Tensor, part: str = "") -> Ref:
        """The elements of an activation that an index says; the activation itself if that is all of them in order."""
        if tuple(index.shape) == ref.shape and torch.equal(index, self.indices(ref).to(index.dtype)):
            return ref
        return self.add(Rearrange, ref, part=part, index=index.to(torch.int64).contiguous().numpy())

    def reshaped(self, ref: Ref, shape: Sequence[int], part: str = "") -> Ref:
        """The same elements in another shape."""
        if ref.shape == tuple(shape):
            return ref
        return self.rearranged(ref, self.indices(ref).reshape(tuple(shape)), part)

    def expanded(self, ref: Ref, shape: Sequence[int], part: str = "") -> Ref:
        """Repeated along axes as arithmetic does."""
        if ref.shape == tuple(shape):
            return ref
        if prod(shape) > LARGEST:
            raise self.refuse(f"have at most {LARGEST:,} elements, not {prod(shape):,}")
        return self.rearranged(ref, self.indices(ref).expand(tuple(shape)), part)

    # Arithmetic of activations and constants.

    def affine(self, ref: Ref, scale: Any, shift: Any, part: str = "") -> Ref:
        """x · scale + shift."""
        scale, shift = floats(scale), floats(shift)
        shape = np.broadcast_shapes(ref.shape, scale.shape, shift.shape)
        if ref.shape == shape and (scale == 1).all() and not shift.any():
            return ref
        ref = self.expanded(ref, shape, "expand")
        return self.add(Affine, ref, part=part, scale=scale, shift=shift)

    def plus(self, a: Value, b: Value, factor: float = 1.0, part: str = "") -> Ref:
        """a + factor · b, of which one is an activation."""
        if not isinstance(b, Ref):
            return self.affine(a, 1.0, doubles(b) * factor, part)
        if not isinstance(a, Ref):
            return self.affine(b, factor, a, part)
        if abs(factor) != 1.0:
            b = self.affine(b, factor, 0.0, "factor")
        a, b = self._alike(a, b)
        return self.add(Sum, a, b, part=part, subtract=factor == -1.0)

    def times(self, a: Value, b: Value, part: str = "") -> Ref:
        """a · b, of which one is an activation."""
        if not isinstance(a, Ref):
            a, b = b, a
        if not isinstance(b, Ref):
            return self.affine(a, b, 0.0, part)
        a, b = self._alike(a, b)
        return self.add(Product, a, b, part=part)

    def _alike(self, a: Ref, b: Ref) -> tuple[Ref, Ref]:
        shape = np.broadcast_shapes(a.shape, b.shape)
        return self.expanded(a, shape, "expand"), self.expanded(b, shape, "expand")

    def step(self, x: Ref, part: str = "") -> Ref:
        """1 where x > 0."""
        return self.add(Activation, x, part=part, kind="step")


def doubles(value: Any) -> NDArray[np.float64]:
    """A constant as numbers."""
    if isinstance(value, torch.Tensor):
        value = value.detach().to(torch.float64).numpy()
    return np.asarray(value, np.float64)


def floats(value: Any) -> Floats:
    """A constant as a node has it."""
    if isinstance(value, torch.Tensor):
        value = value.detach().to(torch.float32).contiguous().numpy()
    return np.asarray(value, np.float32)


Handler = Callable[[Walk, Arguments], Value]

HANDLERS: dict[str, Handler] = {}
"""By the name of the operator, without namespace and overload."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Registers the handler of some operators."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


MOVES = frozenset(
    (
        "_unsafe_index",
        "_unsafe_view",
        "_upsample_nearest_exact1d",
        "_upsample_nearest_exact2d",
        "alias",
        "alpha_dropout",
        "channel_shuffle",
        "chunk",
        "clone",
        "contiguous",
        "detach",
        "diagonal",
        "dropout",
        "expand",
        "feature_alpha_dropout",
        "feature_dropout",
        "flatten",
        "flip",
        "gather",
        "index",
        "index_select",
        "lift_fresh_copy",
        "movedim",
        "narrow",
        "permute",
        "pixel_shuffle",
        "pixel_unshuffle",
        "reflection_pad1d",
        "reflection_pad2d",
        "repeat",
        "repeat_interleave",
        "replication_pad1d",
        "replication_pad2d",
        "reshape",
        "roll",
        "rot90",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "swapaxes",
        "t",
        "tile",
        "transpose",
        "unbind",
        "unflatten",
        "unfold",
        "unsqueeze",
        "upsample_nearest1d",
        "upsample_nearest2d",
        "view",
        "view_copy",
    )
)
"""Operators that move elements and do nothing else; a dropout in evaluation moves none."""

SKIPPED = frozenset(
    (
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    )
)
"""Operators that check and make nothing."""


LIKE = frozenset(("full_like", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like"))
"""Operators that make constants as large as an activation."""


def moved(
    walk: Walk, name: str, target: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> Value:
    """What an operator of `MOVES` or `LIKE`, of this name, makes of an activation."""
    given = [ref for ref in (*args, *kwargs.values()) if isinstance(ref, Ref)]
    if len(given) != 1:
        raise walk.refuse("move one activation by constants, not by another")
    (ref,) = given
    index = walk.indices(ref)
    args = [index if isinstance(arg, Ref) else arg for arg in args]
    kwargs = {name: index if isinstance(arg, Ref) else arg for name, arg in kwargs.items()}
    made = target(*args, **kwargs)
    if name in LIKE:
        return made
    if isinstance(made, torch.Tensor):
        return walk.rearranged(ref, made)
    return tuple(walk.rearranged(ref, each, f"part{number}") for number, each in enumerate(made))


# Weights.


def _constant(walk: Walk, value: Value, what: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise walk.refuse(f"have constant {what}")
    return value


@handles("linear")
def _linear(walk: Walk, a: Arguments) -> Value:
    bias = a["bias"]
    if isinstance(a["input"], Ref) and not isinstance(a["weight"], Ref) and not isinstance(bias, Ref):
        return _by_matrix(walk, a["input"], a["weight"], bias)
    product = _product(walk, a["input"], _swapped(walk, a["weight"]))
    return product if bias is None else walk.plus(product, bias)


def _by_matrix(walk: Walk, x: Ref, weight: torch.Tensor, bias: Any = None) -> Ref:
    """x weightᵀ + bias."""
    bias = None if bias is None else floats(bias).reshape(-1)
    if bias is not None and bias.size != weight.shape[0]:
        bias = np.broadcast_to(bias, weight.shape[:1])
    return walk.add(Linear, x, weight=floats(weight), bias=bias)


def _swapped(walk: Walk, value: Value) -> Value:
    if isinstance(value, Ref):
        return walk.rearranged(value, walk.indices(value).transpose(-1, -2), "transposed")
    return value.transpose(-1, -2)


@handles("mm", "bmm", "matmul")
def _matmul(walk: Walk, a: Arguments) -> Value:
    return _product(walk, a["self"], a["mat2"] if "mat2" in a else a["other"])


def _product(walk: Walk, left: Value, right: Value) -> Ref:
    if min(len(left.shape), len(right.shape)) == 1:  # vectors are rows and columns
        row, column = len(left.shape) == 1, len(right.shape) == 1
        left, right = (
            _unsqueezed(walk, left, 0) if row else left,
            _unsqueezed(walk, right, 1) if column else right,
        )
        product = _product(walk, left, right)
        shape = (
            *product.shape[:-2],
            *([] if row else product.shape[-2:-1]),
            *([] if column else product.shape[-1:]),
        )
        return walk.reshaped(product, shape, "vector")
    leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    if not isinstance(right, Ref):
        left = walk.expanded(left, (*leading, *left.shape[-2:]), "expand")
        return _by_matrix(walk, left, _one_matrix(walk, right).transpose(0, 1))
    if not isinstance(left, Ref):
        right = walk.expanded(right, (*leading, *right.shape[-2:]), "expand")
        turned = _by_matrix(walk, _swapped(walk, right), _one_matrix(walk, left))
        return walk.rearranged(turned, walk.indices(turned).transpose(-1, -2), "out")
    left, right = (walk.expanded(x, (*leading, *x.shape[-2:]), "expand") for x in (left, right))
    return walk.add(drafts.MatMul, left, right)


def _one_matrix(walk: Walk, value: torch.Tensor) -> torch.Tensor:
    """The matrix of which all are copies."""
    matrices = value.reshape(-1, *value.shape[-2:])
    if not torch.equal(matrices, matrices[:1].expand_as(matrices)):
        raise walk.refuse("have one matrix of weights, not one for every head")
    return matrices[0]


def _unsqueezed(walk: Walk, value: Value, axis: int) -> Value:
    if isinstance(value, Ref):
        return walk.rearranged(value, walk.indices(value).unsqueeze(axis), "vector")
    return value.unsqueeze(axis)


@handles("addmm", "baddbmm")
def _addmm(walk: Walk, a: Arguments) -> Value:
    bias, left, right = a["self"], a[_first(a, "mat1", "batch1")], a[_first(a, "mat2", "batch2")]
    alpha, beta = a["alpha"], a["beta"]
    constant = isinstance(bias, torch.Tensor) and isinstance(right, torch.Tensor)
    if isinstance(left, Ref) and constant and right.dim() == 2 and prod(bias.shape[:-1]) == 1:
        return _by_matrix(walk, left, right.transpose(0, 1) * alpha, bias * beta)
    product = _product(walk, left, right)
    if alpha != 1:
        product = walk.affine(product, alpha, 0.0, "alpha")
    return walk.plus(product, bias, beta) if beta else product


def _first(a: Arguments, *names: str) -> str:
    return next(name for name in names if name in a)


@handles("convolution")
def _convolution(walk: Walk, a: Arguments) -> Value:
    if a["transposed"]:
        raise walk.refuse(
            "be a convolution that is not transposed; enlarge by nearest neighbours and convolve"
        )
    weight, bias = _constant(walk, a["weight"], "weights"), a["bias"]
    axes = weight.dim() - 2
    return walk.add(
        Conv,
        a["input"],
        weight=floats(weight),
        bias=None if bias is None else floats(_constant(walk, bias, "biases")),
        stride=_sizes(a["stride"], axes),
        padding=tuple((size, size) for size in _sizes(a["padding"], axes)),
        dilation=_sizes(a["dilation"], axes),
        groups=a["groups"],
    )


def _sizes(values: Any, axes: int) -> tuple[int, ...]:
    sizes: tuple[int, ...] = tuple(values) if isinstance(values, Sequence) else (values,)
    return sizes * axes if len(sizes) == 1 else sizes


# Norms.


@handles("_native_batch_norm_legit_no_training")
def _batch_norm(walk: Walk, a: Arguments) -> Value:
    x = a["input"]
    mean, variance = (
        doubles(_constant(walk, a[f"running_{name}"], "statistics")) for name in ("mean", "var")
    )
    scale = 1 / np.sqrt(variance + a["eps"])
    if a["weight"] is not None:
        scale = scale * doubles(_constant(walk, a["weight"], "weights"))
    shift = -mean * scale
    if a["bias"] is not None:
        shift = shift + doubles(_constant(walk, a["bias"], "weights"))
    shape = (-1, *(1,) * (len(x.shape) - 2))
    return (walk.affine(x, scale.reshape(shape), shift.reshape(shape)), None, None)


@handles(
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "native_batch_norm",
    "_batch_norm_with_update",
    "_batch_norm_with_update_functional",
    "native_dropout",
    "bernoulli",
    "rand",
    "rand_like",
    "randn",
    "randn_like",
)
def _training(walk: Walk, a: Arguments) -> Value:
    raise walk.refuse("be exported in evaluation, not in training: call .eval() before torch.export.export")


@handles("native_layer_norm", "layer_norm")
def _layer_norm(walk: Walk, a: Arguments) -> Value:
    axes = len(a["normalized_shape"])
    y = _normed(walk, a["input"], axes, a["weight"], a["bias"], a["eps"], centred=True)
    return (y, None, None)


@handles("rms_norm", "_fused_rms_norm")
def _rms_norm(walk: Walk, a: Arguments) -> Value:
    eps = torch.finfo(torch.float32).eps if a["eps"] is None else a["eps"]
    return _normed(walk, a["input"], len(a["normalized_shape"]), a["weight"], None, eps, centred=False)


def _normed(walk: Walk, x: Ref, axes: int, weight: Any, bias: Any, eps: float, *, centred: bool) -> Ref:
    """A norm over the last axes, as one."""
    length = prod(x.shape[len(x.shape) - axes :])
    weights = np.ones(length, np.float32) if weight is None else floats(_constant(walk, weight, "weights"))
    biases = None if bias is None else floats(_constant(walk, bias, "weights")).reshape(-1)
    flat = walk.reshaped(x, (*x.shape[: len(x.shape) - axes], length), "in")
    y = walk.add(LayerNorm, flat, weight=weights.reshape(-1), bias=biases, eps=float(eps), centred=centred)
    return walk.reshaped(y, x.shape, "out")


@handles("native_group_norm")
def _group_norm(walk: Walk, a: Arguments) -> Value:
    x, groups = a["input"], a["group"]
    if x.shape[0] != 1:
        raise walk.refuse(f"norm one sample a step, not {x.shape[0]}")
    flat = walk.reshaped(x, (groups, prod(x.shape) // groups), "in")
    ones = np.ones(flat.shape[-1], np.float32)
    y = walk.add(LayerNorm, flat, part="norm", weight=ones, bias=None, eps=float(a["eps"]))
    y = walk.reshaped(y, x.shape, "out")
    shape = (-1, *(1,) * (len(x.shape) - 2))
    weight, bias = (
        default if a[name] is None else doubles(_constant(walk, a[name], "weights")).reshape(shape)
        for name, default in (("weight", 1.0), ("bias", 0.0))
    )
    return (walk.affine(y, weight, bias), None, None)


# Pools and reductions.


@handles("max_pool2d_with_indices", "max_pool1d_with_indices", "max_pool2d", "max_pool1d")
def _max_pool(walk: Walk, a: Arguments) -> Value:
    axes = 1 if "1d" in a["operator"] else 2
    if any(size != 1 for size in _sizes(a["dilation"], axes)):
        raise walk.refuse("pool windows without gaps: dilation must be 1")
    y = _pooled(walk, a, axes, "max", {})
    return (y, None) if "indices" in a["operator"] else y


@handles("avg_pool1d", "avg_pool2d")
def _avg_pool(walk: Walk, a: Arguments) -> Value:
    axes = 1 if "1d" in a["operator"] else 2
    divisor = a.get("divisor_override")
    if divisor is not None:
        return walk.affine(_pooled(walk, a, axes, "sum", {}, "sum"), 1 / divisor, 0.0)
    return _pooled(walk, a, axes, "average", {"counts_padding": bool(a["count_include_pad"])})


def _pooled(
    walk: Walk, a: Arguments, axes: int, kind: PoolKind, fields: dict[str, Any], part: str = ""
) -> Ref:
    x, kernel = a["self"], _sizes(a["kernel_size"], axes)
    stride = _sizes(a["stride"], axes) if a["stride"] else kernel
    padding = tuple((size, size) for size in _sizes(a["padding"], axes))
    if a["ceil_mode"]:
        for size, window, step, (before, behind) in zip(
            x.shape[-axes:], kernel, stride, padding, strict=True
        ):
            rest = (size + before + behind - window) % step
            if rest and size + before > (size + before + behind - window - rest) + step:
                raise walk.refuse(f"pool whole windows: ceil_mode leaves one of {rest} of {window}")
    return walk.add(Pool, x, part=part, kind=kind, kernel=kernel, stride=stride, padding=padding, **fields)


@handles("_adaptive_avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(walk: Walk, a: Arguments) -> Value:
    x, kind = a["self"], "max" if "max" in a["operator"] else "average"
    axes = 1 if "1d" in a["operator"] else 2
    sizes, wanted = x.shape[-axes:], _sizes(a["output_size"], axes)
    if any(want < 1 or size % want for size, want in zip(sizes, wanted, strict=True)):
        raise walk.refuse(f"pool {list(sizes)} to a divisor of it, not to {list(wanted)}")
    kernel = tuple(size // want for size, want in zip(sizes, wanted, strict=True))
    y = walk.add(Pool, x, kind=kind, kernel=kernel, stride=kernel, padding=((0, 0),) * axes)
    return (y, None) if kind == "max" else y


@handles("mean", "sum", "amax", "max")
def _reduce(walk: Walk, a: Arguments) -> Value:
    x = a["self"]
    if "other" in a:
        return _larger(walk, a)
    axes = a.get("dim")
    axes = (
        range(len(x.shape))
        if axes is None or axes == []
        else (axes if isinstance(axes, Sequence) else (axes,))
    )
    axes = tuple(sorted({axis % max(len(x.shape), 1) for axis in axes}))
    kind: PoolKind = {"mean": "average", "sum": "sum"}.get(a["operator"], "max")  # type: ignore[assignment]
    keep = a.get("keepdim", False)
    y = walk.add(drafts.Reduce, x, kind=kind, axes=axes)
    if not keep:
        y = walk.reshaped(y, [size for axis, size in enumerate(x.shape) if axis not in axes], "out")
    return (y, None) if a["operator"] == "max" and a.get("dim") is not None else y


# Elements.

_ACTIVATIONS: dict[str, ActivationKind] = {
    "silu": "silu",
    "sigmoid": "sigmoid",
    "hardswish": "hardswish",
    "hardsigmoid": "hardsigmoid",
}


@handles(*_ACTIVATIONS)
def _activation(walk: Walk, a: Arguments) -> Value:
    return walk.add(Activation, a["self"], kind=_ACTIVATIONS[a["operator"]])


@handles("gelu")
def _gelu(walk: Walk, a: Arguments) -> Value:
    kind: ActivationKind = "gelu_tanh" if a["approximate"] == "tanh" else "gelu"
    return walk.add(Activation, a["self"], kind=kind)


@handles("tanh")
def _tanh(walk: Walk, a: Arguments) -> Value:
    y = walk.add(Activation, walk.affine(a["self"], 2.0, 0.0, "in"), part="sigmoid", kind="sigmoid")
    return walk.affine(y, 2.0, -1.0)


@handles("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max")
def _clamp(walk: Walk, a: Arguments) -> Value:
    operator = a["operator"]
    fixed = {"relu": (0.0, inf), "relu6": (0.0, 6.0)}
    if operator in fixed:
        low, high = fixed[operator]
    else:
        names = ("min_val", "max_val") if operator == "hardtanh" else ("min", "max")
        low, high = (
            _number(walk, default if a.get(name) is None else a[name])
            for name, default in zip(names, (-inf, inf), strict=True)
        )
    return walk.add(drafts.Clamp, a["self"], low=low, high=high)


def _number(walk: Walk, value: Any) -> float:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, int | float):
        raise walk.refuse("have one number for all elements")
    return float(value)


@handles("leaky_relu")
def _leaky_relu(walk: Walk, a: Arguments) -> Value:
    return _two_sided(walk, a["self"], -a["negative_slope"])


@handles("abs")
def _abs(walk: Walk, a: Arguments) -> Value:
    return _two_sided(walk, a["self"], 1.0)


def _two_sided(walk: Walk, x: Ref, factor: float) -> Ref:
    """relu(x) + factor · relu(−x)."""
    above = walk.add(Activation, x, part="above", kind="relu")
    below = walk.add(Activation, walk.affine(x, -1.0, 0.0, "negative"), part="below", kind="relu")
    return walk.plus(above, below, factor)


@handles("maximum")
def _larger(walk: Walk, a: Arguments) -> Value:
    return _larger_of(walk, a["self"], a["other"], 1.0)


@handles("minimum")
def _smaller(walk: Walk, a: Arguments) -> Value:
    return _larger_of(walk, a["self"], a["other"], -1.0)


def _larger_of(walk: Walk, a: Value, b: Value, sign: float) -> Ref:
    """a + relu(b − a), or a − relu(a − b) for the smaller."""
    above = walk.plus(b, a, -1.0, "difference") if sign > 0 else walk.plus(a, b, -1.0, "difference")
    return walk.plus(a, walk.add(Activation, above, part="above", kind="relu"), sign)


@handles("round", "floor")
def _round(walk: Walk, a: Arguments) -> Value:
    if a.get("decimals"):
        raise walk.refuse("round to whole numbers")
    return walk.add(drafts.Round, a["self"], down=a["operator"] == "floor")


@handles("_softmax", "_safe_softmax", "softmax")
def _softmax(walk: Walk, a: Arguments) -> Value:
    x = a["self"]
    if a["dim"] % len(x.shape) != len(x.shape) - 1:
        raise walk.refuse(f"be a softmax along the last axis, not along axis {a['dim']}")
    return walk.add(drafts.Softmax, x)


@handles("add", "sub", "rsub")
def _add(walk: Walk, a: Arguments) -> Value:
    x, y, factor = a["self"], a["other"], a.get("alpha", 1)
    if a["operator"] == "rsub":
        x, y = y, x
    return walk.plus(x, y, float(factor if a["operator"] == "add" else -factor))


@handles("neg")
def _neg(walk: Walk, a: Arguments) -> Value:
    return walk.affine(a["self"], -1.0, 0.0)


@handles("mul")
def _mul(walk: Walk, a: Arguments) -> Value:
    return walk.times(a["self"], a["other"])


@handles("div")
def _div(walk: Walk, a: Arguments) -> Value:
    x, y = a["self"], a["other"]
    if a.get("rounding_mode") is not None:
        raise walk.refuse("divide without rounding")
    if isinstance(y, Ref):
        y = walk.add(drafts.Power, y, part="reciprocal", exponent=-1.0)
        return walk.times(x, y)
    divisor = doubles(y)
    if not divisor.all():
        raise walk.refuse("divide by numbers other than 0")
    return walk.affine(x, 1 / divisor, 0.0)


@handles("rsqrt", "sqrt", "reciprocal", "square", "pow")
def _power(walk: Walk, a: Arguments) -> Value:
    x = a["self"]
    known = {"rsqrt": -0.5, "sqrt": 0.5, "reciprocal": -1.0, "square": 2.0}
    exponent = known[a["operator"]] if a["operator"] in known else a["exponent"]
    if not isinstance(x, Ref) or isinstance(exponent, Ref):
        raise walk.refuse("be a power with a constant exponent")
    exponent = _number(walk, exponent)
    if exponent in (2.0, 3.0, 4.0):
        y = x
        for last in range(int(exponent) - 1, 0, -1):
            y = walk.times(y, x, "" if last == 1 else "power")
        return y
    return walk.add(drafts.Power, x, exponent=exponent)


# Comparisons: truth values are 0 and 1.


@handles("gt", "ge", "lt", "le")
def _compare(walk: Walk, a: Arguments) -> Value:
    x, y, operator = a["self"], a["other"], a["operator"]
    if operator in ("lt", "ge"):
        x, y = y, x  # x < y is y > x; x ≥ y is not y > x
    strict = operator in ("gt", "lt")
    step = walk.step(_difference(walk, x, y), "" if strict else "step")
    return step if strict else walk.affine(step, -1.0, 1.0)


def _difference(walk: Walk, x: Value, y: Value) -> Ref:
    """x − y, but x itself if y is zero."""
    if isinstance(x, Ref) and not isinstance(y, Ref) and not doubles(y).any():
        return x
    return walk.plus(x, y, -1.0, "difference")


@handles("eq", "ne")
def _equal(walk: Walk, a: Arguments) -> Value:
    x, y = a["self"], a["other"]
    if isinstance(x, Ref) and not isinstance(y, Ref) and np.isinf(doubles(y)).all():
        shape = np.broadcast_shapes(x.shape, doubles(y).shape)
        return torch.full(
            shape, a["operator"] == "ne"
        )  # activations are numbers: how torch looks for masked rows
    raise walk.refuse("compare by >, not for equality")


@handles("heaviside")
def _heaviside(walk: Walk, a: Arguments) -> Value:
    values = a["values"]
    at_zero = None if isinstance(values, Ref) else {float(value) for value in doubles(values).reshape(-1)}
    if at_zero == {0.0}:
        return walk.step(a["self"])
    if at_zero == {1.0}:
        step = walk.step(walk.affine(a["self"], -1.0, 0.0, "negative"), "step")
        return walk.affine(step, -1.0, 1.0)
    raise walk.refuse("be 0 or 1 where its input is 0")


@handles("where")
def _where(walk: Walk, a: Arguments) -> Value:
    condition, x, y = a["condition"], a["self"], a["other"]
    if isinstance(condition, torch.Tensor):
        chosen = condition.to(torch.float32)
        first = walk.times(x, chosen, "first") if isinstance(x, Ref) else _masked(walk, x, chosen)
        second = walk.times(y, 1 - chosen, "second") if isinstance(y, Ref) else _masked(walk, y, 1 - chosen)
        return walk.plus(first, second)
    if not isinstance(x, Ref) and not isinstance(y, Ref):
        return walk.affine(condition, doubles(x) - doubles(y), doubles(y))
    difference = walk.plus(x, y, -1.0, "difference")
    return walk.plus(walk.times(condition, difference, "chosen"), y)


def _masked(walk: Walk, value: Any, mask: torch.Tensor) -> torch.Tensor:
    """Numbers where a mask is 1; what it hides may be infinite."""
    numbers = torch.as_tensor(value, dtype=torch.float32)
    masked = torch.where(mask > 0, numbers, 0.0)
    if not torch.isfinite(masked).all():
        raise walk.refuse("choose finite numbers; a mask of attention has none")
    return masked


@handles("_to_copy", "to", "type_as", "_to_dtype")
def _to(walk: Walk, a: Arguments) -> Value:
    before, after = a["dtypes"]
    if before is not None and before.is_floating_point and not after.is_floating_point:
        raise walk.refuse(f"keep real numbers, not turn them into {str(after).removeprefix('torch.')}")
    return a["self"]


# Several inputs.


@handles("cat")
def _cat(walk: Walk, a: Arguments) -> Value:
    parts = list(a["tensors"])
    first = next(part for part in parts if isinstance(part, Ref))
    for number, part in enumerate(parts):
        if not isinstance(part, Ref):  # constants: some element times 0, plus them
            taken = walk.expanded(_element(walk, first, part.dim()), part.shape, "constant")
            parts[number] = walk.affine(taken, 0.0, part, "constant")
    axis = a["dim"] % len(first.shape)
    return walk.add(Concat, *parts, axis=axis)


def _element(walk: Walk, ref: Ref, axes: int) -> Ref:
    return walk.rearranged(ref, torch.zeros((1,) * axes), "element")


@handles("constant_pad_nd")
def _constant_pad(walk: Walk, a: Arguments) -> Value:
    x, pads = a["self"], a["pad"]
    pairs: list[Pair] = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)][::-1]
    padding = ((0, 0),) * (len(x.shape) - len(pairs)) + tuple(pairs)
    kept = tuple(
        slice(max(-before, 0), size - max(-behind, 0))
        for size, (before, behind) in zip(x.shape, padding, strict=True)
    )
    cropped = walk.indices(x)[kept]
    if tuple(cropped.shape) != x.shape:
        x = walk.rearranged(x, cropped, "crop")
    padding = tuple((max(before, 0), max(behind, 0)) for before, behind in padding)
    value = _number(walk, 0.0 if a["value"] is None else a["value"])
    return walk.add(drafts.Pad, x, padding=padding, value=value)


@handles(
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
)
def _attention(walk: Walk, a: Arguments) -> Value:
    query, keys, values = a["query"], a["key"], a["value"]
    if not all(isinstance(ref, Ref) for ref in (query, keys, values)):
        raise walk.refuse("take queries, keys and values that are activations")
    if a.get("is_causal"):
        raise walk.refuse("attend to all tokens: a causal mask is not supported")
    if a.get("attn_mask") is not None or a.get("attn_bias") is not None:
        raise walk.refuse("attend to all tokens: a mask is not supported")
    if a.get("dropout_p"):
        raise walk.refuse("be exported in evaluation, not in training: attention drops weights")
    if a.get("enable_gqa"):
        raise walk.refuse("have as many heads of keys as of queries")
    scale = a.get("scale")
    scale = float(query.shape[-1]) ** -0.5 if scale is None else float(scale)
    leading = np.broadcast_shapes(*(ref.shape[:-2] for ref in (query, keys, values)))
    query, keys, values = (
        walk.expanded(ref, (*leading, *ref.shape[-2:]), "expand") for ref in (query, keys, values)
    )
    turned = _swapped(walk, keys)
    # The written-out pattern, which `settled` reads; so there is one way to attention.
    scores = walk.add(drafts.MatMul, query, turned, part="scores")
    weights = walk.add(drafts.Softmax, walk.affine(scores, scale, 0.0, "scaled"), part="weights")
    y = walk.add(drafts.MatMul, weights, values)
    return y if a["operator"] == "scaled_dot_product_attention" else (y, None)
