"""The gather: integer products are exact, for every coding, at the extremes, and whatever the array looks like."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikesim.golden.product import batched_product, float32_product, product
from spikesim.spikes.digits import digits

CODINGS = ("ternary", "bitwise", "twos_complement", "signed_digit")

counts_arrays = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=st.integers(-127, 127)
)


def _truth(counts: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return counts.astype(np.int64) @ matrix.astype(np.int64).T


@given(counts_arrays, st.integers(1, 20), st.randoms(use_true_random=False))
def test_product_equals_integer_matmul(counts: np.ndarray, outputs: int, random) -> None:  # type: ignore[no-untyped-def]
    """Against numpy's int64 and torch's int32 products."""
    generator = np.random.default_rng(random.randint(0, 2**32))
    matrix = generator.integers(-128, 128, (outputs, counts.shape[1]), dtype=np.int8)
    result = product(counts.astype(np.int32), matrix)
    assert np.array_equal(result, _truth(counts, matrix))
    assert np.array_equal(result, float32_product(counts.astype(np.int32), matrix))
    expected = torch.from_numpy(counts).int() @ torch.from_numpy(matrix).int().T
    assert torch.equal(torch.from_numpy(result), expected)


@pytest.mark.parametrize("multiply", [product, float32_product])
@pytest.mark.parametrize("channels", [1, 1031, 1032, 1033, 2560, 9728])
def test_product_is_exact_at_the_extremes(channels: int, multiply: Callable[..., np.ndarray]) -> None:
    """All operands at their largest magnitude: pairs must not saturate, nor the float32 blocks round."""
    counts = np.full((2, channels), 127, np.int32)
    counts[1] = -127
    matrix = np.full((3, channels), -128, np.int8)
    matrix[1] = 127
    matrix[2, ::2] = 1
    assert np.array_equal(multiply(counts, matrix), _truth(counts, matrix))


def test_processors_whose_int8_products_saturate_are_found_out() -> None:
    """Without dot-product instructions torch's INT8 product is wrong; `product` must then not use it."""
    script = """
import torch
from spikesim.golden.product import int8_is_exact
pairs = torch.full((16, 64), 127, dtype=torch.int8)
saturates = not bool((torch._int_mm(pairs, pairs[:16].t()) == 127 * 127 * 64).all())
raise SystemExit(saturates and int8_is_exact())
"""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.parametrize("inner", [3, 1040, 4100])
def test_batched_product_is_exact(inner: int) -> None:
    """The products of attention, with more keys than one exact float32 block holds."""
    generator = np.random.default_rng(inner)
    left = generator.integers(-127, 128, (2, 3, 4, inner)).astype(np.int32)
    right = generator.integers(-128, 128, (2, 3, inner, 5)).astype(np.int8)
    left[0, 0, 0], right[0, 0] = 127, -128
    assert np.array_equal(batched_product(left, right), left.astype(np.int64) @ right.astype(np.int64))


@settings(deadline=None)
@given(counts_arrays, st.sampled_from(CODINGS))
def test_events_of_every_coding_add_up_to_the_product(counts: np.ndarray, coding: str) -> None:
    """acc += sign · (row << plane) over all events, plane by plane, is the integer product."""
    generator = np.random.default_rng(counts.size)
    matrix = generator.integers(-128, 128, (6, counts.shape[1]), dtype=np.int8)
    total = np.zeros((counts.shape[0], 6), np.int64)
    for plane, spikes in enumerate(digits(counts, coding)):
        weight = 1 if coding == "ternary" else 2**plane
        total += weight * (spikes.astype(np.int64) @ matrix.astype(np.int64).T)
    assert np.array_equal(total, product(counts.astype(np.int32), matrix))
