"""Codes and events: how the encoders store a count, and what they hand to the array in a cycle.

A count (8 bits, signed) becomes a code when it is loaded, so that events are read off it without arithmetic:

* bitwise, ternary: magnitude (7 bits), sign above it;
* two's complement: the count itself; only plane 7 is negative;
* signed digit (non-adjacent form): the planes with a digit (8 bits); above them a sign for every two planes, of which
  never both have a digit;
* dense: the count itself.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

from spikesim.rtl.config import CoreConfig

PLANE = 3
"""Bits of the number of a plane."""


def bits_for(count: int) -> int:
    """Bits of an index below `count`, at least one."""
    return max(1, (count - 1).bit_length())


def row_bits(config: CoreConfig) -> int:
    """Bits of an encoder row, the number of a count within its bank."""
    return bits_for(max(config.encoder_rows, config.scatter_rows))


def row_address_bits(config: CoreConfig) -> int:
    """Bits of a row's place in a bank of row or state memory, whichever is deeper."""
    return bits_for(max(config.row_depth, config.state_depth))


def lists_events(config: CoreConfig) -> bool:
    """Whether a gather takes its events from the row lists, which serve scatters, too.

    Ternary planes all weigh the same: their order means nothing, so that such events always come row by row.
    """
    return config.dense or config.order == "row" or config.coding == "ternary"


def scans_planes(config: CoreConfig) -> bool:
    """Whether a gather takes its events from the plane scanners; if from neither, from the banks of window order."""
    return config.order == "plane" and not lists_events(config)


def pass_planes(config: CoreConfig) -> int:
    """By how many planes the accumulators shift between a gather's passes over its events; 0 if it has but one."""
    if lists_events(config):
        return 0
    return 1 if scans_planes(config) else config.row_planes


def shifts_of(config: CoreConfig) -> range:
    """By how many planes the array may have to shift a row."""
    if config.coding == "ternary":
        return range(1)
    if config.order == "window":
        return range(config.row_planes)
    return range(1 + config.skew if config.order == "plane" else digit_planes(config))


def code_bits(config: CoreConfig) -> int:
    """Bits of a code."""
    return 8 if config.dense else digit_planes(config) + sign_bits(config)


def sign_bits(config: CoreConfig) -> int:
    """Bits of a code beyond its digits."""
    return {"twos_complement": 0, "signed_digit": 4}.get(config.coding, 1)


def digit_planes(config: CoreConfig) -> int:
    """Bit planes of a code: those of a ternary count are not stored one by one."""
    return 7 if config.coding in ("bitwise", "ternary") else 8


def encode(count: Value, config: CoreConfig) -> Value:
    """The code of a count; one adder deep."""
    value = count[:8].as_signed()
    if config.dense or config.coding == "twos_complement":
        return count[:8]
    if config.coding == "signed_digit":
        half = value >> 1
        triple = value + half
        differ = half ^ triple  # 3v and v differ where v's non-adjacent form, shifted by one, has a digit
        minus = half & differ
        return Cat(differ[:8], (minus[p : p + 2].any() for p in range(0, 8, 2)))
    return Cat(Mux(value < 0, -value, value)[:7], value < 0)


def digits_of(code: Value, config: CoreConfig) -> Value:
    """The planes in which a code has an event (of a ternary code: its magnitude)."""
    return code[: digit_planes(config)]


def negatives_of(code: Value, config: CoreConfig) -> Value:
    """The planes whose event, if any, is negative."""
    if config.coding == "signed_digit":
        return Cat(code[8 + p // 2] for p in range(8))
    if config.coding == "twos_complement":
        return Const(0x80, 8)
    return code[7].replicate(7)


def event_layout(config: CoreConfig) -> data.StructLayout:
    """What one bank hands over in a cycle. Fields that a configuration does not use are constant.

    `valid`: the bank has an event or, in a scatter, a step of a row whose digit may be zero. `digit`: it is not.
    `first`, `last`: of its row. `plane`: of the event, in plane order above the array's, in window
    order within its pass, or of a dense scatter which half of `code` is meant.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "digit": 1,
            "negative": 1,
            "first": 1,
            "last": 1,
            "row": row_bits(config),
            "plane": PLANE,
            "code": 8,
        }
    )
