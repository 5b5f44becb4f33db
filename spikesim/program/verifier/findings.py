"""What a verifier finds: one sentence per broken rule, collected, and raised together as one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spikesim.errors import ProgramError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A rule that a program breaks: `field` must be `rule`, not `value`.

    `number`, `op`: the instruction, counted from 0 in program order; None and "" for what belongs to none.

    >>> print(Finding(program="head", field="output", rule="a vector that is written", value="h"))
    program head: output must be a vector that is written, not h
    """

    program: str
    field: str
    rule: str
    value: str
    number: int | None = None
    op: str = ""

    def __str__(self) -> str:
        where = f"program {self.program}"
        if self.number is not None:
            where += f", instruction {self.number} ({self.op})"
        return f"{where}: {self.field} must be {self.rule}, not {self.value}"


@dataclass
class Findings:
    """Collects the findings of one program; `at` gives the same list the name of an instruction."""

    program: str
    number: int | None = None
    op: str = ""
    found: list[Finding] = field(default_factory=list)

    def at(self, number: int, op: str) -> Findings:
        """For the findings of one instruction."""
        return Findings(self.program, number, op, self.found)

    def require(self, holds: bool, field: str, rule: str, value: object) -> bool:
        """Note a finding unless the rule holds; returns whether it does."""
        if not holds:
            self.found.append(
                Finding(
                    program=self.program,
                    number=self.number,
                    op=self.op,
                    field=field,
                    rule=rule,
                    value=str(value),
                )
            )
        return holds

    def within(self, value: int, low: int, high: int, field: str) -> bool:
        """Require low ≤ value ≤ high."""
        return self.require(low <= value <= high, field, f"{low} … {high}", value)


def raise_if_any(found: Sequence[Finding]) -> None:
    """Raises ProgramError with all findings: the first as its sentence, and how many more there are."""
    if found:
        more = f"; {len(found) - 1} more like it" if len(found) > 1 else ""
        raise ProgramError(f"{found[0]}{more}", found)
