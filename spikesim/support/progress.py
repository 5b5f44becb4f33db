"""How long work tells that it advances, without knowing who watches.

with progress.stage("simulate", total=36) as advance:
    for layer in layers:
        ...
        advance()
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Advance(Protocol):
    """Called whenever `n` more of a stage's units are done."""

    def __call__(self, n: int = 1) -> None:
        """Count `n` units as done."""


class Progress(Protocol):
    """Shows stages of work, one at a time or one inside the other."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Begin the stage `name` of `total` units (None: unknown); it ends with the block."""


class Silent:
    """A `Progress` that shows nothing."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Return a stage that ignores what it is told."""
        return nullcontext(_ignore)


def _ignore(n: int = 1) -> None:
    """Do nothing."""


SILENT: Progress = Silent()
"""The default wherever a `Progress` is optional."""
