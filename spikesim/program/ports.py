"""What a program takes and gives, and what it asks of whoever runs it."""

from __future__ import annotations

from math import prod

from pydantic import Field

from spikesim.hardware import NumericsConfig
from spikesim.program.instructions import Frozen, Name

FRACTION_LIMIT = 64
"""Largest magnitude of a binary point."""


class Format(Frozen):
    """Fixed point: a word stands for word · 2^−fraction and, sign included, has at most `bits` bits.

    Words are symmetric, as all that saturates is, but for those of 32 bits, which may be any.

    >>> Format(fraction=15, bits=17).limit
    65535
    """

    fraction: int = Field(ge=-FRACTION_LIMIT, le=FRACTION_LIMIT)
    bits: int = Field(default=32, ge=1, le=32)

    @property
    def limit(self) -> int:
        """Largest magnitude of a word."""
        return (1 << self.bits - 1) - 1

    @property
    def least(self) -> int:
        """The least word."""
        return -self.limit - (self.bits == 32)

    def __str__(self) -> str:
        return f"{self.bits} bits, {self.fraction} of them a fraction"


class Port(Frozen):
    """A vector by which words come into a program or leave it, once per step; `shape` has all its words."""

    name: Name
    format: Format
    shape: tuple[int, ...]

    @property
    def words(self) -> int:
        """Words of the vector."""
        return prod(self.shape)


class Requires(Frozen):
    """What a compiler counted on.

    * `accumulator_bits`: proven enough for every sum of the program.
    * `steps`: the longest sequence that its caches hold; None if it has no limit of its own.
    * `numerics`: how activations became counts; None if that is not in the program.
    """

    accumulator_bits: int = Field(default=32, ge=1, le=64)
    steps: int | None = Field(default=None, ge=1)
    numerics: NumericsConfig | None = None
