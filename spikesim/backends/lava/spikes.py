"""Counts as the spikes that a stage sends to a matrix, in the order of time, and how many steps they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError
from spikesim.program import COUNT_LIMIT, Gather, Multiply, Program, is_matrix
from spikesim.spikes.digits import COUNT_CODINGS, digits, steps_for

GRADED: Final = "graded"
"""One spike per value that carries the count itself."""

SERIAL = ("signed_digit", "bitwise", "twos_complement", "ternary")
"""Codings of the core that send a count over several time steps."""

CODINGS = (GRADED, *SERIAL)


def spikes(counts: NDArray[np.int64], coding: str, steps: int) -> NDArray[np.int32]:
    """counts: int64[channels] -> int32[steps, channels], what is sent in each of `steps` time steps.

    Weighted codings send the most significant plane first, two's complement as plain bits: the sign of its first
    plane is known to the neuron that adds up. Raises CapacityError for a count that needs more steps.
    """
    if coding == GRADED:
        return counts[None].astype(np.int32)
    planes = digits(counts, coding, steps)
    if coding == "twos_complement":
        planes = np.abs(planes)
    sent = planes if coding in COUNT_CODINGS else planes[::-1]
    back = decode(sent, coding)
    if not np.array_equal(back, counts):
        wrong = counts[np.flatnonzero(back != counts)[0]]
        raise CapacityError(f"counts must fit {steps} steps of the {coding} coding, not be {wrong}")
    return sent.astype(np.int32)


def decode(sent: NDArray[Any], coding: str) -> NDArray[np.int64]:
    """sent: integer[steps, …] -> int64[…], what the neuron behind the matrix makes of unit weights."""
    total = np.zeros(sent.shape[1:], np.int64)
    for step, plane in enumerate(sent):
        sign = first_sign(coding) if step == 0 else 1
        total = base(coding) * total + sign * plane
    return total


def base(coding: str) -> int:
    """What an earlier plane weighs more than the next: 2, or 1 where every spike weighs one."""
    return 1 if coding in COUNT_CODINGS else 2


def first_sign(coding: str) -> int:
    """The sign of the first plane."""
    return -1 if coding == "twos_complement" else 1


def steps_needed(programs: Sequence[Program], coding: str) -> int:
    """Time steps per token that hold every count these programs can send to a matrix.

    The bound is read from the programs: what the instruction that makes a vector of counts saturates to, or the
    largest constant; an INT8 count where neither is known.
    """
    if coding == GRADED:
        return 1
    largest = max((_largest(p, i) for p in programs for i in p.instructions() if is_matrix(i)), default=0)
    return max(1, steps_for(largest, coding))


def _largest(program: Program, gather: Gather) -> int:
    """Largest magnitude that the counts of a gather can have, at most that of an INT8 count."""
    name = gather.counts.name
    if name in program.constants:
        return min(int(np.abs(program.constants[name]).max(initial=0)), COUNT_LIMIT)
    limits = [i.limit for i in program.instructions() if isinstance(i, Multiply) and i.dst.name == name]
    return min(max(limits, default=COUNT_LIMIT), COUNT_LIMIT)
