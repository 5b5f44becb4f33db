"""Vector instructions: products, sums, tables, rotation and their reductions.

Operands are int32[batch, groups, length] views of any strides; scalars and statistics are int32[batch, groups].
The equations are those of `spikesim.program`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.golden.arithmetic import (
    exponent_of,
    interpolate,
    mantissa_of,
    pack_scalar,
    round_shift,
    saturate,
)
from spikesim.program.tables import (
    ANGLE_INDEX_BITS,
    ANGLE_LOW_BITS,
    EXP2,
    EXP2_FRACTION,
    EXP2_INDEX_BITS,
    SIGMOID,
    SIGMOID_FRACTION,
    SIGMOID_INPUT_FRACTION,
    SIGMOID_LOW_BITS,
    SINE,
    SOFTPLUS,
    SOFTPLUS_FRACTION,
)
from spikesim.support.jit import Int, jit

REDUCTIONS = {None: 0, "sum": 1, "sum_abs": 2, "sum_squares": 3, "max_abs": 4, "max": 5}
"""Codes of the reductions inside compiled loops."""

_WORD_LIMIT = 2**31 - 1
_ACTIVATION_LIMIT = 2**15 - 1


@jit()
def _reduced(kind: Int, total: Int, value: Int, first: bool) -> Int:
    """The running statistic `total` after one more word."""
    if kind == 1:
        return total + value
    if kind == 2:
        return total + abs(value)
    if kind == 3:
        return total + value * value
    if kind == 4:
        return max(total, abs(value))
    return value if first else max(total, value)


@jit()
def _statistic(kind: Int, total: Int) -> Int:
    """The word stored for a finished statistic."""
    return total if kind == 5 else pack_scalar(total, 0)


@jit(
    "int64(int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:], bool_[:,:,:], int32[:,:], "
    "boolean, boolean, boolean, int64, int64, int64, int64)"
)
def multiply(
    dst: Any,
    a: Any,
    b: Any,
    scalar: Any,
    valid: Any,
    statistic: Any,
    has_b: bool,
    has_scalar: bool,
    has_valid: bool,
    shift_b: Int,
    shift: Int,
    limit: Int,
    kind: Int,
) -> Int:
    """`Multiply`; words that are not `valid` become 0 and stay out of the statistic. Returns how many saturated."""
    clipped = 0
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            factor = np.int64(1)
            places = shift
            if has_scalar:
                factor = mantissa_of(scalar[i, g])
                places = shift - exponent_of(scalar[i, g])
            total = np.int64(0)
            first = True
            for j in range(dst.shape[2]):
                if has_valid and not valid[i, g, j]:
                    dst[i, g, j] = 0
                    continue
                value = np.int64(a[i, g, j])
                if has_b:
                    value = saturate(round_shift(value * np.int64(b[i, g, j]), shift_b), _WORD_LIMIT)
                exact = round_shift(value * factor, places)
                out = saturate(exact, limit)
                clipped += exact != out
                dst[i, g, j] = out
                if kind:
                    total = _reduced(kind, total, out, first)
                    first = False
            if kind:
                statistic[i, g] = _statistic(kind, total)
    return clipped


@jit("void(int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:], int64, int64, int64)")
def add(dst: Any, a: Any, b: Any, statistic: Any, sign: Int, limit: Int, kind: Int) -> None:
    """`Add`; `sign` is −1 to subtract."""
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            total = np.int64(0)
            for j in range(dst.shape[2]):
                out = saturate(np.int64(a[i, g, j]) + sign * np.int64(b[i, g, j]), limit)
                dst[i, g, j] = out
                if kind:
                    total = _reduced(kind, total, out, j == 0)
            if kind:
                statistic[i, g] = _statistic(kind, total)


@jit("void(int32[:,:,:], int32[:,:], int32[:,:], boolean, int64, int64, int64)")
def reduce(
    a: Any, norm: Any, statistic: Any, has_norm: bool, initial_mantissa: Int, initial_exponent: Int, kind: Int
) -> None:
    """`Reduce`; an `initial_mantissa` of 0 means none."""
    for i in range(a.shape[0]):
        for g in range(a.shape[1]):
            places = 0
            if has_norm and mantissa_of(norm[i, g]):
                places = max(exponent_of(norm[i, g]) + 1, 0)
            total = np.int64(0)
            if initial_mantissa:
                total = round_shift(initial_mantissa, 2 * places - initial_exponent)
            for j in range(a.shape[2]):
                total = _reduced(kind, total, round_shift(np.int64(a[i, g, j]), places), j == 0)
            statistic[i, g] = total if kind == 5 else pack_scalar(total, 2 * places)


LOOKUPS = {"sigmoid": 0, "softplus": 1, "step": 2}
"""Codes of the table functions inside compiled loops."""


@jit("void(int32[:,:,:], int32[:,:,:], int64, int64)")
def lookup(dst: Any, a: Any, fraction: Int, function: Int) -> None:
    """`Lookup`, `function` one of `LOOKUPS`."""
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            for j in range(dst.shape[2]):
                value = np.int64(a[i, g, j])
                position = saturate(
                    round_shift(abs(value), fraction - SIGMOID_INPUT_FRACTION), 16 << SIGMOID_INPUT_FRACTION
                )
                if function == 2:
                    out = np.int64(value > 0)
                elif function == 1:
                    linear = round_shift(max(value, 0), fraction - SOFTPLUS_FRACTION)
                    out = interpolate(SOFTPLUS, position, SIGMOID_LOW_BITS) + saturate(linear, _WORD_LIMIT)
                else:
                    out = interpolate(SIGMOID, position, SIGMOID_LOW_BITS)
                    if value < 0:
                        out = (np.int64(1) << SIGMOID_FRACTION) - out
                dst[i, g, j] = saturate(out, _WORD_LIMIT)


@jit()
def power_of_two(steps: Int, fraction: Int) -> Int:
    """2^(−steps / 2^fraction) for steps ≥ 0 as a packed scalar; fraction ≥ 10."""
    whole = np.int64(steps) >> np.int64(fraction)
    rest = np.int64(steps) - (whole << np.int64(fraction))
    value = interpolate(EXP2, rest, fraction - EXP2_INDEX_BITS)
    return pack_scalar(value, -EXP2_FRACTION - whole)


@jit("void(int32[:,:,:], int32[:,:,:], int32[:,:], bool_[:,:,:], int32[:,:], int64, int64)")
def softmax_weights(
    dst: Any, a: Any, maximum: Any, valid: Any, statistic: Any, fraction: Int, limit: Int
) -> None:
    """`SoftmaxWeights`; keys that are not `valid` get weight 0."""
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            total = np.int64(0)
            for j in range(dst.shape[2]):
                out = np.int64(0)
                if valid[i, g, j]:
                    word = power_of_two(np.int64(maximum[i, g]) - np.int64(a[i, g, j]), fraction)
                    out = round_shift(limit * mantissa_of(word), -exponent_of(word))
                dst[i, g, j] = out
                total += out
            statistic[i, g] = pack_scalar(total, 0)


@jit("void(int32[:,:,:], int32[:,:,:], int64[:], int32[:,:,:])")
def phase(cos: Any, sin: Any, positions: Any, increment: Any) -> None:
    """`Phase`: the table angle of `positions[batch] · increment`, 32-bit turns."""
    quarter = np.int64(1) << np.int64(ANGLE_INDEX_BITS + ANGLE_LOW_BITS)
    for i in range(cos.shape[0]):
        for j in range(cos.shape[2]):
            turns = (positions[i] * (np.int64(increment[i, 0, j]) & np.int64(0xFFFFFFFF))) & np.int64(
                0xFFFFFFFF
            )
            angle = turns >> np.int64(32 - 2 - ANGLE_INDEX_BITS - ANGLE_LOW_BITS)
            for quadrant in range(2):
                # cos x = sin(x + a quarter turn)
                shifted = (angle + (1 - quadrant) * quarter) % (4 * quarter)
                part = shifted % quarter
                if (shifted // quarter) % 2 == 1:
                    part = quarter - part
                out = interpolate(SINE, part, ANGLE_LOW_BITS)
                if shifted // quarter >= 2:
                    out = -out
                if quadrant == 0:
                    cos[i, 0, j] = out
                else:
                    sin[i, 0, j] = out


@jit("void(int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:], int64)")
def rotate(dst: Any, a: Any, cos: Any, sin: Any, statistic: Any, kind: Int) -> None:
    """`Rotate`."""
    half = a.shape[2] // 2
    for i in range(a.shape[0]):
        for g in range(a.shape[1]):
            total = np.int64(0)
            for j in range(2 * half):
                k = j % half
                c = np.int64(cos[i, 0, k])
                s = np.int64(sin[i, 0, k])
                low = np.int64(a[i, g, k])
                high = np.int64(a[i, g, k + half])
                exact = low * c - high * s if j < half else low * s + high * c
                out = saturate(round_shift(exact, 15), _ACTIVATION_LIMIT)
                dst[i, g, j] = out
                if kind:
                    total = _reduced(kind, total, out, j == 0)
            if kind:
                statistic[i, g] = _statistic(kind, total)
