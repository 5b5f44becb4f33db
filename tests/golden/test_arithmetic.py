"""Rounding, saturation, packed scalars and tables against exact rational arithmetic and float64."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikesim.errors import NumericError
from spikesim.golden.arithmetic import (
    exponent_of,
    interpolate,
    mantissa_of,
    pack_scalar,
    round_shift,
    saturate,
)
from spikesim.golden.pointwise import power_of_two
from spikesim.golden.scalars import exponential, invert, scalar_multiply
from spikesim.program import tables
from spikesim.program.scalar import constant, pack, unpack

values = st.integers(-(2**61), 2**61)


@given(values, st.integers(1, 70))
def test_right_shift_rounds_half_to_even(value: int, shift: int) -> None:
    """Python's round of an exact fraction is the definition."""
    assert round_shift(value, shift) == round(Fraction(value, 2**shift))


@given(st.integers(-(2**31), 2**31), st.integers(-40, 0))
def test_left_shift_saturates_like_the_exact_product(value: int, shift: int) -> None:
    """After saturation to a word nobody can tell the clamped shifter from an endless one."""
    limit = 2**31 - 1
    assert saturate(round_shift(value, shift), limit) == max(-limit, min(limit, value * 2**-shift))


@given(st.integers(0, 2**62), st.integers(-100, 100))
def test_packed_scalar_is_within_half_a_unit(value: int, exponent: int) -> None:
    """The mantissa is normalised and the value off by at most 2^−17."""
    word = pack_scalar(value, exponent)
    mantissa, e = int(mantissa_of(word)), int(exponent_of(word))
    if value == 0:
        assert word == 0
        return
    assert 2**15 <= mantissa < 2**16
    exact = Fraction(value) * Fraction(2) ** exponent
    assert abs(Fraction(mantissa) * Fraction(2) ** e - exact) <= exact / 2**16


@given(st.floats(1e-30, 1e30))
def test_constants_round_to_nearest(value: float) -> None:
    """A constant is within 2^−17 of its value, and its packed word unpacks to the same."""
    scalar = constant(value)
    assert math.isclose(float(scalar), value, rel_tol=2.0**-16)
    assert unpack(np.array([pack(scalar)], np.int32))[0] == float(scalar)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_constants_refuse_what_has_no_mantissa(value: float) -> None:
    """Zero, negative and non-finite constants are refused by name."""
    with pytest.raises(NumericError, match="must be positive and finite"):
        constant(value)


def _words(*numbers: float) -> np.ndarray:
    return np.array([[pack(constant(number)) for number in numbers]], np.int32)


@given(st.floats(1e-9, 1e9), st.floats(1e-6, 1e6), st.booleans())
def test_reciprocal_and_root_are_accurate_to_three_units(x: float, scale: float, root: bool) -> None:
    """scale / x and scale / √x, relative error below 2^−15 + table error."""
    dst = np.zeros((1, 1), np.int32)
    src = _words(x)
    factor = constant(scale)
    invert(dst, src, root, factor.mantissa, factor.exponent)
    exact = float(factor) / (math.sqrt(unpack(src)[0, 0]) if root else unpack(src)[0, 0])
    assert math.isclose(unpack(dst)[0, 0], exact, rel_tol=3 * 2.0**-16)


def test_reciprocal_of_nothing_is_nothing() -> None:
    """A silent vector has no scale; its inverse is zero, so that its counts are."""
    dst = np.ones((1, 1), np.int32)
    invert(dst, np.zeros((1, 1), np.int32), False, 2**15, 0)
    assert dst[0, 0] == 0


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_scalar_product(a: float, b: float, c: float) -> None:
    """a · b · constant, rounded once more than exact."""
    dst = np.zeros((1, 1), np.int32)
    factor = constant(c)
    scalar_multiply(dst, _words(a), _words(b), factor.mantissa, factor.exponent)
    exact = unpack(_words(a))[0, 0] * unpack(_words(b))[0, 0] * float(factor)
    assert math.isclose(unpack(dst)[0, 0], exact, rel_tol=2.0**-15)


@given(st.integers(0, 2**29), st.integers(10, 20))
def test_exponential(steps: int, fraction: int) -> None:
    """2^−x over the whole range of decays."""
    dst = np.zeros((1, 1), np.int32)
    exponential(dst, np.array([[steps]], np.int32), fraction)
    exact = -steps / 2**fraction
    if exact > -1000:
        assert math.isclose(unpack(dst)[0, 0], 2.0**exact, rel_tol=2.0**-15)
    if exact < -1010:
        assert dst[0, 0] == 0
    assert dst[0, 0] == power_of_two(steps, fraction)


@pytest.mark.parametrize(
    ("table", "low_bits", "function", "bound"),
    [
        (tables.SIGMOID, 6, lambda p: 2**16 / (1 + math.exp(-p / 2048)), 2.0),
        (tables.SOFTPLUS, 6, lambda p: 2**20 * math.log1p(math.exp(-p / 2048)), 34.0),
        (tables.EXP2, 10, lambda p: 2**16 * 2 ** (-p / 2**20), 1.1),
        (tables.SINE, 12, lambda p: (2**15 - 1) * math.sin(p * math.pi / 2**22), 1.1),
        (tables.RECIPROCAL, 6, lambda p: 2**31 / (2**15 + p), 1.1),
        (tables.INVERSE_ROOT, 7, lambda p: 2**24 / math.sqrt(2**15 + p), 1.2),
    ],
)
def test_tables_are_within_their_stated_error(
    table: np.ndarray, low_bits: int, function, bound: float
) -> None:  # type: ignore[no-untyped-def]
    """Every table against float64 at 4 001 points: the bounds of docs/numerics.md, in units of the last place."""
    span = (table.size - 1) << low_bits
    points = np.unique(np.linspace(0, span, 4001).astype(np.int64))
    errors = [abs(int(interpolate(table, point, low_bits)) - function(int(point))) for point in points]
    assert max(errors) <= bound
