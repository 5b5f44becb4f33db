"""When a stage works on which token: slots of as many time steps as a value has planes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """Stage number `depth` of a chain works on token t in slot t + depth; a slot has `planes` time steps.

    >>> table = Timetable(tokens=2, planes=8, depth=3)
    >>> table.token_at(24), table.token_at(25), table.token_at(26), table.plane_at(26)
    (None, 0, None, (0, 1))
    """

    tokens: int
    planes: int
    depth: int

    def plane_at(self, step: int) -> tuple[int, int] | None:
        """(token, plane) of the time step, steps counted from 1; None while the stage is idle."""
        slot, plane = divmod(step - 1, self.planes)
        token = slot - self.depth
        return (token, plane) if 0 <= token < self.tokens else None

    def token_at(self, step: int) -> int | None:
        """The token whose work begins in this time step, if one does."""
        now = self.plane_at(step)
        return now[0] if now is not None and now[1] == 0 else None

    @property
    def steps(self) -> int:
        """Time steps until the last token's work begins."""
        return (self.tokens - 1 + self.depth) * self.planes + 1
