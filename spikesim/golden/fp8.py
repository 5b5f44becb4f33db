"""E4M3 numbers and their dot products in integers: what `rtl/baseline/fp8_sum.py` is compared with.

E4M3 is the OCP 8-bit format ("FN"): sign, 4 exponent bits of bias 7, 3 mantissa bits, subnormals, no infinities,
NaN = S.1111.111, largest magnitude 448. Every number is a whole multiple of 2^-9.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

LARGEST = 448.0
NUMBER_SCALE_BITS = 9
PRODUCT_SCALE_BITS = 18


def encode(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """float32[...] → E4M3 codes uint8[...], to nearest, ties to even; wider numbers are rounded to float32 first.

    What is too large, infinities included, becomes ±448; NaN becomes NaN of the same sign.
    """
    codes: NDArray[np.uint8] = (
        torch.from_numpy(np.array(values, np.float32)).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    )
    return codes


def decode(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """E4M3 codes uint8[...] → float64[...], exact."""
    numbers: NDArray[np.float64] = (
        torch.from_numpy(np.array(codes, np.uint8)).view(torch.float8_e4m3fn).to(torch.float64).numpy()
    )
    return numbers


def is_nan(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which codes uint8[...] are NaN."""
    return np.isnan(decode(codes))


def integers(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """E4M3 codes uint8[...] → numbers in units of 2^-9, int64[...]; NaN as 0."""
    return np.ldexp(np.nan_to_num(decode(codes)), NUMBER_SCALE_BITS).astype(np.int64)


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
