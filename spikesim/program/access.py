"""What an instruction reads and writes: the one description that whoever cuts or orders a program goes by.

Vectors are told apart from *stores*: the caches and states that outlive a token.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from spikesim import program as isa
from spikesim.program import View

STREAM = "h"
"""The vector that carries the stream into a program; it comes out as the output of the program."""

SHIFT_SUFFIX = ".shift"
"""A simulated decay leaves its row shifts in the vector `<dst><suffix>`, for the cycle model."""


def reads(instruction: Any) -> tuple[View, ...]:
    """The views an instruction reads, constants included.

    >>> reads(isa.Add(dst=View(name="c"), a=View(name="a"), b=View(name="b")))[1].name
    'b'
    """
    i = instruction
    found: tuple[View | None, ...]
    match i:
        case isa.Multiply():
            found = (i.a, i.b, i.scalar)
        case isa.Add() | isa.ScalarMultiply():
            found = (i.a, i.b)
        case isa.Reduce():
            found = (i.a, i.norm)
        case isa.Invert() | isa.Exponential() | isa.Store() | isa.Pool():
            found = (i.src,)
        case isa.Lookup() | isa.SelectTop():
            found = (i.a,)
        case isa.SoftmaxWeights():
            found = (i.a, i.maximum)
        case isa.Phase():
            found = (i.increment,)
        case isa.Rotate():
            found = (i.a, i.cos, i.sin)
        case isa.Gather():
            found = (i.counts, i.partition)
        case isa.Scatter():
            found = (i.counts, i.update, i.partition)
        case isa.Decay():
            found = (i.factor, i.partition)
        case _:
            raise TypeError(f"no reads are known of {type(i).__name__}")
    keys: isa.CacheKeys | None = getattr(i, "keys", None)
    selected = None if keys is None else keys.selected
    return tuple(view for view in (*found, selected) if view is not None)


def writes(instruction: Any) -> tuple[View, ...]:
    """The views an instruction writes, its statistic included."""
    i = instruction
    found: tuple[View | None, ...]
    match i:
        case isa.Multiply() | isa.Add() | isa.SoftmaxWeights() | isa.Rotate():
            found = (i.dst, None if i.reduce is None else i.reduce.dst)
        case isa.Reduce():
            found = (i.reduction.dst,)
        case isa.Phase():
            found = (i.cos, i.sin)
        case (
            isa.Invert()
            | isa.ScalarMultiply()
            | isa.Exponential()
            | isa.Lookup()
            | isa.SelectTop()
            | isa.Gather()
            | isa.Decay()
        ):
            found = (i.dst,)
        case isa.Scatter() | isa.Store() | isa.Pool():
            found = ()
        case _:
            raise TypeError(f"no writes are known of {type(i).__name__}")
    return tuple(view for view in found if view is not None)


def store_of(instruction: Any) -> str | None:
    """The cache or state that an instruction reads or writes, by name; None if it touches none."""
    match instruction:
        case isa.Gather(operand="matrix"):
            return None
        case isa.Gather():
            return instruction.name
        case isa.Store() | isa.Pool():
            return instruction.cache
        case isa.Scatter() | isa.Decay():
            return instruction.state
    keys: isa.CacheKeys | None = getattr(instruction, "keys", None)
    return None if keys is None else keys.cache


def changes_store(instruction: Any) -> bool:
    """Whether an instruction writes the cache or state that it touches."""
    return isinstance(instruction, isa.Scatter | isa.Decay | isa.Store | isa.Pool)


def is_keyed(instruction: Any) -> bool:
    """Whether its result has one word per cached key or block, which exist only while attention runs."""
    match instruction:
        case isa.Gather():
            return instruction.operand in ("keys", "means")
        case isa.Multiply() | isa.SoftmaxWeights():
            return instruction.keys is not None
    return False


def is_matrix(instruction: Any) -> TypeGuard[isa.Gather]:
    """Whether it is a gather of a weight matrix."""
    return isinstance(instruction, isa.Gather) and instruction.operand == "matrix"
