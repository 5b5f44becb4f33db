"""Pooling: along rows, then along columns, so that a window costs its height and its width."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikesim.mapping.graph.border import Grid, fill_border, middle_of
from spikesim.mapping.graph.lowering import Lowering
from spikesim.mapping.graph.nodes import Pool
from spikesim.mapping.graph.tensor import MOST_GROUPS, Tensor, channels_last, run
from spikesim.program import ACTIVATION_LIMIT, WORD_LIMIT, Add, Lookup, Multiply, View


def lower_pool(low: Lowering, node: Pool) -> Tensor:
    """Largest, mean or sum of windows."""
    axes, name, shape = len(node.kernel), node.name, low.graph.shapes[node.name]
    x = low.tensor(node.inputs[0])
    sizes = x.shape[-axes:]
    x = low.ordered(f"{name}-image", x, channels_last(x.shape, axes))
    whole = node if axes == 2 else _two_axes(node)
    grid = _bordered(low, whole, x, (sizes if axes == 2 else (1, *sizes)))
    windows = shape[-axes:] if axes == 2 else (1, *shape[-axes:])
    (high, wide), (down, right) = whole.kernel, whole.stride
    limit = max(1, x.limit)
    columns = [_columns(low, f"{name}-column.{at}", grid, at, right, windows[1], limit) for at in range(wide)]
    rows, limit = _joined(low, node, f"{name}-row", columns, limit)
    if rows.groups > 1 and rows.stride != rows.length:
        rows = _alone(low, f"{name}-rows", rows, limit)
    pitch = windows[1] * grid.channels
    bands = [run(rows.name, rows.offset + at * pitch, windows[0], pitch, down * pitch) for at in range(high)]
    if high == 1 and down == 1:
        bands = [rows]
    pooled, limit = _joined(low, node, f"{name}-window", bands, limit)
    pooled = _alone(low, f"{name}-result", pooled, limit)
    result = Tensor(
        vector=pooled.name,
        words=pooled.words,
        order=channels_last(shape, axes),
        fraction=x.fraction,
        limit=limit,
        unit=x.unit,
    )
    return result if node.kind == "max" else _scaled(low, node, result, sizes)


def _two_axes(node: Pool) -> Pool:
    """A pool over one axis as one over two, of images of one row."""
    return replace(node, kernel=(1, *node.kernel), stride=(1, *node.stride), padding=((0, 0), *node.padding))


def _scaled(low: Lowering, node: Pool, sums: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Sums, or means, which are sums with another unit as long as they fit an activation."""
    fraction, limit = low.formats.of(node)
    inside = _inside(node, sums.shape, sizes) if node.kind == "average" else np.ones(sums.shape)
    if (inside == inside.flat[0]).all() and sums.limit <= ACTIVATION_LIMIT:
        return replace(sums, unit=sums.unit / float(inside.flat[0]))
    return sums.like(low.times(node.name, sums.value, sums.placed(sums.unit / inside), fraction, limit))


def _inside(node: Pool, shape: tuple[int, ...], sizes: tuple[int, ...]) -> NDArray[np.float64]:
    """By how much the sum of every window is divided, of the shape of the result."""
    if node.counts_padding:
        return np.full(shape, float(prod(node.kernel)))
    found, axes = np.ones(shape), len(sizes)
    for axis, size in enumerate(sizes):
        first = np.arange(shape[-axes + axis]) * node.stride[axis] - node.padding[axis][0]
        count = np.minimum(first + node.kernel[axis], size) - np.maximum(first, 0)
        found *= count.reshape([-1 if at == axis else 1 for at in range(axes)])
    return found


def _bordered(low: Lowering, node: Pool, x: Tensor, sizes: tuple[int, ...]) -> Grid:
    """The image within its padding: less than anything for a maximum, else zeros."""
    height, width = sizes
    channels = x.words // (height * width)
    rows, columns = node.padding
    if not any(rows + columns):
        return Grid(words=x.view(), height=height, width=width, channels=channels)
    whole = Grid(
        words=low.builder.vector(
            f"{node.name}-bordered", (height + sum(rows)) * (width + sum(columns)) * channels
        ),
        height=height + sum(rows),
        width=width + sum(columns),
        channels=channels,
    )
    middle = middle_of(whole, (height, width), (rows, columns))
    low.builder.emit(Multiply(dst=middle, a=x.view(height), limit=max(1, x.limit)))
    fill_border(low, whole, (height, width), (rows, columns), -x.limit if node.kind == "max" else 0)
    return whole


def _columns(low: Lowering, name: str, grid: Grid, at: int, right: int, windows: int, limit: int) -> View:
    """Column `at` of every window, of every row; copied together unless it lies at equal distances."""
    channels, groups = grid.channels, grid.height * windows
    offset = grid.words.offset + at * channels
    if groups <= MOST_GROUPS and windows * right == grid.width:
        return run(grid.words.name, offset, groups, channels, right * channels)
    if groups <= MOST_GROUPS and windows == 1:
        return run(grid.words.name, offset, groups, channels, grid.width * channels)
    if right == 1 and windows == grid.width:
        return grid.words
    view = low.builder.vector(name, groups * channels)
    for row in range(grid.height):
        source = run(
            grid.words.name, offset + row * grid.width * channels, windows, channels, right * channels
        )
        target = run(name, row * windows * channels, windows, channels)
        low.builder.emit(Multiply(dst=target, a=source, limit=limit))
    return view


def _joined(low: Lowering, node: Pool, name: str, parts: list[View], limit: int) -> tuple[View, int]:
    """The sum of some views, or the largest of their words; and its limit."""
    total = parts[0]
    for number, part in enumerate(parts[1:], 1):
        a, b = _alike(total, part)
        if node.kind == "max":
            total = _larger(low, f"{name}-{number}", a, b, limit)
        else:
            total = low.builder.vector(f"{name}-{number}", a.words, a.groups)
            low.builder.emit(Add(dst=total, a=a, b=b, limit=min(WORD_LIMIT, (number + 1) * limit)))
    return total, limit if node.kind == "max" else min(WORD_LIMIT, len(parts) * limit)


def _larger(low: Lowering, name: str, a: View, b: View, limit: int) -> View:
    """max(a, b) = a + (b − a where b > a)."""
    builder, most = low.builder, min(WORD_LIMIT, 2 * limit)

    def new(what: str) -> View:
        return builder.vector(f"{name}{what}", a.words, a.groups)

    more, above, rise, dst = new(".more"), new(".above"), new(".rise"), new("")
    builder.emit(Add(dst=more, a=b, b=a, subtract=True, limit=most))
    builder.emit(Lookup(dst=above.split(1), a=more.split(1), function="step", fraction=0))
    builder.emit(Multiply(dst=rise.split(1), a=more.split(1), b=above.split(1), limit=most))
    builder.emit(Add(dst=dst, a=a, b=rise, limit=limit))
    return dst


def _alike(a: View, b: View) -> tuple[View, View]:
    """Two views of equal words with the same groups: adjacent runs may be cut as the other is."""
    if (a.groups, a.length) == (b.groups, b.length):
        return a, b
    if a.groups == 1 or a.stride == a.length:
        return a.split(b.groups), b
    return a, b.split(a.groups)


def _alone(low: Lowering, name: str, view: View, limit: int) -> View:
    """A view that is all of a vector, in order."""
    if view.words == low.builder.vectors.get(view.name) and (view.groups == 1 or view.stride == view.length):
        return view
    dst = low.builder.vector(name, view.words, view.groups)
    low.builder.emit(Multiply(dst=dst, a=view, limit=limit))
    return dst
