"""What a back end is: it opens a chain of programs on some machine, which then runs steps.

Golden, the RTL, Lava and gates are back ends; another is another class with these two methods, and no edit of anything
else. Any two executions of a chain can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.program import Chain


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a machine made of some steps.

    * `outputs`: int32[steps, words], the chain's result.
    * `cycles`: int64[steps], clock cycles of each step; None where a machine has another clock, or none.
    """

    machine: str
    outputs: NDArray[np.int32]
    cycles: NDArray[np.int64] | None = None


class Execution(Protocol):
    """A chain on a machine."""

    def run(self, words: NDArray[np.int32]) -> Outcome:
        """words: int32[steps, words], one sequence from its start. Raises a SpikesimError if the machine fails."""


class BackEnd(Protocol):
    """Opens chains on one kind of machine."""

    name: str

    def open(self, chain: Chain, hardware: HardwareConfig, folder: Path) -> Execution:
        """`folder` takes whatever the machine needs, and exists.

        Raises ProgramError for a chain that is not sound, and CapacityError for one that the machine does not hold.
        """


def differences(one: Outcome, other: Outcome) -> Iterator[str]:
    """A sentence for each thing that both tell and that differs; none if they agree."""
    if one.outputs.shape != other.outputs.shape:
        yield f"{other.machine} must give {one.outputs.shape} words as {one.machine} does, not {other.outputs.shape}"
        return
    wrong = np.argwhere(one.outputs != other.outputs)
    if wrong.size:
        step, word = (int(index) for index in wrong[0])
        yield (
            f"{len(wrong)} words differ; the first, word {word} of step {step}, is {one.outputs[step, word]} on "
            f"{one.machine} and {other.outputs[step, word]} on {other.machine}"
        )
    if one.cycles is None or other.cycles is None:
        return
    apart = np.flatnonzero(one.cycles != other.cycles)
    if apart.size:
        step = int(apart[0])
        yield (
            f"{apart.size} steps differ in cycles; the first, step {step}, takes {one.cycles[step]} on {one.machine} "
            f"and {other.cycles[step]} on {other.machine}"
        )
