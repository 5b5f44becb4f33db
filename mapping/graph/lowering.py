"""`Lowering`: what lowering a node takes: the builder, where tensors are, ranges; and what many nodes need of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError
from spikesim.mapping.blocks import Blocks
from spikesim.mapping.builder import Value
from spikesim.mapping.graph.formats import Formats
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.tensor import MOST_GROUPS, Order, Tensor, row_major, run, stretches
from spikesim.mapping.quantize import mantissas
from spikesim.program import WORD_LIMIT, Add, Multiply, View

MOST_COPIES = 2**12
"""Instructions that putting a tensor into another order may take."""


@dataclass(frozen=True, kw_only=True)
class Lowering(Blocks):
    """Lowers the nodes of one program. `tensors`: of every node so far, of earlier programs too; `graph`: the whole of
    it. `copies`: tensors in other orders, by vector and orders.
    """

    graph: Graph
    tensors: dict[str, Tensor]
    formats: Formats
    copies: dict[tuple[str, bytes], Tensor] = field(default_factory=dict)

    # Tensors

    def tensor(self, name: str) -> Tensor:
        """The output of a node."""
        return self.tensors[name]

    def settled(self, name: str, tensor: Tensor, fraction: int, limit: int) -> Tensor:
        """A tensor in plain fixed point: without a unit, at a binary point. Itself if it is."""
        if tensor.unit == 1.0 and tensor.fraction == fraction and tensor.limit <= limit:
            return tensor
        return tensor.like(self.without_unit(name, tensor.value, tensor.unit, fraction, limit))

    def without_unit(
        self, name: str, x: Value, unit: float, fraction: int, limit: int, *, bound: bool = False
    ) -> Value:
        """name = x · unit at a binary point; `bound`: the limit is part of the function."""
        if unit == 1.0:
            return self.builder.multiply(name, x, fraction=fraction, limit=limit, bound=bound)
        b, b_fraction = self.builder.reals(f"{name}-unit", np.array([unit]))
        return self.builder.multiply(
            name, x, b=b, b_fraction=b_fraction, fraction=fraction, limit=limit, bound=bound
        )

    def dense(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor of whose vector every word is one element."""
        return tensor if tensor.is_dense else self.ordered(name, tensor, row_major(tensor.shape))

    def ordered(self, name: str, tensor: Tensor, order: Order) -> Tensor:
        """A tensor whose elements lie in a given, dense order. Raises CapacityError if that takes too much copying."""
        if tensor.words == tensor.order.size and (tensor.order == order).all():
            return tensor
        key = tensor.vector, order.tobytes() + tensor.order.tobytes()
        if key not in self.copies:
            copied = self.builder.vector(name, order.size)
            self.copy_into(copied.name, tensor, order)
            self.copies[key] = replace(tensor, vector=copied.name, words=order.size, order=order)
        return self.copies[key]

    def copy_into(self, vector: str, tensor: Tensor, order: Order) -> None:
        """Writes elements to the words of a vector that an order names."""
        places = order.reshape(-1)
        by_place = np.argsort(places, kind="stable")
        found = list(stretches(tensor.order.reshape(-1)[by_place], places[by_place]))
        if len(found) > MOST_COPIES:
            raise CapacityError(
                f"rearranging {tensor.vector} must take at most {MOST_COPIES} instructions, not {len(found)}"
            )
        for s in found:
            self.builder.emit(
                Multiply(
                    dst=run(vector, s.target, s.groups, s.count, s.target_step),
                    a=run(tensor.vector, s.source, s.groups, s.count, s.source_step),
                    limit=max(1, tensor.limit),
                )
            )

    # Constants

    def fill(self, vector: str, places: View, word: int = 0) -> None:
        """Writes one number to some words."""
        name = f"filling-{abs(word)}" if word >= 0 else f"filling-minus-{abs(word)}"
        known = self.builder.vectors.get(name)
        if known is None:
            self.builder.constant(name, np.full(1, word, np.int32))
        ones = self._ones(places.length)
        self.builder.emit(
            Multiply(
                dst=places,
                a=run(ones, 0, places.groups, places.length, 0),
                b=View(name=name),
                limit=max(1, abs(word)),
            )
        )

    def _ones(self, length: int) -> str:
        name = f"ones-{length}"
        if name not in self.builder.vectors:
            self.builder.constant(name, np.ones(length, np.int32))
        return name

    def ones(self, groups: int, length: int) -> View:
        """Words that are 1, as many as are asked for."""
        return run(self._ones(length), 0, groups, length, 0)

    def periodic(self, name: str, words: NDArray[np.int32]) -> View:
        """A constant of as many words as a vector has, kept once if it repeats; seen as runs of its period."""
        period = _period(words)
        self.builder.constant(name, words[:period])
        groups = words.size // period
        return run(name, 0, groups, period, 0 if groups > 1 else period)

    # Arithmetic on whole vectors

    def times(self, name: str, a: Value, factors: NDArray[np.float64], fraction: int, limit: int) -> Value:
        """name = a · factors, real constants of 16 bits, one for each of the vector's words."""
        words, factor_fraction = mantissas(factors)
        b = self.periodic(f"{name}-factors", words)
        split = a.split(b.groups)
        value = self.builder.multiply(
            name, split, b=b, b_fraction=factor_fraction, fraction=fraction, limit=limit
        )
        return value.flat()

    def plus(self, name: str, a: Value, terms: NDArray[np.float64], limit: int) -> Value:
        """name = a + terms, real constants at the binary point of a, one for each of the vector's words."""
        b = self.periodic(f"{name}-terms", fixed(terms, a.fraction))
        dst = self.builder.vector(name, a.view.words, b.groups)
        self.builder.emit(Add(dst=dst, a=a.view.split(b.groups), b=b, limit=limit))
        return Value(view=dst.split(1), fraction=a.fraction, limit=limit)

    def scaled_ones(self, name: str, words: NDArray[np.int32], spikes: View) -> View:
        """name = a constant word, of any size, where there is a spike; 0 elsewhere."""
        a = self.periodic(f"{name}-height", words)
        dst = self.builder.vector(name, spikes.words, a.groups)
        limit = int(np.abs(words.astype(np.int64)).max(initial=1))
        self.builder.emit(Multiply(dst=dst, a=a, b=spikes.split(a.groups), limit=max(1, limit)))
        return dst.split(1)


def fixed(numbers: NDArray[Any], fraction: int) -> NDArray[np.int32]:
    """Numbers as words at a binary point, rounded half to even, saturated."""
    exact = np.rint(np.ldexp(numbers.astype(np.float64), fraction))
    words: NDArray[np.int32] = np.clip(exact, -WORD_LIMIT, WORD_LIMIT).astype(np.int32)
    return words


def _period(words: NDArray[np.int32]) -> int:
    """The shortest period of some words that an instruction's groups can repeat often enough."""
    size = words.size
    least = -(-size // MOST_GROUPS)
    for period in _divisors(size):
        if period >= least and (words.reshape(-1, period) == words[:period]).all():
            return period
    return size


def _divisors(number: int) -> list[int]:
    small = [n for n in range(1, int(number**0.5) + 1) if number % n == 0]
    return sorted({*small, *(number // n for n in small)})
