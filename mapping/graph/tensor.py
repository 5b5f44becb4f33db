"""`Tensor`: where the elements of a node's output lie in a vector, and what their words stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.mapping.builder import Value
from spikesim.mapping.graph.nodes import Shape
from spikesim.program import COUNT_LIMIT, Format, View

Order = NDArray[np.int64]

MOST_GROUPS = 4095
"""Groups of an instruction, a field of 12 bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """real = word · unit · 2^−fraction, |word| ≤ limit; element e is the word `order`[e] of the vector's `words`.

    `order`: int64 of the node's shape. Images lie in memory channels last, so that a window's row is one run.
    """

    vector: str
    words: int
    order: Order
    fraction: int
    limit: int
    unit: float = 1.0

    @property
    def shape(self) -> Shape:
        """The node's shape."""
        return self.order.shape

    @property
    def is_dense(self) -> bool:
        """Whether every word of the vector is one element, so that it can be worked through as one run."""
        flat = self.order.reshape(-1)
        return flat.size == self.words and bool((np.bincount(flat, minlength=self.words) == 1).all())

    @property
    def is_counts(self) -> bool:
        """Whether its words are spikes as they are."""
        return self.limit <= COUNT_LIMIT

    @property
    def value(self) -> Value:
        """The whole vector as one run."""
        return Value(view=self.view(), fraction=self.fraction, limit=self.limit)

    @property
    def format(self) -> Format:
        """Of a port that hands it on."""
        return Format(fraction=self.fraction, bits=min(32, self.limit.bit_length() + 1))

    def view(self, groups: int = 1) -> View:
        """The whole vector as adjacent runs."""
        return run(self.vector, 0, groups, self.words // groups)

    def placed(self, numbers: NDArray[Any]) -> NDArray[np.float64]:
        """Numbers that are broadcast to the shape, as the words of a dense tensor lie."""
        words = np.empty(self.words)
        words[self.order.reshape(-1)] = np.broadcast_to(numbers, self.shape).reshape(-1)
        return words

    def like(self, value: Value, *, unit: float = 1.0) -> Tensor:
        """A vector in the same order."""
        return replace(self, vector=value.view.name, fraction=value.fraction, limit=value.limit, unit=unit)


def run(vector: str, offset: int, groups: int, length: int, stride: int | None = None) -> View:
    """`groups` runs of `length` words, adjacent unless a stride is given."""
    return View(
        name=vector, offset=offset, groups=groups, length=length, stride=length if stride is None else stride
    )


def spans(groups: int) -> Iterator[tuple[int, int]]:
    """(first, count) of groups, as many at a time as an instruction has."""
    for first in range(0, groups, MOST_GROUPS):
        yield first, min(MOST_GROUPS, groups - first)


def row_major(shape: Shape) -> Order:
    """The order of a tensor whose last axis adjoins."""
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def channels_last(shape: Shape, axes: int) -> Order:
    """The order of [1 …, channels, *sizes] with `axes` sizes, whose channels adjoin."""
    channels, sizes = shape[-axes - 1], shape[-axes:]
    words = np.arange(prod(shape), dtype=np.int64).reshape(*sizes, channels)
    return np.ascontiguousarray(np.moveaxis(words, -1, 0)).reshape(shape)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a matrix product in memory. `begin`: int64[rows], first word of each; `columns`: int64[length], the
    element that each of its words is.
    """

    begin: Order
    columns: Order


def rows_of(order: Order) -> Rows | None:
    """The runs that the last axis of an order is, in whatever order within a run; None if it is not."""
    rows = order.reshape(-1, order.shape[-1])
    begin = rows.min(axis=1)
    places = rows - begin[:, None]
    if (places != places[0]).any() or (np.sort(places[0]) != np.arange(rows.shape[1])).any():
        return None
    return Rows(begin=begin, columns=np.argsort(places[0]))


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Groups at equal distances: of `count` words from `source` and to `target`, every `source_step`, `target_step`."""

    source: int
    target: int
    groups: int
    count: int
    source_step: int
    target_step: int


def stretches(source: Order, target: Order) -> Iterator[Stretch]:
    """How words `source`[n] get to `target`[n] in few instructions: int64[words] each, targets ascending."""
    breaks = np.flatnonzero((np.diff(source) != 1) | (np.diff(target) != 1)) + 1
    first = np.concatenate([[0], breaks])
    count = np.diff(np.concatenate([first, [source.size]]))
    begin, to = source[first], target[first]
    at = 0
    while at < first.size:
        groups = 1
        step = to_step = int(count[at])
        if at + 1 < first.size:
            step, to_step = int(begin[at + 1] - begin[at]), int(to[at + 1] - to[at])
            same = (
                (count[at + 1 :] == count[at])
                & (np.diff(begin[at:]) == step)
                & (np.diff(to[at:]) == to_step)
                & (step >= 0)
                & (to_step >= count[at])
            )
            groups += int(same.size if same.all() else np.argmin(same))
        groups = min(groups, MOST_GROUPS)
        yield Stretch(
            source=int(begin[at]),
            target=int(to[at]),
            groups=groups,
            count=int(count[at]),
            source_step=max(step, 0) if groups > 1 else int(count[at]),
            target_step=to_step if groups > 1 else int(count[at]),
        )
        at += groups
