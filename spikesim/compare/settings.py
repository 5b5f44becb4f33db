"""`CompareSettings`: how much of the comparison is measured."""

from __future__ import annotations

from dataclasses import dataclass

STREAMS = 64
"""Token streams that the gate-level simulation runs side by side, one per bit of a word."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """`quick`: one token per stream, no break-even points. `use_cache`: keep and reuse results."""

    quick: bool = False
    use_cache: bool = True

    @property
    def tokens(self) -> int:
        """Tokens of every stream that run on the cores' netlists."""
        return 1 if self.quick else 2
