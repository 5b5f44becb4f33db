"""Real constants as integers: how near they are, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spikesim.errors import NumericError
from spikesim.mapping.quantize import MANTISSA_LIMIT, mantissas, quantize_rows
from spikesim.mapping.ranges import RangeRecorder, fraction_for
from spikesim.program.scalar import MANTISSA_BITS, constant

REALS = st.floats(-1e30, 1e30, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30)


@given(npst.arrays(np.float64, st.integers(0, 8), elements=REALS))
def test_constants_share_a_binary_point_that_uses_all_bits(values: np.ndarray) -> None:
    integers, fraction = mantissas(values)
    assert (
        np.abs(np.ldexp(integers.astype(np.float64), -fraction) - values) <= math.ldexp(0.5, -fraction)
    ).all()
    if values.any():
        assert 2**15 <= np.abs(integers).max() <= MANTISSA_LIMIT
    else:
        assert fraction == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_constant(value: float) -> None:
    with pytest.raises(NumericError, match="constants must be finite"):
        mantissas(np.array([1.0, value]))


@given(st.floats(1e-30, 1e30))
def test_a_scalar_is_within_half_a_unit_of_its_mantissa(value: float) -> None:
    found = constant(value)
    assert 2 ** (MANTISSA_BITS - 1) <= found.mantissa < 2**MANTISSA_BITS
    assert abs(math.ldexp(found.mantissa, found.exponent) - value) <= math.ldexp(0.5, found.exponent)


def test_a_mantissa_that_rounds_up_to_the_next_power_is_halved() -> None:
    assert constant(1 - 2.0**-40) == constant(1.0)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_no_other_number_is_a_scalar(value: float) -> None:
    with pytest.raises(NumericError, match="must be positive and finite"):
        constant(value)


WEIGHTS = st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30)
"""Their scales are normal numbers of float32, in which weights are rounded."""


@given(npst.arrays(np.float32, (3, 5), elements=WEIGHTS))
def test_rows_of_weights_are_within_half_a_unit(weight: np.ndarray) -> None:
    integers, scales = quantize_rows(torch.from_numpy(weight))
    assert (np.abs(integers.astype(int)) <= 127).all()
    assert (np.abs(integers * scales[:, None] - weight) <= scales[:, None] * (0.5 + 1e-4)).all()
    assert (scales[~weight.any(axis=1)] == 0).all()


def test_a_range_is_the_largest_magnitude_seen() -> None:
    ranges = RangeRecorder()
    for tokens in ([[1.0, -2.0]], [[-3.0, 0.5], [0.0, 0.0]]):
        ranges("x", torch.tensor([tokens]))
    assert ranges.channels("x").tolist() == [3.0, 2.0]
    assert ranges.peak("x") == 3.0
    ranges("x", torch.tensor([[[math.inf, 0.0]]]))
    with pytest.raises(NumericError, match="calibration values of x must be finite"):
        ranges.peak("x")


@given(st.floats(1e-6, 1e6), st.integers(1, 2**31 - 1))
def test_a_binary_point_leaves_the_headroom_and_not_twice_as_much(peak: float, limit: int) -> None:
    reach = math.ldexp(2.0 * peak, fraction_for(peak, limit))
    assert limit / 2 < reach * (1 + 1e-9)
    assert reach <= limit * (1 + 1e-9)


def test_silence_gets_a_binary_point_too() -> None:
    assert fraction_for(0.0, 127) == 15
