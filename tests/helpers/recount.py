"""Counts the words that a program's instructions cut, from their operands, in whole numbers of any size.

Nothing of `spikesim.golden` but the words themselves is used: products, sums, roundings and limits are written down
anew, as `docs/program.md` states them.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from spikesim import program as isa
from spikesim.golden.frame import Frame
from spikesim.program.trace import Place

WORD = 2**31 - 1


def shifted(value: int, places: int) -> int:
    """round(value / 2^places), halves to even."""
    return value << -places if places <= 0 else round(Fraction(value, 1 << places))


class Recount:
    """An observer: `cut` has, by the number of the instruction, words written under a limit and words beyond it."""

    def __init__(self) -> None:
        self.cut: dict[int, tuple[int, int]] = {}

    def executed(self, place: Place, instruction: isa.Instruction, frame: Frame) -> None:
        """Counts again what an instruction did; states and means, whose words are gone by now, are left out."""
        match instruction:
            case isa.Multiply():
                found = self._multiply(instruction, frame)
            case isa.Add():
                a, b = (frame.view(view).astype(np.int64) for view in (instruction.a, instruction.b))
                exact = a - b if instruction.subtract else a + b
                found = exact.size, int((np.abs(exact) > instruction.limit).sum())
            case isa.Rotate():
                found = self._rotate(instruction, frame)
            case _:
                return
        words, beyond = self.cut.get(place.number, (0, 0))
        self.cut[place.number] = words + found[0], beyond + found[1]

    def _multiply(self, i: isa.Multiply, frame: Frame) -> tuple[int, int]:
        a = frame.view(i.a)
        ones = np.ones((1, 1, 1), np.int64)
        b = np.broadcast_to(ones if i.b is None else frame.view(i.b), a.shape)
        scale = None if i.scalar is None else np.broadcast_to(frame.view(i.scalar), a.shape)
        valid = np.broadcast_to(True if i.keys is None else frame.keys(i.keys).valid, a.shape)
        words = beyond = 0
        for at in zip(*np.nonzero(valid), strict=True):
            product = shifted(int(a[at]) * int(b[at]), i.shift_b) if i.b is not None else int(a[at])
            mantissa, exponent = (1, 0) if scale is None else (int(scale[at]) & 0xFFFF, int(scale[at]) >> 16)
            result = shifted(product * mantissa, i.shift - exponent)
            words += 1
            beyond += abs(result) > i.limit or (i.b is not None and abs(product) > WORD)
        return words, beyond

    def _rotate(self, i: isa.Rotate, frame: Frame) -> tuple[int, int]:
        a = frame.view(i.a).astype(np.int64)
        cos, sin = (frame.view(view).astype(np.int64) for view in (i.cos, i.sin))
        half = a.shape[2] // 2
        low, high = a[..., :half], a[..., half:]
        turned = np.concatenate([low * cos - high * sin, low * sin + high * cos], axis=-1)
        # 32767.5 rounds to 32768, the even one.
        return turned.size, int((np.abs(turned) >= (2 * 32767 + 1) << 14).sum())
