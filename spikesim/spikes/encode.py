"""Integers to spikes: `encode`, and the codings by name.

| coding | spikes at step t = 0 … T − 1 | T from the data | legal counts |
|---|---|---|---|
| binary | 1 while t < n | max n | n ≥ 0 |
| ternary | sign of n while t < abs n | max abs n | any |
| bitwise_unsigned | bit T−1−t of n | max(1, bits of max n) | n ≥ 0 |
| bitwise | sign of n · bit T−1−t of abs n | max(1, bits of max abs n) | any |
| twos_complement | bit T−1−t of n mod 2^T | max(2, bits of max abs n + 1) | any |
| signed_digit | digit T−1−t of the non-adjacent form of n | max(1, its digits for max abs n) | any |

"bitwise" is the sign-magnitude or bidirectional coding of `docs/dssa.md` 6.2, whose rules these are; "signed_digit" is
not among the published ones. With T given and too small, bitwise codings keep the low T bits or digits, two's
complement the residue modulo 2^T, binary and ternary stop early.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np

from spikesim.errors import CodingError
from spikesim.spikes.arrays import integer_array
from spikesim.spikes.digits import (
    CODINGS,
    COUNT_CODINGS,
    INT8_PLANES,
    UNSIGNED_CODINGS,
    Coding,
    checked_coding,
    checked_steps,
    digits,
    plane_weights,
    steps_for,
)
from spikesim.spikes.fields import Fields
from spikesim.spikes.packing import FORMS, pack
from spikesim.spikes.train import SpikeEvents, SpikeTrain, packed_train

__all__ = [
    "CODINGS",
    "INT8_PLANES",
    "UNSIGNED_CODINGS",
    "Coding",
    "SpikeEvents",
    "SpikeTrain",
    "digits",
    "encode",
    "plane_weights",
    "steps_for",
]


def encode(counts: Any, coding: str = "bitwise", steps: SupportsIndex | None = None) -> SpikeTrain:
    """counts: integer[...], numpy array or torch tensor -> SpikeTrain of T steps, T from the whole array or given.

    Without `steps` the train decodes to exactly the counts. int8 and, apart from signed_digit, uint8 arrays
    are packed 64 numbers at a time; wider types are narrowed to int8 first if their values allow.

    Raises CodingError for an unknown coding, values that are not integers, below zero in binary or
    bitwise_unsigned, or of magnitude 2^62 or more, and for steps < 1 (< 0 in binary and ternary) or more of them than
    integers of 62 bits take.

    >>> train = encode([5, -3, 0], "bitwise")
    >>> train.steps, train.dense().tolist()
    (3, [[1, 0, 0], [0, -1, 0], [1, -1, 0]])
    >>> encode([5, -3, 0], "bitwise", steps=2).decode().tolist()
    [1, -3, 0]
    >>> encode([7, 0, 0, 0], "signed_digit").firing_rate
    0.125
    """
    coding = checked_coding(coding)
    values = integer_array(counts)
    shape = values.shape
    values = values.reshape(-1)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 and coding in UNSIGNED_CODINGS:
        raise CodingError(f"counts of the {coding} coding must be 0 or more, not {low}")
    largest = max(-low, high)
    steps = steps_for(largest, coding) if steps is None else checked_steps(steps, coding)
    if coding in COUNT_CODINGS and largest > steps:
        values, largest = np.clip(values, -steps if low < 0 else 0, steps), steps
        low, high = max(low, -steps), min(high, steps)
    if values.dtype.itemsize > 1 and low >= -128 and high <= 127:
        values = values.astype(np.int8)
    planes = steps_for(largest, "bitwise") if coding in COUNT_CODINGS else steps
    bits, signs = pack(values, FORMS[coding], planes)
    return packed_train(Fields(coding, shape, steps, bits, signs))
