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
    rounded,
    rounding,
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
from spikesim.spikes.intrinsics import run_of
from spikesim.support.jit import Int, jit

REDUCTIONS = {None: 0, "sum": 1, "sum_abs": 2, "sum_squares": 3, "max_abs": 4, "max": 5}
"""Codes of the reductions inside compiled loops."""

_WORD_LIMIT = 2**31 - 1
_ACTIVATION_LIMIT = 2**15 - 1
_NO_WORD = -(2**31) - 1
"""Less than any word."""


# Loops over a run of words, the last axis, are written to be vectorised: without branches, and over adjoining words.
# Runs are often short, 16 words of a head, so that what is done once for a run must be little.


@jit()
def _run(words: Any, i: Int, g: Int, same: Any) -> Any:
    """words[i, g], its words adjoining; one word that stands for all of them is written out to `same`, [1, 1, n]."""
    if words.strides[2] == words.itemsize:
        return run_of(words, i, g)
    run = run_of(same, 0, 0)
    run[:] = words[i, g, 0]
    return run


@jit()
def _statistic(kind: Int, words: Any, valid: Any, start: Int) -> Int:
    """The statistic of a run of words, of which those that are not `valid` are 0; a maximum of none is 0.

    All but a maximum go on from `start`, and are plain totals.
    """
    total: Int = np.int64(start)
    if kind == 1:
        for j in range(words.size):
            total += np.int64(words[j])
    elif kind == 2:
        for j in range(words.size):
            total += abs(np.int64(words[j]))
    elif kind == 3:
        for j in range(words.size):
            total += np.int64(words[j]) * np.int64(words[j])
    elif kind == 4:
        for j in range(words.size):
            total = max(total, abs(np.int64(words[j])))
    else:
        total = _NO_WORD
        for j in range(words.size):
            total = max(total, np.int64(words[j]) if valid[j] else _NO_WORD)
        total = np.int64(0) if total == _NO_WORD else total
    return total


@jit()
def _stored(kind: Int, total: Int, exponent: Int) -> Int:
    """The word stored for a statistic of words in units of 2^exponent."""
    return total if kind == 5 else pack_scalar(total, exponent)


@jit(
    "UniTuple(int64, 2)(int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:], bool_[:,:,:], int32[:,:], "
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
) -> tuple[Int, Int]:
    """`Multiply`; words that are not `valid` become 0 and stay out of the statistic.

    Returns how many words the limit changed, and how many the limit or the 31 bits of the product with `b`: a product
    that did not fit may end below the limit after all.
    """
    clipped, hidden = np.int64(0), np.int64(0)
    shape = 1, 1, dst.shape[2]
    written = np.empty(shape, np.int32)  # an instruction may overwrite what it reads
    same_a, same_b, all_valid = np.empty(shape, np.int32), np.ones(shape, np.int32), np.ones(shape, np.bool_)
    rounding_b, limit_b = rounding(shift_b), np.int64(_WORD_LIMIT)
    if not has_b:  # a factor of one, and no rounding or saturation
        rounding_b, limit_b = rounding(0), np.int64(2**31)
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            factor, places = np.int64(1), shift
            if has_scalar:
                factor, places = mantissa_of(scalar[i, g]), shift - exponent_of(scalar[i, g])
            how = rounding(places)
            run, line, run_a = run_of(dst, i, g), run_of(written, 0, 0), _run(a, i, g, same_a)
            run_b = _run(b, i, g, same_b) if has_b else run_of(same_b, 0, 0)
            used = run_of(valid, i, g) if has_valid else run_of(all_valid, 0, 0)
            lost = np.int64(0)  # bits of products that did not fit: none in nearly every run
            for j in range(run.size):
                product = rounded(np.int64(run_a[j]) * np.int64(run_b[j]), rounding_b)
                value = saturate(product, limit_b)
                lost |= product ^ value
                exact = rounded(value * factor, how)
                out = saturate(exact, limit)
                clipped += (exact != out) & used[j]
                line[j] = out if used[j] else 0
            if lost:
                for j in range(run.size):
                    product = rounded(np.int64(run_a[j]) * np.int64(run_b[j]), rounding_b)
                    value = saturate(product, limit_b)
                    exact = rounded(value * factor, how)
                    hidden += (product != value) & (exact == saturate(exact, limit)) & used[j]
            for j in range(run.size):
                run[j] = line[j]
            if kind:
                statistic[i, g] = _stored(kind, _statistic(kind, run, used, 0), 0)
    return clipped, clipped + hidden


@jit("int64(int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:], int64, int64, int64)")
def add(dst: Any, a: Any, b: Any, statistic: Any, sign: Int, limit: Int, kind: Int) -> Int:
    """`Add`; `sign` is −1 to subtract. Returns how many words the limit changed."""
    cut = np.int64(0)
    shape = 1, 1, dst.shape[2]
    same_a, same_b, all_valid = np.empty(shape, np.int32), np.empty(shape, np.int32), np.ones(shape, np.bool_)
    for i in range(dst.shape[0]):
        for g in range(dst.shape[1]):
            run, run_a, run_b = run_of(dst, i, g), _run(a, i, g, same_a), _run(b, i, g, same_b)
            for j in range(run.size):
                exact = np.int64(run_a[j]) + sign * np.int64(run_b[j])
                out = saturate(exact, limit)
                cut += exact != out
                run[j] = out
            if kind:
                statistic[i, g] = _stored(kind, _statistic(kind, run, run_of(all_valid, 0, 0), 0), 0)
    return cut


@jit("void(int32[:,:,:], int32[:,:], int32[:,:], boolean, int64, int64, int64)")
def reduce(
    a: Any, norm: Any, statistic: Any, has_norm: bool, initial_mantissa: Int, initial_exponent: Int, kind: Int
) -> None:
    """`Reduce`; an `initial_mantissa` of 0 means none."""
    shape = 1, 1, a.shape[2]
    same, rounded_words, all_valid = (
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.ones(shape, np.bool_),
    )
    for i in range(a.shape[0]):
        for g in range(a.shape[1]):
            places = 0
            if has_norm and mantissa_of(norm[i, g]):
                places = max(exponent_of(norm[i, g]) + 1, 0)
            start = np.int64(0)
            if initial_mantissa:
                start = round_shift(initial_mantissa, 2 * places - initial_exponent)
            how, run_a, run = rounding(places), _run(a, i, g, same), run_of(rounded_words, 0, 0)
            for j in range(run.size):
                run[j] = rounded(run_a[j], how)
            total = _statistic(kind, run, run_of(all_valid, 0, 0), start)
            statistic[i, g] = _stored(kind, total, 2 * places)


LOOKUPS = {"sigmoid": 0, "softplus": 1, "step": 2}
"""Codes of the table functions inside compiled loops."""


@jit("int64(int32[:,:,:], int32[:,:,:], int64, int64)")
def lookup(dst: Any, a: Any, fraction: Int, function: Int) -> Int:
    """`Lookup`, `function` one of `LOOKUPS`. Returns how many words did not fit: softplus of large words.

    Beyond ±16 sigmoid is flat and softplus a straight line: where the table ends nothing is cut.
    """
    cut = np.int64(0)
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
                    out = interpolate(SOFTPLUS, position, SIGMOID_LOW_BITS) + linear
                else:
                    out = interpolate(SIGMOID, position, SIGMOID_LOW_BITS)
                    if value < 0:
                        out = (np.int64(1) << SIGMOID_FRACTION) - out
                cut += out > _WORD_LIMIT
                dst[i, g, j] = saturate(out, _WORD_LIMIT)
    return cut


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


@jit("int64(int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:,:], int32[:,:], int64)")
def rotate(dst: Any, a: Any, cos: Any, sin: Any, statistic: Any, kind: Int) -> Int:
    """`Rotate`. Returns how many words the limit of activations changed."""
    cut = np.int64(0)
    half = a.shape[2] // 2
    all_valid = np.ones((1, 1, 2 * half), np.bool_)
    for i in range(a.shape[0]):
        for g in range(a.shape[1]):
            for j in range(2 * half):
                k = j % half
                c = np.int64(cos[i, 0, k])
                s = np.int64(sin[i, 0, k])
                low = np.int64(a[i, g, k])
                high = np.int64(a[i, g, k + half])
                turned = low * c - high * s if j < half else low * s + high * c
                exact = round_shift(turned, 15)
                out = saturate(exact, _ACTIVATION_LIMIT)
                cut += exact != out
                dst[i, g, j] = out
            if kind:
                run = run_of(dst, i, g)
                statistic[i, g] = _stored(kind, _statistic(kind, run, run_of(all_valid, 0, 0), 0), 0)
    return cut
