"""What of a run saturated: the words that instructions cut, place by place, as the saturation section of a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from spikesim.golden.machine import Machine
from spikesim.program import ACTIVATION_LIMIT, COUNT_LIMIT, WORD_LIMIT, Instruction
from spikesim.program import instructions as isa
from spikesim.program.accumulators import STATE_LIMIT
from spikesim.program.compiled import Block
from spikesim.results.report import Cut, SaturatedPlace, Saturation


@dataclass(kw_only=True)
class SaturationTally:
    """Adds up programs as they have run."""

    words: int = 0
    places: list[SaturatedPlace] = field(default_factory=list)

    def add(self, machine: Machine, block: Block) -> None:
        """A machine whose program is done for all tokens; `block`: what the program is to a reader."""
        for instruction, (words, saturated) in zip(
            machine.program.instructions(), machine.cut.tolist(), strict=True
        ):
            how = _cut(instruction)
            self.words += 0 if how == "window" else words
            if saturated:
                place, limit = _place(instruction)
                self.places.append(
                    SaturatedPlace(
                        program=block.program,
                        layer=block.layer,
                        place=place,
                        instruction=instruction.label,
                        cut=how,
                        limit=limit,
                        saturated=saturated,
                        words=words,
                        share=saturated / words,
                    )
                )

    def result(self) -> Saturation:
        """The section, once all programs were added."""
        ordered = sorted(self.places, key=lambda place: -place.share)
        places = tuple(place for place in ordered if place.cut != "window")
        saturated = sum(place.saturated for place in places)
        return Saturation(
            words=self.words,
            saturated=saturated,
            share=saturated / self.words if self.words else 0.0,
            places=places,
            windows=tuple(place for place in ordered if place.cut == "window"),
        )


def _cut(instruction: Instruction) -> Cut:
    """What happens to a word that does not fit.

    Counts with a scalar have a scale of their own token: what they lose is the choice of a window. Static scales and
    all other words were meant to fit.
    """
    if isinstance(instruction, isa.Scatter):
        return "wrap"
    own_scale = isinstance(instruction, isa.Multiply) and instruction.clip and instruction.scalar is not None
    return "window" if own_scale else "limit"


def _place(instruction: Instruction) -> tuple[str, int]:
    """What an instruction writes under a limit, and the largest magnitude there."""
    match instruction:
        case isa.Multiply() | isa.Add():
            return instruction.dst.name, instruction.limit
        case isa.Rotate():
            return instruction.dst.name, ACTIVATION_LIMIT
        case isa.Lookup():
            return instruction.dst.name, WORD_LIMIT
        case isa.Scatter():
            return instruction.state, STATE_LIMIT
        case isa.Pool():
            return f"{instruction.cache} means", COUNT_LIMIT
        case (
            isa.Reduce()
            | isa.Invert()
            | isa.ScalarMultiply()
            | isa.Exponential()
            | isa.SoftmaxWeights()
            | isa.Phase()
            | isa.SelectTop()
            | isa.Gather()
            | isa.Decay()
            | isa.Store()
        ):
            raise ValueError(f"{instruction.op} has no limit")
        case _:
            assert_never(instruction)
