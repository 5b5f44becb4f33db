"""Attention among the tokens of one step: keys and values are scattered into states, queries gather from them.

A state of a head has `size` rows of `size` words. Softmax attention keeps keys with a feature a row and a token a lane,
and values with a token a row; linear attention keeps the sum of k vᵀ. States are cleared at the begin of every step by
a decay with the factor 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2

import numpy as np

from spikesim.mapping.blocks import encode
from spikesim.mapping.builder import Value
from spikesim.mapping.graph.lowering import Lowering
from spikesim.mapping.graph.nodes import Attention
from spikesim.mapping.graph.tensor import Tensor, row_major, run, spans
from spikesim.program import (
    ACTIVATION_LIMIT,
    COUNT_LIMIT,
    WORD_LIMIT,
    Add,
    Decay,
    Exponential,
    Gather,
    Invert,
    Multiply,
    Reduce,
    Reduction,
    Scatter,
    StateSpec,
    View,
)
from spikesim.program.scalar import constant

SCORE_FRACTION = 10
"""Binary point of scores in powers of two, the least that the table takes: ±128 fit the multiplier's operand."""

_SCORE_LIMIT = 2**17 - 1
_STATE_ROOM = 2**14
"""What a sum of k vᵀ reaches in a word of state: half of its range."""

_SPARE_BITS = 31 - 16
"""Bits that a word may have if its product with a mantissa is to fit a word."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of one attention; `size`: rows and lanes of a head's state."""

    heads: int
    queries: int
    keys: int
    size: int

    @property
    def rows(self) -> int:
        """Queries of all heads."""
        return self.queries * self.heads


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Tokens of all heads in one vector: word ((token · heads) + head) · size + feature, zeros behind the features."""

    vector: str
    tokens: int
    heads: int
    size: int
    limit: int
    fraction: int
    factor: float = 1.0
    scale: View | None = None

    def token(self, number: int) -> View:
        """The heads of one token."""
        return run(self.vector, number * self.heads * self.size, self.heads, self.size)


def lower_attention(low: Lowering, node: Attention) -> Tensor:
    """All tokens, token by token."""
    query, key, value = (low.tensor(name) for name in node.inputs)
    heads, queries, features = query.shape[-3:]
    keys, wide = value.shape[-2:]
    softmax = node.kind == "softmax"
    size = max(features, wide, keys if softmax else 0)
    q = _encoded(low, f"{node.name}-q", query, size)
    k = _encoded(low, f"{node.name}-k", key, size)
    out = low.builder.vector(f"{node.name}-sums", queries * heads * size)
    if softmax:
        v = _placed(low, f"{node.name}-v", value, size)
        real = _softmax(low, node, q, k, v, out, Sizes(heads=heads, queries=queries, keys=keys, size=size))
    else:
        v = _encoded(low, f"{node.name}-v", value, size)
        real = _linear(low, node, q, k, v, out, Sizes(heads=heads, queries=queries, keys=keys, size=size))
    fraction, limit = low.formats.of(node)
    rows = queries * heads
    name = node.name
    low.builder.vector(name, rows * wide)
    for first, count in spans(rows):
        low.builder.emit(
            Multiply(
                dst=run(name, first * wide, count, wide),
                a=run(real.view.name, first * size, count, wide, size),
                shift=real.fraction - fraction,
                limit=limit,
            )
        )
    lies = row_major((queries, heads, wide)).transpose(1, 0, 2).reshape(low.graph.shapes[name])
    return Tensor(vector=name, words=rows * wide, order=lies, fraction=fraction, limit=limit)


def _order(tensor: Tensor, size: int) -> np.ndarray:
    """Where the elements of [1 …, heads, tokens, features] lie in `Heads`."""
    heads, tokens, features = tensor.shape[-3:]
    words = np.arange(tokens * heads * size, dtype=np.int64).reshape(tokens, heads, size)[:, :, :features]
    return np.ascontiguousarray(words.transpose(1, 0, 2)).reshape(tensor.shape)


def _placed(low: Lowering, name: str, x: Tensor, size: int) -> Heads:
    """A tensor's words, in 16 bits, as `Heads`."""
    if x.limit > ACTIVATION_LIMIT:
        x = low.settled(f"{name}-plain", low.dense(f"{name}-dense", x), x.fraction, ACTIVATION_LIMIT)
    heads, tokens, features = x.shape[-3:]
    words = tokens * heads * size
    order = _order(x, size)
    if features == size:
        same = low.ordered(f"{name}-heads", x, order)
        vector = same.vector
    else:
        vector = low.builder.vector(f"{name}-heads", words).name
        low.copy_into(vector, x, order)
        rows = tokens * heads
        for first, count in spans(rows):
            low.fill(vector, run(vector, first * size + features, count, size - features, size))
    return Heads(
        vector=vector,
        tokens=tokens,
        heads=heads,
        size=size,
        limit=x.limit,
        fraction=x.fraction,
        factor=x.unit,
    )


def _encoded(low: Lowering, name: str, x: Tensor, size: int) -> Heads:
    """Counts with one scale for all tokens: sums over tokens then have one."""
    placed = _placed(low, name, x, size)
    if x.is_counts:
        return placed
    words = placed.tokens * placed.heads * placed.size
    value = Value(view=run(placed.vector, 0, 1, words), fraction=placed.fraction, limit=placed.limit)
    counts = encode(low, name, value)
    return replace(
        placed,
        vector=counts.view.name,
        limit=counts.limit,
        fraction=counts.fraction,
        factor=counts.factor * x.unit,
        scale=counts.scale,
    )


def _state(low: Lowering, name: str, heads: int, size: int) -> None:
    """A state that is cleared at every step."""
    builder = low.builder
    builder.states[name] = StateSpec(copies=1, heads=heads, size=size)
    builder.constant(f"{name}-nothing", np.zeros(1, np.int32))
    dst = builder.scalars(f"{name}-factors", heads)
    builder.emit(Decay(dst=dst, factor=View(name=f"{name}-nothing", groups=heads, stride=0), state=name))


def _too_many(limit: int) -> int:
    """Places by which a product of words with a mantissa is shifted to fit a word."""
    return max(0, limit.bit_length() - _SPARE_BITS)


def _one_hot(low: Lowering, heads: int, size: int, at: int) -> View:
    """Words that are 0 but for one, the same for all heads."""
    name = f"one_hot-{size}"
    if name not in low.builder.vectors:
        words = np.zeros(2 * size - 1, np.int32)
        words[size - 1] = 1
        low.builder.constant(name, words)
    return run(name, size - 1 - at, heads, size, 0)


def _softmax(low: Lowering, node: Attention, q: Heads, k: Heads, v: Heads, out: View, sizes: Sizes) -> Value:
    heads, keys, size = sizes.heads, sizes.keys, sizes.size
    builder, name = low.builder, node.name
    key_state, value_state = f"{name}-keys", f"{name}-values"
    _state(low, key_state, heads, size)
    _state(low, value_state, heads, size)
    for token in range(keys):
        hot = _one_hot(low, heads, size, token)
        builder.emit(Scatter(counts=k.token(token), update=hot, shift=0, state=key_state))
        builder.emit(Scatter(counts=hot, update=v.token(token), shift=0, state=value_state))
    dots = builder.vector(f"{name}-dots", sizes.rows * size)
    for token in range(sizes.queries):
        dst = run(dots.name, token * heads * size, heads, size)
        builder.emit(Gather(dst=dst, counts=q.token(token), operand="state", name=key_state))
    weights, inverse = _weights(low, node, q, k, dots.name, sizes)
    for token in range(sizes.queries):
        at = token * heads * size
        counts = run(weights, at, heads, size)
        builder.emit(
            Gather(dst=run(out.name, at, heads, size), counts=counts, operand="state", name=value_state)
        )
    fraction = low.formats.of(node)[0] + 4
    rows = sizes.rows
    scaled = builder.vector(f"{name}-mean", rows * size)
    unit = builder.reals(f"{name}-value_unit", np.array([v.factor]))
    shift_b = _too_many(COUNT_LIMIT * keys * v.limit)
    for first, count in spans(rows):
        builder.emit(
            Multiply(
                dst=run(scaled.name, first * size, count, size),
                a=run(out.name, first * size, count, size),
                b=View(name=unit[0].name, groups=1, length=1),
                scalar=View(name=inverse, offset=first, groups=count, stride=1),
                shift_b=shift_b,
                shift=v.fraction + unit[1] - fraction - shift_b,
                limit=WORD_LIMIT,
            )
        )
    return Value(view=scaled, fraction=fraction, limit=WORD_LIMIT)


def _weights(low: Lowering, node: Attention, q: Heads, k: Heads, dots: str, sizes: Sizes) -> tuple[str, str]:
    """Softmax weights of all queries as counts, and the reciprocals of their sums: names of vectors."""
    builder, name, rows, keys, size = low.builder, node.name, sizes.rows, sizes.keys, sizes.size
    scores = builder.vector(f"{name}-scores", rows * keys)
    peaks = builder.vector(f"{name}-most", rows)
    spread = builder.vector(f"{name}-mosts", rows * keys)
    below = builder.vector(f"{name}-below", rows * keys)
    powers = builder.vector(f"{name}-powers", rows * keys)
    weights = builder.vector(f"{name}-weights", rows * size)
    factor = q.factor * k.factor * node.scale * log2(np.e)
    unit, unit_fraction = builder.reals(f"{name}-score_unit", np.array([factor]))
    scalar = None
    known = [heads_.scale for heads_ in (q, k) if heads_.scale is not None]
    if len(known) == 2:
        scalar = builder.scalar_multiply(f"{name}-score_scale", known[0], known[1])
    elif known:
        scalar = known[0]
    shift = q.fraction + k.fraction + unit_fraction - SCORE_FRACTION
    shift_b = _too_many(q.limit * k.limit * size) if scalar is not None else shift

    for first, count in spans(rows):
        dst = run(scores.name, first * keys, count, keys)
        builder.emit(
            Multiply(
                dst=dst,
                a=run(dots, first * size, count, keys, size),
                b=View(name=unit.name),
                scalar=None if scalar is None else View(name=scalar.name, offset=scalar.offset),
                shift_b=shift_b,
                shift=0 if scalar is None else shift - shift_b,
                limit=_SCORE_LIMIT,
                bound=True,
                reduce=Reduction(kind="max", dst=run(peaks.name, first, count, 1)),
            )
        )
        mosts = run(spread.name, first * keys, count, keys)
        builder.emit(
            Multiply(
                dst=mosts, a=low.ones(count, keys), b=run(peaks.name, first, count, 1), limit=_SCORE_LIMIT
            )
        )
        builder.emit(
            Add(
                dst=run(below.name, first * keys, count, keys),
                a=mosts,
                b=dst,
                subtract=True,
                limit=WORD_LIMIT,
            )
        )
    low.builder.constant(f"{name}-largest", np.full(1, COUNT_LIMIT, np.int32))
    for first, count in spans(rows * keys):
        each = run(powers.name, first, count, 1)
        builder.emit(Exponential(dst=each, src=run(below.name, first, count, 1), fraction=SCORE_FRACTION))
    for row in range(rows):
        builder.emit(
            Multiply(
                dst=run(weights.name, row * size, keys, 1),
                a=run(f"{name}-largest", 0, keys, 1, 0),
                scalar=run(powers.name, row * keys, keys, 1),
                limit=COUNT_LIMIT,
            )
        )
    if keys < size:
        for first, count in spans(rows):
            low.fill(weights.name, run(weights.name, first * size + keys, count, size - keys, size))
    totals = builder.vector(f"{name}-totals", rows)
    inverse = builder.vector(f"{name}-inverse", rows)
    for first, count in spans(rows):
        a = run(weights.name, first * size, count, keys, size)
        # A weight is 0 … 127; its sum of magnitudes is its sum.
        total = run(totals.name, first, count, 1)
        builder.emit(Reduce(a=a, reduction=Reduction(kind="sum_abs", dst=total)))
        builder.emit(Invert(dst=run(inverse.name, first, count, 1), src=total, constant=constant(1.0)))
    return weights.name, inverse.name


def _linear(low: Lowering, node: Attention, q: Heads, k: Heads, v: Heads, out: View, sizes: Sizes) -> Value:
    heads, keys, size = sizes.heads, sizes.keys, sizes.size
    builder, name = low.builder, node.name
    state = f"{name}-state"
    _state(low, state, heads, size)
    shift = max(0, (keys * k.limit * v.limit - 1).bit_length() - (_STATE_ROOM - 1).bit_length())
    for token in range(keys):
        builder.emit(Scatter(counts=k.token(token), update=v.token(token), shift=shift, state=state))
    for token in range(sizes.queries):
        dst = run(out.name, token * heads * size, heads, size)
        builder.emit(Gather(dst=dst, counts=q.token(token), operand="state", name=state))
    fraction, _ = low.formats.of(node)
    fraction += 4
    factor = q.factor * k.factor * v.factor * node.scale
    unit, unit_fraction = builder.reals(f"{name}-unit", np.array([factor]))
    scalar: View | None = None
    for number, part in enumerate(scale for scale in (q.scale, k.scale, v.scale) if scale is not None):
        one = View(name=part.name, offset=part.offset)
        scalar = one if scalar is None else builder.scalar_multiply(f"{name}-scale.{number}", scalar, one)
    places = q.fraction + k.fraction + v.fraction - shift + unit_fraction - fraction
    shift_b = _too_many(q.limit * size * 2 * _STATE_ROOM) if scalar is not None else places
    dst = builder.vector(f"{name}-scaled", out.words)
    builder.emit(
        Multiply(
            dst=dst,
            a=out.split(1),
            b=View(name=unit.name),
            scalar=scalar,
            shift_b=shift_b,
            shift=0 if scalar is None else places - shift_b,
            limit=WORD_LIMIT,
        )
    )
    return Value(view=dst, fraction=fraction, limit=WORD_LIMIT)
