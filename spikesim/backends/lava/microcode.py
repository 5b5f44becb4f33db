"""The neuron microcode of a stage: every instruction but the matrix gather, a token at a time, in numpy integers.

Written from `docs/numerics.md` and `docs/program.md` alone. It shares tables and instructions with the golden model
and no line of arithmetic, so that Lava is a witness of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.backends.lava.integers import (
    Integers,
    exponent,
    interpolate,
    mantissa,
    pack,
    power_of_two,
    round_shift,
    saturate,
)
from spikesim.program import tables
from spikesim.program.scalar import FULL_FACTOR

LARGEST_STATE_SHIFT = 16
"""A right shift that leaves nothing of a 16-bit state word."""


@dataclass(kw_only=True)
class HeldState:
    """`rows`: int16[copies, heads, size, size]; `factors`: int64[copies, heads], packed scalars."""

    rows: NDArray[np.int16]
    factors: Integers


@dataclass(kw_only=True)
class HeldCache:
    """`keys`, `values`, `means`: int8[heads, entries, size]; `block_sum`: int64[heads, size]."""

    keys: NDArray[np.int8]
    values: NDArray[np.int8]
    means: NDArray[np.int8]
    block_sum: Integers


@dataclass(kw_only=True)
class Width:
    """How wide the plain words of a kind of instruction became; `product`: largest magnitude before rounding."""

    words: int = 0
    beyond: int = 0
    word: int = 0
    product: int = 0
    vectors: set[str] = field(default_factory=set)


class Microcode:
    """Vectors, caches, states of one stage, and the matrices that it gathers itself; `execute` runs an instruction for
    the token at `position`.

    `vectors`: int32[words] by name. Every token begins with `begin`. Words stay until they are written again, which a
    verified program does before it reads them but for those that persist.
    """

    def __init__(
        self,
        words: dict[str, int],
        constants: dict[str, NDArray[np.int32]],
        caches: dict[str, isa.CacheSpec],
        states: dict[str, isa.StateSpec],
        matrices: dict[str, NDArray[np.int8]] | None = None,
    ) -> None:
        self.matrices = matrices or {}
        self.constants = constants
        self.vectors = {name: np.zeros(size, np.int32) for name, size in words.items()}
        self.caches = {name: _empty_cache(spec) for name, spec in caches.items()}
        self.states = {name: _empty_state(spec) for name, spec in states.items()}
        self.position = 0
        self.widths: dict[str, Width] = {}
        self._keyed: dict[str, Integers] = {}

    def begin(self, position: int) -> None:
        """Start the token at `position`."""
        self.position = position
        self._keyed.clear()

    def execute(self, i: isa.Instruction) -> None:
        """Run one instruction."""
        match i:
            case isa.Multiply():
                self._multiply(i)
            case isa.Add():
                self._add(i)
            case isa.Reduce():
                self._reduce(i)
            case isa.Invert():
                self._invert(i)
            case isa.ScalarMultiply():
                self._scalar_multiply(i)
            case isa.Exponential():
                self._exponential(i)
            case isa.Lookup():
                self._lookup(i)
            case isa.SoftmaxWeights():
                self._softmax_weights(i)
            case isa.Phase():
                self._phase(i)
            case isa.Rotate():
                self._rotate(i)
            case isa.SelectTop():
                self._select_top(i)
            case isa.Gather(operand="state"):
                self._gather_state(i)
            case isa.Gather(operand="keys" | "values" | "means"):
                self._gather_cache(i)
            case isa.Scatter():
                self._scatter(i)
            case isa.Decay():
                self._decay(i)
            case isa.Store():
                self._store(i)
            case isa.Pool():
                self._pool(i)
            case isa.Gather():
                self._gather_matrix(i)
            case _:
                assert_never(i)

    def read(self, view: isa.View) -> Integers:
        """int64[groups, length] of a view; of a vector indexed by key, all keys of the token's range."""
        if view.name in self._keyed:
            return self._keyed[view.name]
        source = self.constants.get(view.name)
        vector = self.vectors[view.name] if source is None else source
        return vector[_places(view)].astype(np.int64)

    def write(self, view: isa.View, words: Any) -> None:
        """Write words of the view's shape, integers within 32 bits."""
        self.vectors[view.name][_places(view)] = words

    # Arithmetic

    def _multiply(self, i: isa.Multiply) -> None:
        value = self.read(i.a)
        product = 0
        if i.b is not None:
            exact = value * self.read(i.b)
            product = _largest(exact)
            value = saturate(round_shift(exact, i.shift_b), isa.WORD_LIMIT)
        if i.scalar is None:
            scaled = round_shift(value, i.shift)
        else:
            scalar = self.read(i.scalar)
            exact = value * mantissa(scalar)
            product = max(product, _largest(exact))
            scaled = round_shift(exact, i.shift - exponent(scalar))
        out = saturate(scaled, i.limit)
        if i.keys is None:
            self.write(i.dst, out)
            self._statistic(i.reduce, out)
        else:
            valid = self._valid(i.keys, out.shape)
            out = np.where(valid, out, 0)
            self._keyed[i.dst.name] = out
            self._statistic(i.reduce, out, valid)
        self._note(i, i.dst.name, out, product)

    def _add(self, i: isa.Add) -> None:
        a, b = self.read(i.a), self.read(i.b)
        out = saturate(a - b if i.subtract else a + b, i.limit)
        self.write(i.dst, out)
        self._statistic(i.reduce, out)
        self._note(i, i.dst.name, out)

    def _lookup(self, i: isa.Lookup) -> None:
        value = self.read(i.a)
        last = 16 << tables.SIGMOID_INPUT_FRACTION
        place = saturate(round_shift(np.abs(value), i.fraction - tables.SIGMOID_INPUT_FRACTION), last)
        if i.function == "step":
            out = (value > 0).astype(np.int64)
        elif i.function == "softplus":
            linear = round_shift(np.maximum(value, 0), i.fraction - tables.SOFTPLUS_FRACTION)
            curve = interpolate(tables.SOFTPLUS, place, tables.SIGMOID_LOW_BITS)
            out = saturate(curve + saturate(linear, isa.WORD_LIMIT), isa.WORD_LIMIT)
        else:
            curve = interpolate(tables.SIGMOID, place, tables.SIGMOID_LOW_BITS)
            out = np.where(value < 0, (1 << tables.SIGMOID_FRACTION) - curve, curve)
        self.write(i.dst, out)
        self._note(i, i.dst.name, out)

    def _phase(self, i: isa.Phase) -> None:
        turns = (self.position * (self.read(i.increment) & 0xFFFFFFFF)) & 0xFFFFFFFF
        angle_bits = 2 + tables.ANGLE_INDEX_BITS + tables.ANGLE_LOW_BITS
        angle = turns >> (32 - angle_bits)
        quarter = 1 << (angle_bits - 2)
        # cos x = sin(x + a quarter turn)
        for dst, ahead in ((i.cos, quarter), (i.sin, 0)):
            place = (angle + ahead) % (4 * quarter)
            quadrant, within = place // quarter, place % quarter
            within = np.where(quadrant % 2 == 1, quarter - within, within)
            value = interpolate(tables.SINE, within, tables.ANGLE_LOW_BITS)
            self.write(dst, np.where(quadrant >= 2, -value, value))

    def _rotate(self, i: isa.Rotate) -> None:
        a = self.read(i.a)
        half = a.shape[1] // 2
        low, high = a[:, :half], a[:, half:]
        cos, sin = self.read(i.cos)[:, :half], self.read(i.sin)[:, :half]
        exact = np.concatenate([low * cos - high * sin, low * sin + high * cos], axis=1)
        out = saturate(round_shift(exact, tables.ANGLE_FRACTION), isa.ACTIVATION_LIMIT)
        self.write(i.dst, out)
        self._statistic(i.reduce, out)
        self._note(i, i.dst.name, out, _largest(exact))

    # Scalars

    def _reduce(self, i: isa.Reduce) -> None:
        value = self.read(i.a)
        places: Integers = np.zeros((value.shape[0], 1), np.int64)
        if i.norm is not None:
            norm = self.read(i.norm)
            places = places + np.where(mantissa(norm) == 0, 0, np.maximum(exponent(norm) + 1, 0))
        shifted = round_shift(value, places)
        total = _total(i.reduction.kind, shifted)
        if i.initial is not None and i.reduction.kind != "max":
            start = round_shift(np.int64(i.initial.mantissa), 2 * places - i.initial.exponent)
            total = np.maximum(total, start) if i.reduction.kind == "max_abs" else total + start
        word = total if i.reduction.kind == "max" else pack(total, 2 * places)
        self.write(i.reduction.dst, word)
        self._note(i, i.reduction.dst.name, None, _largest(total))

    def _invert(self, i: isa.Invert) -> None:
        src = self.read(i.src)
        m, e = mantissa(src), exponent(src)
        known = np.maximum(m, 1 << 15)  # zero is looked up like one, and put right below
        if i.root:
            # An odd exponent gives its factor 2 to the mantissa, so that the rest has a whole root.
            odd = e & 1
            value = interpolate(tables.INVERSE_ROOT, (known << odd) - (1 << 15), tables.ROOT_LOW_BITS)
            out = pack(i.constant.mantissa * value, i.constant.exponent - 24 - (e >> 1))
        else:
            value = interpolate(tables.RECIPROCAL, known - (1 << 15), tables.RECIPROCAL_LOW_BITS)
            out = pack(i.constant.mantissa * value, i.constant.exponent - 31 - e)
        self.write(i.dst, np.where(m == 0, 0, out))

    def _scalar_multiply(self, i: isa.ScalarMultiply) -> None:
        a, b = self.read(i.a), self.read(i.b)
        exact = mantissa(a) * mantissa(b) * i.constant.mantissa
        self.write(i.dst, pack(round_shift(exact, 16), exponent(a) + exponent(b) + i.constant.exponent + 16))
        self._note(i, i.dst.name, None, _largest(exact))

    def _exponential(self, i: isa.Exponential) -> None:
        self.write(i.dst, power_of_two(np.maximum(self.read(i.src), 0), i.fraction))

    # Attention

    def _softmax_weights(self, i: isa.SoftmaxWeights) -> None:
        a = self.read(i.a)
        valid = self._valid(i.keys, a.shape)
        below = np.where(valid, self.read(i.maximum) - a, 0)
        word = power_of_two(below, i.fraction)
        out = np.where(valid, round_shift(i.limit * mantissa(word), -exponent(word)), 0)
        self._keyed[i.dst.name] = out
        self.write(i.reduce.dst, pack(out.sum(axis=1, keepdims=True), 0))
        self._note(i, i.dst.name, out)

    def _select_top(self, i: isa.SelectTop) -> None:
        a = self.read(i.a)
        candidates = a.shape[1] if i.keys is None else self.position // i.keys.span
        # A stable sort of the negated words keeps the lower index first where words are equal.
        order = np.argsort(-a[:, :candidates], axis=1, kind="stable")[:, : i.count]
        out = np.full((a.shape[0], i.count), -1, np.int64)
        out[:, : order.shape[1]] = np.sort(order, axis=1)
        self.write(i.dst, out)

    def _gather_matrix(self, i: isa.Gather) -> None:
        out = self.read(i.counts) @ self.matrices[i.name].astype(np.int64).T
        self.write(i.dst, out)
        self._note(i, i.dst.name, out)

    def _gather_cache(self, i: isa.Gather) -> None:
        cache, counts = self.caches[i.name], self.read(i.counts)
        head = (i.first_head + np.arange(i.dst.groups)) // i.sharing
        if i.operand == "means":
            finished = self.position // i.keys.span if i.keys is not None else 0
            out = np.einsum("gd,gtd->gt", counts, cache.means[head, :finished].astype(np.int64))
            self._keyed[i.dst.name] = out
        elif i.operand == "keys":
            rows = cache.keys[head, self._first(i.keys) : self.position + 1].astype(np.int64)
            out = np.einsum("gd,gtd->gt", counts, rows)
            self._keyed[i.dst.name] = out
        else:
            rows = cache.values[head, self._first(i.keys) : self.position + 1].astype(np.int64)
            out = np.einsum("gt,gtd->gd", counts, rows)
            self.write(i.dst, out)
        self._note(i, i.dst.name, out)

    def _store(self, i: isa.Store) -> None:
        cache, entry = self.caches[i.cache], self.read(i.src)[:, None].astype(np.int8)
        if i.kind == "keys":
            cache.keys = np.concatenate([cache.keys, entry], axis=1)
        else:
            cache.values = np.concatenate([cache.values, entry], axis=1)

    def _pool(self, i: isa.Pool) -> None:
        cache = self.caches[i.cache]
        cache.block_sum += self.read(i.src)
        if (self.position + 1) % i.block == 0:
            mean = saturate(round_shift(cache.block_sum * i.scale, i.shift), isa.COUNT_LIMIT)
            cache.means = np.concatenate([cache.means, mean[:, None].astype(np.int8)], axis=1)
            cache.block_sum[...] = 0

    def _first(self, keys: isa.CacheKeys | None) -> int:
        """The first key of the token's range."""
        return max(0, self.position - keys.span + 1) if keys is not None and keys.kind == "window" else 0

    def _valid(self, keys: isa.CacheKeys, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """bool[groups, keys of the range]: those the token may attend to."""
        valid = np.ones(shape, np.bool_)
        if keys.kind == "blocks" and keys.selected is not None:
            block = np.arange(self.position + 1) // keys.span
            chosen = self.read(keys.selected)
            own = block == self.position // keys.span
            valid &= own | (block == chosen[:, :, None]).any(axis=1)
        return valid

    # Recurrent state

    def _copy(self, partition: isa.View | None) -> int:
        return 0 if partition is None else int(self.read(partition)[0, 0])

    def _gather_state(self, i: isa.Gather) -> None:
        rows = self.states[i.name].rows[self._copy(i.partition)].astype(np.int64)
        out = np.einsum("hi,hij->hj", self.read(i.counts), rows)
        self.write(i.dst, out)
        self._note(i, i.dst.name, out)

    def _scatter(self, i: isa.Scatter) -> None:
        rows = self.states[i.state].rows[self._copy(i.partition)]
        exact = self.read(i.counts)[:, :, None] * self.read(i.update)[:, None, :]
        # The sum wraps to 16 bits; int16 keeps the low ones.
        rows[...] = (rows.astype(np.int64) + round_shift(exact, i.shift)).astype(np.int16)
        self._note(i, i.state, None, _largest(exact))

    def _decay(self, i: isa.Decay) -> None:
        state, copy = self.states[i.state], self._copy(i.partition)
        old, factor = state.factors[copy][:, None], self.read(i.factor)
        word = pack(mantissa(old) * mantissa(factor), exponent(old) + exponent(factor))
        m = mantissa(word)
        shift = np.where(m == 0, LARGEST_STATE_SHIFT, np.clip(-16 - exponent(word), 0, LARGEST_STATE_SHIFT))
        rows = state.rows[copy].astype(np.int64)
        shifted = np.where(shift[:, :, None] > 0, round_shift(rows, shift[:, :, None]), rows)
        state.rows[copy] = shifted.astype(np.int16)
        state.factors[copy] = (-16 * 65536 + np.where(m == 0, 1 << 15, m))[:, 0]
        self.write(i.dst, state.factors[copy][:, None])

    # Statistics

    def _statistic(
        self, reduction: isa.Reduction | None, words: Integers, valid: NDArray[np.bool_] | None = None
    ) -> None:
        if reduction is None:
            return
        total = _total(reduction.kind, words, valid)
        self.write(reduction.dst, total if reduction.kind == "max" else pack(total, 0))

    def _note(self, i: Any, name: str, words: Integers | None, product: int = 0) -> None:
        """Account plain words (scalars are packed, not wide) and the magnitude of products."""
        width = self.widths.setdefault(i.op, Width())
        width.product = max(width.product, product)
        if words is None or words.size == 0:
            return
        beyond = int(np.count_nonzero((words >= 2**23) | (words < -(2**23))))
        width.words += words.size
        width.beyond += beyond
        width.word = max(width.word, _largest(words))
        if beyond:
            width.vectors.add(name)


def _places(view: isa.View) -> Integers:
    """int64[groups, length]: the words of a view."""
    groups = np.arange(view.groups, dtype=np.int64)[:, None] * view.stride
    return view.offset + groups + np.arange(view.length, dtype=np.int64)


def _largest(words: Integers) -> int:
    return int(np.abs(words).max(initial=0))


def _total(kind: str, words: Integers, valid: NDArray[np.bool_] | None = None) -> Integers:
    """int64[groups, 1]: the statistic of the words that are valid; each group has one at least."""
    if kind == "max":
        lowest = np.iinfo(np.int64).min
        best = words if valid is None else np.where(valid, words, lowest)
        largest: Integers = best.max(axis=1, keepdims=True, initial=lowest)
        return largest
    counted = words if valid is None else np.where(valid, words, 0)
    if kind == "max_abs":
        return _total("max", np.abs(counted))
    terms = {"sum": counted, "sum_abs": np.abs(counted), "sum_squares": counted * counted}[kind]
    total: Integers = terms.sum(axis=1, keepdims=True)
    return total


def _empty_cache(spec: isa.CacheSpec) -> HeldCache:
    empty = np.empty((spec.heads, 0, spec.size), np.int8)
    return HeldCache(
        keys=empty, values=empty, means=empty, block_sum=np.zeros((spec.heads, spec.size), np.int64)
    )


def _empty_state(spec: isa.StateSpec) -> HeldState:
    return HeldState(
        rows=np.zeros((spec.copies, spec.heads, spec.size, spec.size), np.int16),
        factors=np.full((spec.copies, spec.heads), FULL_FACTOR, np.int64),
    )
