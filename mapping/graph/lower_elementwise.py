"""Sums, products, affines, functions of every element, norms along an axis, and integer neurons without a state."""

from __future__ import annotations

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from spikesim.mapping.blocks import product_of, relu, rms_norm, sigmoid, silu, step
from spikesim.mapping.builder import Value
from spikesim.mapping.graph.lowering import Lowering, fixed
from spikesim.mapping.graph.nodes import (
    Activation,
    Affine,
    Concat,
    IntegerLIF,
    LayerNorm,
    Product,
    Sum,
)
from spikesim.mapping.graph.tensor import Tensor, channels_last, row_major, run
from spikesim.mapping.ranges import fraction_for
from spikesim.program import ACTIVATION_LIMIT, COUNT_LIMIT, WORD_LIMIT, Add, Multiply, View

GELU_CUBE, GELU_SLOPE = 0.044715, 2 * (2 / np.pi) ** 0.5
"""GELU(x) ≈ x σ(slope · (x + cube · x³)), at most 5 · 10⁻⁴ off; D. Hendrycks, K. Gimpel, arXiv:1606.08415."""

_SIGMOID_FRACTION, _SIGMOID_LIMIT = 15, 2**15 - 1
_FLAT = 10
"""Binary point of what sigmoid is taken of where it may be large: ±32, beyond which it is flat anyway."""


def lower_sum(low: Lowering, node: Sum) -> Tensor:
    """Both at the binary point of the sum, before which neither can saturate."""
    first, second = (low.tensor(name) for name in node.inputs)
    first = low.dense(f"{node.name}-first", first)
    second = low.ordered(f"{node.name}-second", second, first.order)
    fraction, limit = low.formats.of(node)
    if not node.subtract and first.unit == second.unit and first.fraction == second.fraction:
        total = first.limit + second.limit
        if total <= COUNT_LIMIT:  # spikes remain spikes
            return first.like(
                low.builder.add(node.name, first.value, second.value, limit=total), unit=first.unit
            )
    a = low.settled(f"{node.name}-a", first, fraction, WORD_LIMIT)
    b = low.settled(f"{node.name}-b", second, fraction, WORD_LIMIT)
    return first.like(low.builder.add(node.name, a.value, b.value, subtract=node.subtract, limit=limit))


def lower_product(low: Lowering, node: Product) -> Tensor:
    """Two activations of 16 bits."""
    first, second = (low.tensor(name) for name in node.inputs)
    first = low.dense(f"{node.name}-first", first)
    second = low.ordered(f"{node.name}-second", second, first.order)
    fraction, _ = low.formats.of(node)
    a, b = (_plain(low, f"{node.name}-{part}", x) for part, x in (("a", first), ("b", second)))
    return first.like(product_of(low, node.name, a.value, b.value, fraction=fraction, statistic=None))


def _plain(low: Lowering, name: str, x: Tensor) -> Tensor:
    """A tensor without a unit, in 16 bits."""
    if x.unit == 1.0 and x.limit <= ACTIVATION_LIMIT:
        return x
    peak = x.limit * x.unit * 2.0**-x.fraction
    return low.settled(name, x, fraction_for(peak, ACTIVATION_LIMIT, 1.0), ACTIVATION_LIMIT)


def lower_affine(low: Lowering, node: Affine) -> Tensor:
    """x · scale + shift."""
    x = low.dense(f"{node.name}-dense", low.tensor(node.inputs[0]))
    fraction, limit = low.formats.of(node)
    scale, shift = x.placed(node.scale) * x.unit, x.placed(node.shift)
    shifted = bool(shift.any())
    name = f"{node.name}-scaled" if shifted else node.name
    value = low.times(name, x.value, scale, fraction, WORD_LIMIT if shifted else limit)
    if shifted:
        value = low.plus(node.name, value, shift, limit)
    return x.like(value)


def lower_activation(low: Lowering, node: Activation) -> Tensor:
    """A table, or a step and a product."""
    x = low.dense(f"{node.name}-dense", low.tensor(node.inputs[0]))
    name, kind = node.name, node.kind
    if kind == "step":
        return x.like(step(low, name, x.value))
    if kind == "relu" and x.limit <= ACTIVATION_LIMIT:
        return x.like(relu(low, f"{name}-out", x.value), unit=x.unit)
    x = _plain(low, f"{name}-plain", x)
    fraction, _ = low.formats.of(node)
    match kind:
        case "relu":
            return x.like(relu(low, f"{name}-out", x.value))
        case "relu6":
            return x.like(_up_to_six(low, f"{name}-out", x.value))
        case "silu":
            return x.like(silu(low, f"{name}-out", x.value))
        case "sigmoid":
            wide = sigmoid(low, f"{name}-table", x.value)
            half = low.builder.multiply(name, wide, fraction=_SIGMOID_FRACTION, limit=_SIGMOID_LIMIT)
            return x.like(half)
        case "gelu" | "gelu_tanh":
            return x.like(_gelu(low, name, x.value, low.formats.peaks[node.inputs[0]]))
        case "hardsigmoid":
            return x.like(_hard_sigmoid(low, name, x.value))
        case "hardswish":
            gate = _hard_sigmoid(low, f"{name}-gate", x.value)
            return x.like(product_of(low, name, x.value, gate, fraction=fraction, statistic=None))
        case _:
            assert_never(kind)


def _up_to_six(low: Lowering, name: str, x: Value) -> Value:
    """min(max(x, 0), 6)."""
    limit = min(x.limit, round(6.0 * 2.0**x.fraction))
    return relu(low, name, x, limit=max(1, limit), bound=True)


def _constant(words: int, value: float) -> NDArray[np.float64]:
    return np.full(words, value)


def _hard_sigmoid(low: Lowering, name: str, x: Value) -> Value:
    """min(max(x + 3, 0), 6) / 6, with 15 fractional bits."""
    words = x.view.words
    moved = low.plus(f"{name}-plus_3", x, _constant(words, 3.0), WORD_LIMIT)
    # Beyond 6 nothing changes any more: the sum may be cut before its step is taken.
    six = _up_to_six(low, f"{name}-six", moved)
    return low.times(name, six, _constant(words, 1 / 6), _SIGMOID_FRACTION, _SIGMOID_LIMIT)


def _gelu(low: Lowering, name: str, x: Value, peak: float) -> Value:
    """x σ(slope · x · (1 + cube · x²))."""
    builder, words = low.builder, x.view.words
    square_fraction = fraction_for(peak**2, ACTIVATION_LIMIT, 4.0)
    square = product_of(low, f"{name}-square", x, x, fraction=square_fraction, statistic=None)
    most = GELU_SLOPE * (1 + GELU_CUBE * 4 * peak**2)
    slope_fraction = min(fraction_for(most, ACTIVATION_LIMIT, 1.0), 14)
    cubed = low.times(
        f"{name}-cube", square, _constant(words, GELU_SLOPE * GELU_CUBE), slope_fraction, ACTIVATION_LIMIT
    )
    slope = low.plus(f"{name}-slope", cubed, _constant(words, GELU_SLOPE), ACTIVATION_LIMIT)
    argument = builder.multiply(
        f"{name}-argument", x, b=slope.view, b_fraction=slope.fraction, fraction=_FLAT, bound=True
    )
    gate = sigmoid(low, f"{name}-gate", argument)
    return builder.multiply(name, x, b=gate.view, b_fraction=gate.fraction, fraction=x.fraction)


def lower_integer_lif(low: Lowering, node: IntegerLIF) -> Tensor:
    """The integer is the count; as binary spikes it is `levels` virtual steps."""
    x = low.dense(f"{node.name}-dense", low.tensor(node.inputs[0]))
    positive = relu(low, f"{node.name}-positive", x.value, limit=x.limit)
    value = low.without_unit(node.name, positive, x.unit, 0, node.levels, bound=True)
    return x.like(value, unit=node.scale)


def lower_layer_norm(low: Lowering, node: LayerNorm) -> Tensor:
    """Along the last axis, which is copied together if it does not adjoin."""
    builder = low.builder
    x = low.ordered(f"{node.name}-rows", low.tensor(node.inputs[0]), row_major(low.graph.shapes[node.name]))
    x = _plain(low, f"{node.name}-plain", x)
    size = x.shape[-1]
    rows = x.words // size
    value = Value(view=x.view(rows), fraction=x.fraction, limit=x.limit)
    if node.centred:
        value = _centred(low, node.name, value)
    fraction, limit = low.formats.of(node)
    gain = node.weight.astype(np.float64)
    shifted = node.bias is not None
    name = f"{node.name}-normed"
    normed = rms_norm(
        low, name, value, gain, eps=node.eps, fraction=fraction, limit=WORD_LIMIT if shifted else limit
    )
    if node.bias is None:
        return x.like(normed.flat())
    dst = builder.vector(node.name, x.words, rows)
    builder.constant(f"{node.name}-bias", fixed(node.bias, fraction))
    builder.emit(Add(dst=dst, a=normed.view, b=run(f"{node.name}-bias", 0, rows, size, 0), limit=limit))
    return x.like(Value(view=dst.split(1), fraction=fraction, limit=limit))


def _centred(low: Lowering, name: str, x: Value) -> Value:
    """x without its mean, per group."""
    builder, rows, size = low.builder, x.view.groups, x.view.length
    total = _row_sums(low, f"{name}-sum", x)
    share, fraction = builder.reals(f"{name}-share", np.array([1 / size]))
    mean = builder.multiply(
        f"{name}-mean", total, b=View(name=share.name), b_fraction=fraction, fraction=x.fraction
    )
    spread = builder.vector(f"{name}-means", rows * size, rows)
    builder.emit(Multiply(dst=spread, a=low.ones(rows, size), b=mean.view, limit=ACTIVATION_LIMIT))
    dst = builder.vector(f"{name}-centred", rows * size, rows)
    builder.emit(Add(dst=dst, a=x.view, b=spread, subtract=True, limit=ACTIVATION_LIMIT))
    return Value(view=dst, fraction=x.fraction, limit=ACTIVATION_LIMIT)


def _row_sums(low: Lowering, name: str, x: Value) -> Value:
    """The sum of every group, halves added to halves."""
    view, size, limit = x.view, x.view.length, x.limit
    number = 0
    while size > 1:
        half = size // 2
        odd = size % 2
        limit = min(WORD_LIMIT, 2 * limit)
        dst = low.builder.vector(f"{name}-{number}", view.groups * (half + odd))
        groups, stride, width = view.groups, view.stride, half + odd
        first = run(view.name, view.offset, groups, half, stride)
        second = run(view.name, view.offset + width, groups, half, stride)
        low.builder.emit(Add(dst=run(dst.name, 0, groups, half, width), a=first, b=second, limit=limit))
        if odd:
            middle = run(view.name, view.offset + half, groups, 1, stride)
            low.builder.emit(Multiply(dst=run(dst.name, half, groups, 1, width), a=middle, limit=limit))
        view, size, number = run(dst.name, 0, groups, width), width, number + 1
    return Value(view=view, fraction=x.fraction, limit=limit)


def lower_concat(low: Lowering, node: Concat) -> Tensor:
    """Copies into one vector; images stay channels last."""
    shape = low.graph.shapes[node.name]
    given = [low.tensor(name) for name in node.inputs]
    order = row_major(shape)
    for axes in (2, 1):
        if len(shape) > axes and any(
            x.words == x.order.size and (x.order == channels_last(x.shape, axes)).all() for x in given
        ):
            order = channels_last(shape, axes)
            break
    alike = all((x.unit, x.fraction) == (given[0].unit, given[0].fraction) for x in given)
    fraction, limit = low.formats.of(node)
    if alike:
        fraction, limit, unit = given[0].fraction, max(x.limit for x in given), given[0].unit
    else:
        unit = 1.0
        given = [
            low.settled(f"{node.name}-{number}", low.dense(f"{node.name}-dense.{number}", x), fraction, limit)
            for number, x in enumerate(given)
        ]
    vector = low.builder.vector(node.name, order.size).name
    first = 0
    for x in given:
        size = x.shape[node.axis]
        low.copy_into(vector, x, np.take(order, range(first, first + size), node.axis))
        first += size
    return Tensor(vector=vector, words=order.size, order=order, fraction=fraction, limit=limit, unit=unit)
