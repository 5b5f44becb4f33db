"""Delay lines of the pointwise pipeline, addressed by pipeline stage."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data

TAG = data.StructLayout({"valid": 1, "header": 1, "place": 2})
"""What a slot of the pipeline holds.

A header: bit 0 of `place` marks the first of an instruction, bit 1 the one behind its last group. A word: `place` is
the number of the slot among those of the word.
"""


class Line:
    """A signal that is valid at pipeline stage `stage`: `at(later)` is the same value when its slot is at `later`.

    `reset`: the registers clear at reset (tags); data behind cleared tags need not. `there`: a bit per stage, whether
    its slot has something; without, a register behind it holds, and its clock rests. The registers are a submodule
    of their own, so that `at` means the same inside a condition.
    """

    def __init__(
        self, m: Module, name: str, signal: Any, stage: int, *, reset: bool = False, there: Any = None
    ) -> None:
        self._stage, self._reset, self._there, self._taps = stage, reset, there, [signal]
        self._registers = Module()
        m.submodules[f"delayed_{name}"] = self._registers

    def at(self, stage: int) -> Any:
        """The signal, delayed to `stage`."""
        while stage - self._stage >= len(self._taps):
            last = self._taps[-1]
            place = self._stage + len(self._taps)
            tap: Any = Signal(last.shape(), reset_less=not self._reset, name=f"stage_{place}")
            with self._registers.If(1 if self._there is None else self._there[place - 1]):
                self._registers.d.sync += tap.eq(last)
            self._taps.append(tap)
        return self._taps[stage - self._stage]


REGIONS = (0, 8, 15, 22, 30)
"""First stages of the regions through which an instruction's fields move, 8 stages at most: `timing.POINTWISE_TAIL`."""


class Kept:
    """A signal of the instruction that a unit executes: `at(stage)` is what it was when the slot at `stage` entered.

    The slots of two instructions are at least a region apart. The first header of an instruction takes the signal along
    from region to region, where it holds until the next instruction comes; in the first region it is the signal itself.
    """

    def __init__(self, m: Module, name: str, signal: Any, tags: Line) -> None:
        self._tags, self._held = tags, [signal]
        self._registers = Module()
        m.submodules[f"kept_{name}"] = self._registers

    def at(self, stage: int) -> Any:
        """The signal of the instruction that has its slot at a stage."""
        region = sum(first <= stage for first in REGIONS) - 1
        while len(self._held) <= region:
            first = REGIONS[len(self._held)]
            tag, before = self._tags.at(first - 1), self._held[-1]
            held: Any = Signal(before.shape(), reset_less=True, name=f"from_{first}")
            with self._registers.If(tag.valid & tag.header & tag.place[0]):
                self._registers.d.sync += held.eq(before)
            self._held.append(held)
        return self._held[region]
