"""Machine operations that compiled array code cannot express, for use inside functions compiled by `jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numpy.typing import NDArray

_WORD = ir.IntType(64)
_BYTES = ir.VectorType(ir.IntType(8), 16)
_PAIRS = ir.VectorType(ir.IntType(16), 8)
_ZERO = ir.Constant(_BYTES, [0] * 16)


def _constant(byte: int) -> Any:
    return ir.Constant(_BYTES, [byte] * 16)


def _shift(builder: Any, operation: Any, vector: Any, bits: int) -> Any:
    """Shift in units of 16 bits, as SIMD units have no shift of bytes: bits from the neighbour come along."""
    return builder.bitcast(
        operation(builder.bitcast(vector, _PAIRS), ir.Constant(_PAIRS, [bits] * 8)), _BYTES
    )


def _interleave(builder: Any, left: Any, right: Any, first: int) -> Any:
    order = [lane for i in range(first, first + 8) for lane in (i, i + 16)]
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(ir.IntType(32), 16), order))


def _transpose(builder: Any, registers: list[Any]) -> list[Any]:
    """Eight registers, bytes 0 … 127 in order -> eight registers, bit 0 … 7 of all bytes in order."""
    # Four perfect shuffles rotate the seven bits of a byte's position by four: register j then holds bytes 8 i + j.
    for _ in range(4):
        registers = [
            _interleave(builder, registers[k], registers[k + 4], first) for k in range(4) for first in (0, 8)
        ]
    # Bit p of register j changes places with bit j of register p, in blocks of 4, 2 and 1.
    for step, mask in ((4, 0x0F), (2, 0x33), (1, 0x55)):
        for j in (j for j in range(8) if not j & step):
            low, high = registers[j], registers[j + step]
            differ = builder.xor(_shift(builder, builder.lshr, low, step), high)
            differ = builder.and_(differ, _constant(mask))
            registers[j + step] = builder.xor(high, differ)
            registers[j] = builder.xor(low, _shift(builder, builder.shl, differ, step))
    return registers


def _plain(builder: Any, registers: list[Any]) -> list[Any]:
    return _transpose(builder, registers)


def _sign_magnitude(builder: Any, registers: list[Any]) -> list[Any]:
    codes = []
    for number in registers:
        negative = builder.icmp_signed("<", number, _ZERO)
        magnitude = builder.select(negative, builder.sub(_ZERO, number), number)
        # The eighth bit of the magnitude, set for −128 alone, makes room for the sign.
        codes.append(builder.or_(magnitude, builder.and_(number, _constant(0x80))))
    *bits, sign = _transpose(builder, codes)
    any_bit = bits[0]
    for bit in bits[1:]:
        any_bit = builder.or_(any_bit, bit)
    return [*bits, builder.and_(sign, builder.not_(any_bit)), sign]


def _signed_digits(builder: Any, registers: list[Any]) -> list[Any]:
    """Non-adjacent form of 128 numbers at a time, by logic on their bit planes.

    With n = Σ a_p 2^p and h = n >> 1, the digits are the bits of n + h minus those of h, without borrowing. So
    digit p is non-zero where a_p differs from the carry into position p of that sum, and negative where
    a_{p+1}, which is bit p of h, is set.
    """
    *bits, sign = _sign_magnitude(builder, registers)
    active, negative = [], []
    carry = _ZERO
    for here, above in zip(bits, [*bits[1:], _ZERO], strict=True):
        active.append(builder.xor(here, carry))
        negative.append(builder.and_(active[-1], builder.xor(above, sign)))
        carry = builder.or_(builder.and_(here, above), builder.and_(carry, builder.or_(here, above)))
    return active + [builder.or_(negative[p], negative[p + 1]) for p in range(0, 8, 2)]


def _on_128_bytes(planes: Callable[[Any, list[Any]], list[Any]]) -> Any:
    def typed(_context: Any, source: Any, start: Any, target: Any, stride: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, start, target, stride, at = arguments
            data = context.make_array(signature.args[0])(context, builder, source).data
            data = builder.bitcast(builder.gep(data, [start]), _BYTES.as_pointer())
            registers = [builder.load(builder.gep(data, [ir.Constant(_WORD, k)]), align=1) for k in range(8)]
            out = context.make_array(signature.args[2])(context, builder, target).data
            for row, plane in enumerate(planes(builder, registers)):
                place = builder.gep(out, [builder.add(at, builder.mul(stride, ir.Constant(_WORD, row)))])
                builder.store(plane, builder.bitcast(place, _BYTES.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(source, types.intp, target, types.intp, types.intp), generate

    return intrinsic(typed)


def _trailing_zeros(_context: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), generate


def _leading_zeros(_context: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), generate


def _adjoining(_context: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        borrowed: Any = impl_ret_borrowed
        return borrowed(context, builder, signature.return_type, arguments[0])

    return array.copy(layout="C")(array), generate


def _run_of(_context: Any, array: Any, first: Any, second: Any) -> tuple[Any, Callable[..., Any]]:
    run = types.Array(array.dtype, 1, "C")
    parts: Any = cgutils.unpack_tuple
    fill: Any = populate_array

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = context.make_array(signature.args[0])(context, builder, arguments[0])
        found = context.make_array(signature.return_type)(context, builder)
        strides = parts(builder, whole.strides, 3)
        (*_, words) = parts(builder, whole.shape, 3)
        offset = builder.add(builder.mul(arguments[1], strides[0]), builder.mul(arguments[2], strides[1]))
        address = builder.add(builder.ptrtoint(whole.data, offset.type), offset)
        fill(
            found,
            data=builder.inttoptr(address, whole.data.type),
            shape=[words],
            strides=[whole.itemsize],
            itemsize=whole.itemsize,
            meminfo=ir.Constant(whole.meminfo.type, None),
        )
        return found._getvalue()

    return run(array, types.int64, types.int64), generate


Transposer = Callable[[NDArray[np.uint8], int, NDArray[np.uint64], int, int], None]
"""f(source, start, target, stride, at): planes of the 128 bytes source[start : start + 128], two words each.

Plane r goes to target[r · stride + at : … + 2], byte i in bit i mod 64 of word i div 64. Both arrays are flat and
contiguous, and large enough.
"""

planes_of_bytes = cast(Transposer, _on_128_bytes(_plain))
"""Eight planes: bit 0 … 7 of unsigned bytes."""

planes_of_magnitudes = cast(Transposer, _on_128_bytes(_sign_magnitude))
"""Nine planes: bit 0 … 7 of the magnitudes of signed bytes, and the sign."""

planes_of_signed_digits = cast(Transposer, _on_128_bytes(_signed_digits))
"""Twelve planes of signed bytes in non-adjacent form: digits 0 … 7, set where not zero; and for each pair of digits
(2j, 2j + 1), of which one at most is not zero, a plane set where it is negative."""


def _operation(machine: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """The operation; with NUMBA_DISABLE_JIT, for tests that look at lines of kernels, what Python makes of it."""
    return plain if numba.config.DISABLE_JIT else cast(Callable[..., Any], intrinsic(machine))  # type: ignore[attr-defined]


trailing_zeros: Callable[[np.uint64], int] = _operation(
    _trailing_zeros, lambda word: (int(word) & -int(word)).bit_length() - 1 if word else 64
)
"""trailing_zeros(word: uint64) -> int: position of the lowest set bit, 64 if there is none."""

leading_zeros: Callable[[np.uint64], int] = _operation(
    _leading_zeros, lambda word: 64 - int(word).bit_length()
)
"""leading_zeros(word: uint64) -> int: zeros above the highest set bit, 64 if there is none."""

adjoining: Callable[[NDArray[Any]], NDArray[Any]] = _operation(_adjoining, lambda array: array)
"""adjoining(array: [n]) -> the same array, of which the compiler knows that its elements adjoin, as they must: only
then are loops over it vectorised."""

run_of: Callable[[NDArray[Any], int, int], NDArray[Any]] = _operation(
    _run_of, lambda array, i, j: array[i, j]
)
"""run_of(array: [a, b, n], i, j) -> array[i, j], whose elements must adjoin, as with `adjoining`. References to it are
not counted, which would take longer than a short loop over it: use it only while `array` is used as well."""
