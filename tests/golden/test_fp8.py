"""E4M3 against its definition: every code by formula, and rounding as the nearest of all codes."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spikesim.golden import fp8

ALL_CODES = np.arange(256, dtype=np.uint8)
NAN = 0x7F


def meaning(code: int) -> Fraction:
    """What OCP's definition makes of a code that is not NaN: sign, 4 exponent bits of bias 7, 3 mantissa bits."""
    sign, exponent, mantissa = -1 if code >> 7 else 1, code >> 3 & 15, code & 7
    if exponent == 0:
        return sign * Fraction(mantissa, 8) * Fraction(2) ** -6
    return sign * (1 + Fraction(mantissa, 8)) * Fraction(2) ** (exponent - 7)


MAGNITUDES = [meaning(code) for code in range(NAN)]


def nearest(value: float) -> int:
    """The code nearest to a number; of two as near, the even one; beyond the largest, the largest."""
    magnitude = abs(Fraction(value)) if np.isfinite(value) else Fraction(10) ** 9
    code = min(range(NAN), key=lambda c: (abs(MAGNITUDES[c] - magnitude), c % 2))
    return code | bool(np.signbit(value)) << 7


@pytest.mark.parametrize("code", [code for code in range(256) if code & NAN != NAN])
def test_every_number_means_what_the_format_says(code: int) -> None:
    codes = np.array([code], np.uint8)
    assert Fraction(fp8.decode(codes)[0]) == meaning(code)
    assert np.signbit(fp8.decode(codes)[0]) == (code >= 0x80)
    assert fp8.integers(codes)[0] == meaning(code) * 2**fp8.NUMBER_SCALE_BITS
    assert fp8.encode(fp8.decode(codes))[0] == code


def test_two_codes_are_not_numbers() -> None:
    assert list(np.flatnonzero(fp8.is_nan(ALL_CODES))) == [NAN, NAN | 0x80]
    assert list(np.flatnonzero(np.isnan(fp8.decode(ALL_CODES)))) == [NAN, NAN | 0x80]
    assert list(fp8.encode(np.array([np.nan, -np.nan]))) == [NAN, NAN | 0x80]
    assert not fp8.integers(np.array([NAN, NAN | 0x80], np.uint8)).any()


@given(st.floats(width=32, allow_nan=False))
@example(-0.0)
@example(2.0**-10)  # halfway between zero and the smallest number
@example(464.0)  # halfway between the largest number and the 480 that the format lacks
@example(float("inf"))
def test_conversion_is_to_the_nearest_and_saturates(value: float) -> None:
    assert fp8.encode(np.array([value], np.float32))[0] == nearest(value)


@pytest.mark.parametrize("direction", [-np.inf, 0, np.inf])
def test_ties_go_to_even_and_their_neighbours_do_not(direction: float) -> None:
    """Halfway between all neighbouring codes, and the nearest float32 on both sides."""
    halves = np.array([(a + b) / 2 for a, b in pairwise(MAGNITUDES)], np.float32)
    values = np.nextafter(halves, np.float32(direction)) if direction else halves
    values = np.concatenate([values, -values])
    assert list(fp8.encode(values)) == [nearest(float(value)) for value in values]


def test_shape_and_strides_are_free() -> None:
    codes = ALL_CODES[:120].reshape(10, 12)[::-2, ::3]
    assert np.array_equal(fp8.encode(fp8.decode(codes)), codes)


@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_sums_are_those_of_whole_numbers(seed: int, dropped_bits: int) -> None:
    """Products in units of 2^-18, each cut towards zero; one NaN spoils its lane."""
    generator = np.random.default_rng(seed)
    activations, weights = (generator.integers(0, 256, shape, np.uint8) for shape in (7, (7, 3)))
    activations[activations & NAN == NAN] = 0
    sums, nan = fp8.dot(activations, weights, dropped_bits)
    for lane, column in enumerate(weights.T.tolist()):
        assert nan[lane] == any(code & NAN == NAN for code in column)
        products = [
            meaning(a) * meaning(w) * 2**fp8.PRODUCT_SCALE_BITS
            for a, w in zip(activations.tolist(), column, strict=True)
            if w & NAN != NAN
        ]
        assert nan[lane] or sums[lane] == sum(int(product / 2**dropped_bits) for product in products)
