"""Scalar instructions: reciprocal, inverse root, product and exponential of packed scalars, int32[batch, groups]."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.golden.arithmetic import exponent_of, interpolate, mantissa_of, pack_scalar, round_shift
from spikesim.golden.pointwise import power_of_two
from spikesim.program.tables import INVERSE_ROOT, RECIPROCAL, RECIPROCAL_LOW_BITS, ROOT_LOW_BITS
from spikesim.support.jit import Int, jit

_ONE = 2**15


@jit("void(int32[:,:], int32[:,:], boolean, int64, int64)")
def invert(dst: Any, src: Any, root: bool, mantissa: Int, exponent: Int) -> None:
    """`Invert`: mantissa · 2^exponent over src, or over its square root."""
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            m = mantissa_of(src[i, g])
            e = exponent_of(src[i, g])
            if m == 0:
                dst[i, g] = 0
            elif root:
                # An odd exponent moves its factor 2 into the mantissa, so that the rest has a whole root.
                if e & 1:
                    m *= 2
                    e -= 1
                value = interpolate(INVERSE_ROOT, m - _ONE, ROOT_LOW_BITS)
                dst[i, g] = pack_scalar(mantissa * value, exponent - 24 - (e >> 1))
            else:
                value = interpolate(RECIPROCAL, m - _ONE, RECIPROCAL_LOW_BITS)
                dst[i, g] = pack_scalar(mantissa * value, exponent - 31 - e)


@jit("void(int32[:,:], int32[:,:], int32[:,:], int64, int64)")
def scalar_multiply(dst: Any, a: Any, b: Any, mantissa: Int, exponent: Int) -> None:
    """`ScalarMultiply`: the 48-bit product of the mantissas, rounded to 32 bits, then normalised."""
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            product = mantissa_of(a[i, g]) * mantissa_of(b[i, g])
            e = exponent_of(a[i, g]) + exponent_of(b[i, g]) + exponent
            dst[i, g] = pack_scalar(round_shift(product * mantissa, 16), e + 16)


@jit("void(int32[:,:], int32[:,:], int64)")
def exponential(dst: Any, src: Any, fraction: Int) -> None:
    """`Exponential`; negative words count as 0."""
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            dst[i, g] = power_of_two(max(np.int64(src[i, g]), np.int64(0)), fraction)
