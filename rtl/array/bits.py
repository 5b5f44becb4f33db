"""Combinational trees: the lowest set bit, how many bits are set, one of several values, sums; of logarithmic depth."""

from __future__ import annotations

from collections.abc import Sequence
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

_LEVELS_PER_STAGE = 2


def lowest(mask: Value) -> Value:
    """Index of the lowest set bit; any if there is none."""
    return _search(mask, upper_first=False)[1]


def highest(mask: Value) -> Value:
    """Index of the highest set bit; any if there is none."""
    return _search(mask, upper_first=True)[1]


def _search(bits: Value, *, upper_first: bool) -> tuple[Value, Value]:
    """Whether a bit is set, and the index of the first from one end."""
    if len(bits) == 1:
        return bits, Const(0, 0)
    half = 1 << ((len(bits) - 1).bit_length() - 1)
    low, low_index = _search(bits[:half], upper_first=upper_first)
    high, high_index = _search(bits[half:], upper_first=upper_first)
    upper = high if upper_first else ~low
    width = max(len(low_index), len(high_index))
    index = Mux(upper, high_index, low_index)[:width] if width else Const(0, 0)
    return low | high, Cat(index, upper)


def at_most(mask: Value, limit: int) -> Value:
    """Whether no more than `limit` bits are set: a tree of sums that stop counting at limit + 1."""
    top = limit + 1

    def thermometer(bits: Value) -> list[Value]:  # element i: more than i bits are set
        if len(bits) == 1:
            return [bits]
        half = len(bits) // 2
        a, b = thermometer(bits[:half]), thermometer(bits[half:])
        out = []
        for i in range(min(top, len(bits))):
            terms = [a[i]] if i < len(a) else []
            terms += [b[i]] if i < len(b) else []
            terms += [a[j] & b[i - 1 - j] for j in range(i) if j < len(a) and i - 1 - j < len(b)]
            value = terms[0]
            for term in terms[1:]:
                value = value | term
            out.append(value)
        return out

    found = thermometer(mask)
    return ~found[limit] if limit < len(found) else Const(1)


def fill_down(mask: Value) -> Value:
    """All bits from the highest set one down."""
    return Cat(mask[i:].any() for i in range(len(mask)))


def one_of(values: Sequence[Any], chosen: Value) -> Value:
    """The value whose bit of `chosen`, of which at most one is, is set; without any 0. A single one is not asked."""
    words = [Value.cast(value) for value in values]
    if len(words) > 1:
        words = [word & chosen[i].replicate(len(word)) for i, word in enumerate(words)]
    while len(words) > 1:
        words = [*map(or_, words[::2], words[1::2]), *words[len(words) & ~1 :]]
    return words[0]


def run_enable(on: Value, ending: Value, last: Value, width: int) -> Value:
    """A bit for each of `width` words of a run: all while `on`, where it is `ending` those up to number `last`."""
    there = Cat(Const(1), *(last[: (width - 1).bit_length()] >= i for i in range(1, width)))
    return (there | (~ending).replicate(width)) & on.replicate(width)


def tree_stages(count: int) -> int:
    """Cycles from the operands of `adder_tree` to its sum."""
    return -(-(count - 1).bit_length() // _LEVELS_PER_STAGE)


def adder_tree(m: Module, operands: Sequence[Value], name: str) -> Value:
    """The sum of the operands, registered every second level; nothing wraps. Takes `tree_stages` cycles."""
    values = list(operands)
    for level in range((len(values) - 1).bit_length()):
        sums = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]
        sums += values[len(values) & ~1 :]
        registered = level % _LEVELS_PER_STAGE == 1 or len(sums) == 1
        if registered:
            values = []
            for i, total in enumerate(sums):
                register = Signal(Shape.cast(total.shape()), name=f"{name}_{level}_{i}")
                m.d.sync += register.eq(total)
                values.append(register)
        else:
            values = sums
    return values[0]


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """The value so many cycles ago."""
    for i in range(cycles):
        register = Signal(Shape.cast(value.shape()), name=f"{name}_{i}")
        m.d.sync += register.eq(value)
        value = register
    return value
