"""From integers to packed bit planes: the fast inner part of `spikesim.spikes.encode.encode`.

A plane is a row of 64-bit words, element i in bit i mod 64 of word i div 64; unused bits of the last word are zero.
Planes are stored in the order of the steps, most significant first. Signs:

* bitwise: one sign plane for all steps;
* signed digit: one sign plane per *pair* of digits (2j, 2j + 1), because of two neighbours at most one is non-zero;
* otherwise none.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.spikes.digits import Coding
from spikesim.spikes.intrinsics import (
    adjoining,
    planes_of_bytes,
    planes_of_magnitudes,
    planes_of_signed_digits,
)
from spikesim.support.arithmetic import ceil_div
from spikesim.support.jit import jit
from spikesim.support.threads import in_parts

_BLOCK_WORDS: Final = 256
"""Words per plane handled at a time: input and planes stay in the nearer caches, and yet each plane gets 2 KiB in one
go, long enough for the hardware to notice that memory is being written in order."""

_STRIDE: Final = _BLOCK_WORDS + 8  # not a power of two: rows would compete for the same places in the cache
_ROWS: Final = 12
"""Planes and sign planes that one-byte numbers have at most."""


class Form(IntEnum):
    """What the planes hold of a number."""

    MAGNITUDE = 0
    SIGN_MAGNITUDE = 1
    TWOS_COMPLEMENT = 2
    SIGNED_DIGIT = 3


_MAGNITUDE, _SIGN_MAGNITUDE, _TWOS_COMPLEMENT, _SIGNED_DIGIT = (int(form) for form in Form)


FORMS: Final[dict[Coding, Form]] = {
    "binary": Form.MAGNITUDE,
    "ternary": Form.SIGN_MAGNITUDE,
    "bitwise_unsigned": Form.MAGNITUDE,
    "bitwise": Form.SIGN_MAGNITUDE,
    "twos_complement": Form.TWOS_COMPLEMENT,
    "signed_digit": Form.SIGNED_DIGIT,
}
"""What the planes of a train hold; in the count codings those of the counts."""


def sign_planes(form: Form, planes: int) -> int:
    """Number of sign planes that go with so many planes."""
    return {Form.SIGN_MAGNITUDE: 1, Form.SIGNED_DIGIT: (planes + 1) // 2}.get(form, 0)


def pack(values: NDArray[Any], form: Form, planes: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """values: integer[n], |value| < 2^62 -> (uint64[planes, words] bits, uint64[sign planes, words] signs).

    Digits above the given number of planes are cut off. MAGNITUDE is for values ≥ 0. One-byte integers take a path
    several times faster than that for wider ones.
    """
    words = -(-values.size // 64)
    bits = np.empty((planes, words), np.uint64)
    signs = np.empty((sign_planes(form, planes), words), np.uint64)
    whole = values.size // 128 * 128
    if whole:
        _pack_words(np.ascontiguousarray(values[:whole]), form, 0, bits, signs)
    if whole < values.size:
        rest = np.zeros(128, values.dtype)
        rest[: values.size - whole] = values[whole:]
        _pack_words(rest, form, whole // 64, bits, signs)
    return bits, signs


def _pack_words(
    values: NDArray[Any], form: Form, first: int, bits: NDArray[np.uint64], signs: NDArray[np.uint64]
) -> None:
    """values: integer[128 k] -> words first … first + 2k − 1 of every plane, as far as there are so many."""
    words = min(values.size // 64, bits.shape[1] - first)
    # Unsigned bytes above 170 have a ninth signed digit, for which the arithmetic on eight planes has no room.
    if values.dtype == np.int8 or (values.dtype == np.uint8 and form is not Form.SIGNED_DIGIT):
        codes, signed = values.view(np.uint8), values.dtype == np.int8

        def work(start: int, stop: int) -> None:
            _pack_bytes(codes, signed, int(form), first, words, start, stop, bits, signs)

    else:
        wide = values.astype(np.int64)

        def work(start: int, stop: int) -> None:
            _pack_wide(wide, int(form), first, words, start, stop, bits, signs)

    in_parts(work, ceil_div(words, _BLOCK_WORDS), values.size)


def unpack(words: NDArray[np.uint64], size: int) -> NDArray[np.int8]:
    """words: uint64[⌈size/64⌉] -> int8[size] of zeros and ones."""
    return np.unpackbits(words.view(np.uint8), count=size, bitorder="little").view(np.int8)


@jit()
def _copy(target: NDArray[np.uint64], source: NDArray[np.uint64]) -> None:  # pragma: no cover (compiled)
    """Fill `target` from the beginning of `source`; faster than the assignment of a slice, which allows for overlap."""
    there, here = adjoining(target), adjoining(source)
    for i in range(there.size):
        there[i] = here[i]


@jit()
def _pack_bytes(
    codes: NDArray[np.uint8],
    signed: bool,
    form: int,
    first: int,
    words: int,
    start: int,
    stop: int,
    bits: NDArray[np.uint64],
    signs: NDArray[np.uint64],
) -> None:  # pragma: no cover (compiled)
    """Blocks start … stop − 1 of `words` words of one-byte numbers; a signed one is given modulo 256."""
    planes = bits.shape[0]
    for block in range(start, stop):
        begin, end = block * _BLOCK_WORDS, min((block + 1) * _BLOCK_WORDS, words)
        span = slice(first + begin, first + end)
        rows = np.empty((_ROWS, _STRIDE), np.uint64)
        flat = rows.reshape(-1)
        if form == _SIGNED_DIGIT:
            for at in range(0, end - begin, 2):
                planes_of_signed_digits(codes, 64 * (begin + at), flat, _STRIDE, at)
        elif form == _SIGN_MAGNITUDE and signed:
            for at in range(0, end - begin, 2):
                planes_of_magnitudes(codes, 64 * (begin + at), flat, _STRIDE, at)
        else:
            for at in range(0, end - begin, 2):
                planes_of_bytes(codes, 64 * (begin + at), flat, _STRIDE, at)
            rows[8] = 0
        for p in range(planes):
            if p < 8:
                _copy(bits[planes - 1 - p, span], rows[p])
            elif form == _TWOS_COMPLEMENT and signed:
                _copy(bits[planes - 1 - p, span], rows[7])
            else:
                bits[planes - 1 - p, span] = 0
        for j in range(signs.shape[0]):
            if j < 4:
                _copy(signs[j, span], rows[8 + j])
            else:
                signs[j, span] = 0


@jit()
def _pack_wide(
    values: NDArray[np.int64],
    form: int,
    first: int,
    words: int,
    start: int,
    stop: int,
    bits: NDArray[np.uint64],
    signs: NDArray[np.uint64],
) -> None:  # pragma: no cover (compiled)
    """Blocks start … stop − 1 of `words` words of wider numbers, one byte of their digits after the other."""
    planes = bits.shape[0]
    for block in range(start, stop):
        begin, end = block * _BLOCK_WORDS, min((block + 1) * _BLOCK_WORDS, words)
        span = slice(first + begin, first + end)
        size = (end - begin + 1) // 2 * 128
        code = np.empty(size, np.int64)
        minus = np.empty(size, np.int64)
        for i in range(size):
            value = values[64 * begin + i]
            if form == _TWOS_COMPLEMENT:
                code[i], minus[i] = value, 0
            elif form == _SIGNED_DIGIT:
                magnitude = abs(value)
                half = magnitude >> 1
                active = (magnitude + half) ^ half
                negative = active & (half if value >= 0 else ~half)
                code[i], minus[i] = active, negative | (negative >> 1)
            else:
                code[i], minus[i] = abs(value), 1 if value < 0 else 0
        byte = np.empty(size, np.uint8)
        rows = np.empty((8, _STRIDE), np.uint64)
        flat = rows.reshape(-1)
        for low in range(0, planes, 8):
            for i in range(size):
                byte[i] = np.uint8((code[i] >> low) & 255)
            for at in range(0, end - begin, 2):
                planes_of_bytes(byte, 64 * at, flat, _STRIDE, at)
            for p in range(low, min(low + 8, planes)):
                _copy(bits[planes - 1 - p, span], rows[p - low])
            if low < 2 * signs.shape[0]:
                for i in range(size):
                    byte[i] = np.uint8((minus[i] >> low) & 255)
                for at in range(0, end - begin, 2):
                    planes_of_bytes(byte, 64 * at, flat, _STRIDE, at)
                for j in range(low // 2, min(low // 2 + 4, signs.shape[0])):
                    _copy(signs[j, span], rows[2 * j - low])
