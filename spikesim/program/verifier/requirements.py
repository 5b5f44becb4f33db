"""What a program asks of whoever runs it: `verify_requirements`, and `verify_for` a hardware."""

from __future__ import annotations

from collections.abc import Iterable

from spikesim.errors import CapacityError
from spikesim.hardware import HardwareConfig
from spikesim.program.accumulators import bits_of
from spikesim.program.program import Program, ProgramText
from spikesim.program.verifier.findings import Findings, raise_if_any


def verify_requirements(program: Program) -> None:
    """Raises ProgramError if a program asks for less than its sums need. Reads all weights once."""
    found = Findings(program.text.name)
    given, least = program.text.requires.accumulator_bits, bits_of(program)
    found.require(
        given >= least, "requires.accumulator_bits", f"at least {least}, which its sums need", given
    )
    raise_if_any(found.found)


def verify_for(texts: Iterable[ProgramText], hardware: HardwareConfig) -> None:
    """Raises CapacityError if a hardware lacks what programs require: accumulators, numerics.

    Whether its memories hold them is found by laying them out.
    """
    for text in texts:
        needs, given = text.requires, hardware.array.accumulator_bits
        if needs.accumulator_bits > given:
            raise CapacityError(
                f"array.accumulator_bits must be at least {needs.accumulator_bits} for {text.name}, not {given}"
            )
        if needs.numerics is not None and needs.numerics != hardware.numerics:
            raise CapacityError(
                f"numerics must be those that {text.name} was compiled for ({needs.numerics}), not {hardware.numerics}"
            )
