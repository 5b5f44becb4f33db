"""E4M3 numbers and their dot products in integers: what `rtl/baseline/fp8_sum.py` is compared with.

E4M3 is the OCP 8-bit format ("FN"): sign, 4 exponent bits of bias 7, 3 mantissa bits, subnormals, no infinities,
NaN = S.1111.111, largest magnitude 448. Every number is a whole multiple of 2^-9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 448.0
NUMBER_SCALE_BITS = 9
PRODUCT_SCALE_BITS = 18

_SMALLEST_NORMAL_EXPONENT = -6
_NAN = 0x7F


def encode(values: NDArray[np.floating], *, saturate: bool = True) -> NDArray[np.uint8]:
    """float[...] → E4M3 codes uint8[...], rounded to nearest, ties to even.

    `saturate`: what is too large, infinities included, becomes ±448, as in PyTorch 2.13; otherwise NaN, and then 464,
    halfway to the 480 that the format lacks, still rounds to 448. NaN becomes NaN of the same sign.
    """
    wide = np.asarray(values, dtype=np.float64)  # float32 and shorter are exact in it
    sign = np.signbit(wide)
    finite = np.isfinite(wide)
    magnitude = np.where(finite, np.abs(wide), 0.0)
    _, power = np.frexp(magnitude)  # magnitude = fraction · 2^power, 0.5 ≤ fraction < 1
    exponent = np.maximum(power - 1, _SMALLEST_NORMAL_EXPONENT)
    # np.rint rounds ties to even; 3 mantissa bits: units of 2^(exponent − 3). Tiny values underflow to 0 exactly.
    rounded = np.ldexp(np.rint(np.ldexp(magnitude, 3 - exponent)), exponent - 3)
    too_large = (rounded > LARGEST) | np.isinf(wide)
    kept = np.where(too_large, LARGEST, rounded)
    code = np.searchsorted(_MAGNITUDES, kept).astype(np.int64)
    invalid = np.isnan(wide) if saturate else np.isnan(wide) | too_large
    codes: NDArray[np.uint8] = (np.where(invalid, _NAN, code) | (sign.astype(np.int64) << 7)).astype(np.uint8)
    return codes


def integers(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """E4M3 codes uint8[...] → numbers in units of 2^-9, int64[...]; NaN codes as if they were ±480."""
    exponent = (codes >> 3).astype(np.int64) & 15
    mantissa = codes.astype(np.int64) & 7
    magnitude = np.where(exponent > 0, (8 + mantissa) << np.maximum(exponent - 1, 0), mantissa)
    signed: NDArray[np.int64] = np.where(codes >= 128, -magnitude, magnitude)
    return signed


def is_nan(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which codes uint8[...] are NaN."""
    nan: NDArray[np.bool_] = (codes & 0x7F) == _NAN
    return nan


def decode(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """E4M3 codes uint8[...] → float64[...], exact."""
    numbers = np.where(codes >= 128, -1.0, 1.0) * np.ldexp(
        np.abs(integers(codes)).astype(np.float64), -NUMBER_SCALE_BITS
    )
    return np.where(is_nan(codes), np.nan, numbers)


_MAGNITUDES = np.ldexp(integers(np.arange(_NAN, dtype=np.uint8)).astype(np.float64), -NUMBER_SCALE_BITS)
"""Of codes 0 … 126, ascending."""


def dot(
    activations: NDArray[np.uint8], weights: NDArray[np.uint8], dropped_bits: int = 12
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Sums int64[lanes] of activations uint8[channels] · weights uint8[channels, lanes], and which had a NaN operand.

    Unit 2^(dropped_bits − 18): each product, an integer in units of 2^-18, loses its lowest `dropped_bits` towards
    zero. Exact up to 2^27 channels; nothing wraps.
    """
    products = integers(activations)[:, None] * integers(weights)
    cut = np.sign(products) * (np.abs(products) >> dropped_bits)
    nan = is_nan(activations)[:, None] | is_nan(weights)
    sums: NDArray[np.int64] = cut.sum(axis=0)
    spoilt: NDArray[np.bool_] = np.any(nan, axis=0)
    return sums, spoilt
