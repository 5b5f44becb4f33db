"""What any model is lowered with: encoding to counts, norms, tables.

Each function appends instructions to a `ProgramBuilder` and returns the `Value` they leave, in the numbers of
`docs/numerics.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.hardware import Activation, NumericsConfig
from spikesim.mapping.builder import ProgramBuilder, Statistic, Value
from spikesim.program import ACTIVATION_LIMIT, COUNT_LIMIT, WORD_LIMIT, Lookup, View
from spikesim.program.scalar import constant

INITIAL_EXPONENT = 31
"""Largest exponent of what is added to a sum of squares: its mantissa is shifted to the left by no more places."""

TABLE_FRACTIONS = (0, 31)
"""Binary points of what a table is looked up for."""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """What it takes: a builder, and how numbers become spikes."""

    builder: ProgramBuilder
    numerics: NumericsConfig


@dataclass(frozen=True, kw_only=True)
class CountScale:
    """count = round(word · inverse), within ±limit; word = count · scale · factor. `scale`, `inverse`: packed scalars,
    one per group.
    """

    scale: View
    inverse: View
    factor: float
    limit: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Encoded activations: real = count · scale · factor · 2^−fraction, with `scale` one packed scalar per group.

    `limit`: the largest magnitude a count can have.
    """

    view: View
    scale: View
    factor: float
    fraction: int
    limit: int
    squares: View | None = None


def statistic_for(activation: Activation) -> Statistic:
    """The statistic from which counts get their scale: Σ|x| for the adaptive threshold, max|x| for INT8."""
    return "sum_abs" if activation == "threshold" else "max_abs"


def rms_norm(
    low: Blocks,
    name: str,
    x: Value,
    gain: NDArray[np.float64],
    *,
    eps: float,
    fraction: int,
    limit: int = ACTIVATION_LIMIT,
    statistic: Statistic | None = None,
) -> Value:
    """name = x · gain / √(mean x² + eps) per group; `gain` has one entry per word of a group.

    Values of more than 16 bits must carry their max_abs as statistic.
    """
    builder, size = low.builder, x.view.length
    squared = _with_epsilon(low, name, x, eps * size)
    initial = eps * size * 4.0**squared.fraction
    norm = squared.statistic if x.limit > ACTIVATION_LIMIT else None
    squares = builder.reduce(f"{name}.squares", squared.view, "sum_squares", norm=norm, initial=initial)
    scale = builder.invert(f"{name}.rms", squares, float(np.sqrt(size)), root=True)
    gains, gain_fraction = builder.reals(f"{name}.gain", gain)
    per_group = View(name=gains.name, length=size, groups=x.view.groups, stride=0)
    # x · 2^−f / rms(x) does not depend on the binary point of x: the scalar takes it away again.
    unit = Value(view=x.view, fraction=x.fraction - squared.fraction, limit=x.limit)
    return builder.multiply(
        name,
        unit,
        b=per_group,
        b_fraction=gain_fraction,
        scalar=scale,
        fraction=fraction,
        limit=limit,
        statistic=statistic,
    )


def _with_epsilon(low: Blocks, name: str, x: Value, eps: float) -> Value:
    """What to take the squares of: x, or a coarser copy where eps is too many units of x² for the core to add.

    What the copy rounds away is nothing beside such an eps.
    """
    if eps <= 0:
        return x
    beyond = constant(eps * 4.0**x.fraction).exponent - INITIAL_EXPONENT
    if beyond <= 0:
        return x
    statistic: Statistic | None = "max_abs" if x.limit > ACTIVATION_LIMIT else None
    fraction = x.fraction - (beyond + 1) // 2
    return low.builder.multiply(f"{name}.coarse", x, fraction=fraction, limit=x.limit, statistic=statistic)


def count_scale(low: Blocks, name: str, x: Value, scheme: Activation | None = None) -> CountScale:
    """The scale of x's counts, one per group: adaptive threshold or INT8 absmax, `scheme` if given, else as numerics
    say.

    threshold: count = round(x · k · n / Σ|x|), saturated to the window. INT8: count = round(x · 127 / max|x|).
    """
    builder, numerics = low.builder, low.numerics
    scheme = scheme or numerics.activation
    threshold, kind = scheme == "threshold", statistic_for(scheme)
    scale = x.statistic or builder.reduce(f"{name}.{kind}", x.view, kind)
    steps = numerics.threshold_k * x.view.length if threshold else float(COUNT_LIMIT)
    return CountScale(
        scale=scale,
        inverse=builder.invert(f"{name}.inverse", scale, steps),
        factor=1 / steps,
        limit=numerics.limit if threshold else COUNT_LIMIT,
    )


def encode(
    low: Blocks, name: str, x: Value, *, scheme: Activation | None = None, squares: bool = False
) -> Counts:
    """Counts of x, scaled as `count_scale` says. `squares` leaves Σ count² per group as well."""
    found = count_scale(low, name, x, scheme)
    # The scalar is in units of x's words, so the binary point of x cancels.
    unit = Value(view=x.view, fraction=0, limit=x.limit)
    counts = low.builder.multiply(
        f"{name}.counts",
        unit,
        scalar=found.inverse,
        fraction=0,
        limit=found.limit,
        clip=True,
        statistic="sum_squares" if squares else None,
    )
    return Counts(
        view=counts.view,
        scale=found.scale,
        factor=found.factor,
        fraction=x.fraction,
        limit=found.limit,
        squares=counts.statistic,
    )


def _table_fraction(fraction: int) -> int:
    least, most = TABLE_FRACTIONS
    return min(max(fraction, least), most)


def for_table(low: Blocks, name: str, x: Value) -> Value:
    """x at a binary point that tables take, which is its own unless it is very small or very large."""
    fraction = _table_fraction(x.fraction)
    if fraction == x.fraction:
        return x
    return low.builder.multiply(f"{name}.operand", x, fraction=fraction, limit=WORD_LIMIT)


def sigmoid(low: Blocks, name: str, x: Value) -> Value:
    """name = σ(x) with 16 fractional bits."""
    x = for_table(low, name, x)
    dst = low.builder.vector(name, x.view.words, x.view.groups)
    low.builder.emit(Lookup(dst=dst, a=x.view, function="sigmoid", fraction=x.fraction))
    return Value(view=dst, fraction=16, limit=2**16 - 1)


def silu(low: Blocks, name: str, x: Value, *, statistic: Statistic | None = None) -> Value:
    """name = x · σ(x), at the binary point of x."""
    gate = sigmoid(low, f"{name}.sigmoid", x)
    return low.builder.multiply(
        name, x, b=gate.view, b_fraction=gate.fraction, fraction=x.fraction, statistic=statistic
    )


def step(low: Blocks, name: str, x: Value) -> Value:
    """name = 1 where x > 0, else 0."""
    dst = low.builder.vector(name, x.view.words, x.view.groups)
    # A step has no binary point: it asks for signs.
    low.builder.emit(Lookup(dst=dst, a=x.view, function="step", fraction=_table_fraction(x.fraction)))
    return Value(view=dst, fraction=0, limit=1)


def relu(
    low: Blocks,
    name: str,
    x: Value,
    *,
    limit: int = ACTIVATION_LIMIT,
    bound: bool = False,
    statistic: Statistic | None = None,
) -> Value:
    """name = max(x, 0), at the binary point of x; with `bound` min(max(x, 0), limit), which cuts nothing."""
    gate = step(low, f"{name}.step", x)
    return low.builder.multiply(
        name, x, b=gate.view, fraction=x.fraction, limit=limit, bound=bound, statistic=statistic
    )


def product_of(
    low: Blocks, name: str, a: Value, b: Value, *, fraction: int, statistic: Statistic | None
) -> Value:
    """name = a · b element by element, both activations."""
    return low.builder.multiply(
        name, a, b=b.view, b_fraction=b.fraction, fraction=fraction, statistic=statistic
    )
