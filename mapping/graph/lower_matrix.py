"""Linear layers and convolutions: counts, gathers of rows of weights, sums, and the scale of every output channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError
from spikesim.mapping.blocks import count_scale, encode
from spikesim.mapping.builder import Value
from spikesim.mapping.graph.border import Grid, fill_border, middle_of
from spikesim.mapping.graph.lowering import Lowering, fixed
from spikesim.mapping.graph.nodes import Conv, Linear, Node
from spikesim.mapping.graph.tensor import (
    MOST_GROUPS,
    Rows,
    Tensor,
    channels_last,
    row_major,
    rows_of,
    run,
    spans,
)
from spikesim.mapping.graph.weights import Weights, quantized
from spikesim.program import WORD_LIMIT, Add, Gather, Multiply, View

BAND_WORDS = 2**13
"""Outputs of a convolution that are summed together: bounds the vector memory that its parts take."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Counts in a vector: real = count · scale · factor · 2^−fraction; `scale`: a word per group, or none."""

    vector: str
    limit: int
    factor: float
    fraction: int = 0
    scale: View | None = None


def lower_linear(low: Lowering, node: Linear) -> Tensor:
    """Every row of channels is a group of one gather, with a scale of its own."""
    x, rows = _rows(low, node)
    weights = quantized(node.weight)
    outputs, channels = node.weight.shape
    encoded = _encoded_rows(low, node, x, rows)
    matrix = np.ascontiguousarray(weights.integers[:, rows.columns])
    bound = low.builder.matrix(node.name, matrix, encoded.limit)
    count = rows.begin.size
    fraction, limit = low.formats.of(node)
    result = _Result(low, node, count, outputs, fraction, limit)
    for part, begin, step in _even(rows.begin):
        sums = low.builder.vector(f"{node.name}-sums.{part.start}", (part.stop - part.start) * outputs)
        groups = part.stop - part.start
        low.builder.emit(
            Gather(
                dst=run(sums.name, 0, groups, outputs),
                counts=run(encoded.vector, begin, groups, channels, step),
                operand="matrix",
                name=node.name,
            )
        )
        result.write(part.start, groups, sums.name, max(1, bound), weights.scales, encoded, node.bias)
    return result.tensor(row_major(low.graph.shapes[node.name]))


def _rows(low: Lowering, node: Linear) -> tuple[Tensor, Rows]:
    """The input, and where its rows are: as they lie, or copied together."""
    x = low.tensor(node.inputs[0])
    rows = rows_of(x.order)
    if rows is None or len(list(_even(rows.begin))) > MOST_GROUPS:
        x = low.ordered(f"{node.name}-rows", x, row_major(x.shape))
        rows = rows_of(x.order)
    if rows is None:
        raise CapacityError(f"the rows of {node.name} must be runs of words")
    return x, rows


def _even(begin: NDArray[np.int64]) -> Iterator[tuple[slice, int, int]]:
    """Rows at equal distances, as many as an instruction has groups: (rows, first word, distance)."""
    first = 0
    while first < begin.size:
        steps = np.diff(begin[first : first + MOST_GROUPS])
        step = int(steps[0]) if steps.size else 0
        same = steps == step
        count = 1
        if step >= 0:
            count += int(same.size if same.all() else np.argmin(same))
        yield slice(first, first + count), int(begin[first]), step if count > 1 else 0
        first += count


def _encoded_rows(low: Lowering, node: Node, x: Tensor, rows: Rows) -> Encoded:
    """Counts of rows: a scale for each if they are the vector, one behind the other; else one for all of them."""
    if x.is_counts:
        return Encoded(vector=x.vector, limit=x.limit, factor=x.unit, fraction=x.fraction)
    count = rows.begin.size
    adjoin = np.array_equal(rows.begin, np.arange(0, x.words, rows.columns.size))
    return _encode(low, node, x, count if adjoin and count <= MOST_GROUPS else 1)


def _encode(low: Lowering, node: Node, x: Tensor, groups: int) -> Encoded:
    value = Value(view=x.view(groups), fraction=x.fraction, limit=x.limit)
    counts = encode(low, f"{node.name}-in", value)
    return Encoded(
        vector=counts.view.name,
        limit=counts.limit,
        factor=counts.factor * x.unit,
        fraction=counts.fraction,
        scale=counts.scale,
    )


class _Result:
    """The output of a product, written in parts of whole rows: scaled, and the bias added."""

    def __init__(self, low: Lowering, node: Node, rows: int, outputs: int, fraction: int, limit: int) -> None:
        self.low, self.node, self.outputs = low, node, outputs
        self.fraction, self.limit = fraction, limit
        low.builder.vector(node.name, rows * outputs)
        self.words = rows * outputs

    def write(
        self,
        first: int,
        rows: int,
        sums: str,
        bound: int,
        scales: NDArray[np.float64],
        encoded: Encoded,
        bias: NDArray[np.float32] | None,
    ) -> None:
        """Rows from `first` on, of which `sums` has the products, within ±bound."""
        low, name = self.low, self.node.name
        factors = f"{name}-scales"
        if factors not in low.builder.vectors:
            _, self.scale_fraction = low.builder.reals(factors, scales * encoded.factor)
        for begin, count in spans(rows):
            at = (first + begin) * self.outputs
            target = run(name, at, count, self.outputs)
            scaled = target
            if bias is not None:
                low.builder.vector(f"{name}-scaled.{at}", count * self.outputs)
                scaled = run(f"{name}-scaled.{at}", 0, count, self.outputs)
            self._scale(
                run(sums, begin * self.outputs, count, self.outputs), scaled, bound, encoded, first + begin
            )
            if bias is not None:
                if f"{name}-bias" not in low.builder.vectors:
                    low.builder.constant(f"{name}-bias", fixed(bias, self.fraction))
                term = run(f"{name}-bias", 0, count, self.outputs, 0)
                low.builder.emit(Add(dst=target, a=scaled, b=term, limit=self.limit))

    def _scale(self, sums: View, dst: View, bound: int, encoded: Encoded, first: int) -> None:
        limit = WORD_LIMIT if dst.name != self.node.name else self.limit
        factors = View(name=f"{self.node.name}-scales", groups=dst.groups, length=self.outputs, stride=0)
        shift = encoded.fraction + self.scale_fraction - self.fraction
        if encoded.scale is None:
            self.low.builder.emit(Multiply(dst=dst, a=sums, b=factors, shift_b=shift, limit=limit))
            return
        shift_b = max(0, bound.bit_length() + 16 - 31)
        scale = encoded.scale
        one = scale.groups == 1
        scalar = View(
            name=scale.name,
            offset=scale.offset if one else scale.offset + first * scale.stride,
            groups=1 if one else dst.groups,
            stride=0 if one else scale.stride,
        )
        self.low.builder.emit(
            Multiply(
                dst=dst, a=sums, b=factors, scalar=scalar, shift_b=shift_b, shift=shift - shift_b, limit=limit
            )
        )

    def tensor(self, order: NDArray[np.int64]) -> Tensor:
        """What it all is."""
        return Tensor(
            vector=self.node.name, words=self.words, order=order, fraction=self.fraction, limit=self.limit
        )


@dataclass(frozen=True, kw_only=True)
class Image:
    """Counts of an image with its border, channels last: `height` × `width` pixels of `channels` words."""

    encoded: Encoded
    height: int
    width: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Tap:
    """What a gather reads of a window: from the pixel `row`, `column` on, as many columns as its matrix takes."""

    name: str
    row: int
    column: int
    integers: NDArray[np.int8]


def two_axes(node: Conv) -> Conv:
    """A convolution over one axis as one over two, of images of one row."""
    if len(node.kernel) == 2:
        return node
    return replace(
        node,
        weight=node.weight[:, :, None],
        stride=(1, *node.stride),
        padding=((0, 0), *node.padding),
        dilation=(1, *node.dilation),
    )


def lower_conv(low: Lowering, node: Conv) -> Tensor:
    """A window's row of pixels is a run of counts, positions are groups of a gather, rows of the kernel are added."""
    axes = len(node.kernel)
    shape = low.graph.shapes[node.name]
    flat = two_axes(node)
    image = _image(low, flat, node.inputs[0], axes)
    weights = quantized(flat.weight)
    outputs = flat.weight.shape[0]
    width = shape[-1]
    height = shape[-2] if axes == 2 else 1
    depthwise = flat.groups == image.channels == outputs and flat.groups > 1
    taps = list(_depthwise_taps(flat, weights) if depthwise else _taps(flat, weights))
    bound = _bound(low, taps, image.encoded.limit, depthwise)
    fraction, limit = low.formats.of(node)
    result = _Result(low, node, height * width, outputs, fraction, limit)
    each = max(1, min(height, MOST_GROUPS // width, BAND_WORDS // (width * outputs)))
    for first in range(0, height, each):
        rows = min(each, height - first)
        parts = []
        for tap in taps:
            part = low.builder.vector(f"{tap.name}-rows.{first}", rows * width * outputs)
            _products(low, flat, image, tap, part.name, first, rows, width, outputs, depthwise)
            parts.append(part)
        sums = _added(low, f"{node.name}-sums.{first}", parts, bound)
        result.write(first * width, rows * width, sums, bound, weights.scales, image.encoded, node.bias)
    return result.tensor(channels_last(shape, axes))


def _products(
    low: Lowering,
    node: Conv,
    image: Image,
    tap: Tap,
    part: str,
    first: int,
    rows: int,
    width: int,
    outputs: int,
    depthwise: bool,
) -> None:
    """A tap's products at `rows` rows of positions, as many in one instruction as lie at equal distances."""
    down, right = node.stride
    step = right * image.channels
    between = down * image.width * image.channels
    joined = rows if between == width * step and rows * width <= MOST_GROUPS else 1
    for row in range(0, rows, joined):
        at = ((first + row) * down + tap.row) * image.width + tap.column
        positions = joined * width
        dst = run(part, row * width * outputs, positions, outputs)
        length = image.channels if depthwise else tap.integers.shape[1]
        counts = run(image.encoded.vector, at * image.channels, positions, length, step)
        if depthwise:
            factors = View(name=tap.name, groups=positions, length=outputs, stride=0)
            low.builder.emit(Multiply(dst=dst, a=counts, b=factors, limit=WORD_LIMIT))
        else:
            low.builder.emit(Gather(dst=dst, counts=counts, operand="matrix", name=tap.name))


def _taps(node: Conv, weights: Weights) -> Iterator[Tap]:
    """Rows of the kernel; its single pixels where they do not adjoin. Groups are blocks of a matrix with zeros."""
    integers = _whole(weights.integers, node.groups)
    high, wide = node.kernel
    for row in range(high):
        if node.dilation[1] == 1 or wide == 1:
            part = np.moveaxis(integers[:, :, row], 1, 2).reshape(integers.shape[0], -1)
            yield Tap(
                name=f"{node.name}-k{row}",
                row=row * node.dilation[0],
                column=0,
                integers=np.ascontiguousarray(part),
            )
            continue
        yield from _pixels(node, integers, row)


def _depthwise_taps(node: Conv, weights: Weights) -> Iterator[Tap]:
    """Single pixels of the kernel, a weight per channel."""
    for row in range(node.kernel[0]):
        yield from _pixels(node, weights.integers[:, 0], row)


def _pixels(node: Conv, integers: NDArray[np.int8], row: int) -> Iterator[Tap]:
    """The pixels of a row of the kernel, one by one. `integers`: int8[outputs, …, rows, columns]."""
    for column in range(node.kernel[1]):
        yield Tap(
            name=f"{node.name}-k{row}.{column}",
            row=row * node.dilation[0],
            column=column * node.dilation[1],
            integers=np.ascontiguousarray(integers[..., row, column]),
        )


def _whole(integers: NDArray[np.int8], groups: int) -> NDArray[np.int8]:
    """int8[outputs, channels / groups, *kernel] -> int8[outputs, channels, *kernel], zeros between groups."""
    outputs, each = integers.shape[:2]
    whole = np.zeros((outputs, each * groups, *integers.shape[2:]), np.int8)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        whole[rows, group * each : (group + 1) * each] = integers[rows]
    return whole


def _bound(low: Lowering, taps: list[Tap], limit: int, depthwise: bool) -> int:
    """Adds the weights to the program; the largest sum of a window."""
    if depthwise:
        for tap in taps:
            low.builder.constant(tap.name, tap.integers.astype(np.int32))
        return max(1, limit * int(sum(np.abs(tap.integers.astype(np.int64)) for tap in taps).max()))  # type: ignore[union-attr]
    return max(1, sum(low.builder.matrix(tap.name, tap.integers, limit) for tap in taps))


def _added(low: Lowering, name: str, parts: list[View], bound: int) -> str:
    """The sum of vectors."""
    total = parts[0]
    for number, part in enumerate(parts[1:], 1):
        dst = low.builder.vector(f"{name}-{number}", part.words)
        low.builder.emit(Add(dst=dst, a=total, b=part, limit=min(WORD_LIMIT, bound)))
        total = dst
    return total.name


def _image(low: Lowering, node: Conv, name: str, axes: int) -> Image:
    """The input as counts within a border of zeros."""
    x = low.tensor(name)
    shape = x.shape if axes == 2 else (*x.shape[:-1], 1, x.shape[-1])
    channels, height, width = shape[-3:]
    x = low.ordered(f"{node.name}-image", x, channels_last(x.shape, axes))
    encoded = Encoded(vector=x.vector, limit=x.limit, factor=x.unit, fraction=x.fraction)
    (top, bottom), (left, right) = node.padding
    bordered = (height + top + bottom, width + left + right)
    if not x.is_counts and not any((top, bottom, left, right)):
        encoded = _encode(low, node, x, 1)
    elif any((top, bottom, left, right)):
        encoded = _bordered(low, node, x, (channels, height, width))
    return Image(encoded=encoded, height=bordered[0], width=bordered[1], channels=channels)


def _bordered(low: Lowering, node: Conv, x: Tensor, shape: tuple[int, int, int]) -> Encoded:
    """Counts of an image, written into the middle of a larger one that is zero."""
    builder = low.builder
    channels, height, width = shape
    (top, bottom), (left, right) = node.padding
    tall, broad = height + top + bottom, width + left + right
    counts = builder.vector(f"{node.name}-in.counts", tall * broad * channels)
    whole = Grid(words=counts, height=tall, width=broad, channels=channels)
    dst, a = middle_of(whole, (height, width), node.padding), x.view(height)
    if x.is_counts:
        builder.emit(Multiply(dst=dst, a=a, limit=max(1, x.limit)))
        encoded = Encoded(vector=counts.name, limit=x.limit, factor=x.unit, fraction=x.fraction)
    else:
        found = count_scale(low, f"{node.name}-in", x.value)
        scalar = View(name=found.inverse.name, offset=found.inverse.offset)
        builder.emit(Multiply(dst=dst, a=a, scalar=scalar, limit=found.limit, clip=True))
        encoded = Encoded(
            vector=counts.name,
            limit=found.limit,
            factor=x.unit * found.factor,
            fraction=x.fraction,
            scale=found.scale,
        )
    fill_border(low, whole, (height, width), node.padding)
    return encoded
