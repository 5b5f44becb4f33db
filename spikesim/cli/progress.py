"""Progress on the standard error: bars on a terminal, one line per finished stage elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spikesim.cli.console import stderr
from spikesim.report.numbers import duration

if TYPE_CHECKING:
    from spikesim.support.progress import Advance


class TerminalProgress:
    """A `spikesim.support.progress.Progress` to be used in a `with` block, which gives the terminal back at its end."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = stderr()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._thread = threading.get_ident()
        self._depths = threading.local()

    @property
    def _depth(self) -> int:
        """Of the stages in this thread; all of another one than the first are inside of something."""
        return getattr(self._depths, "depth", int(threading.get_ident() != self._thread))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Show a stage; one inside another is indented, and vanishes when it is done."""
        depth, started = self._depth, time.monotonic()
        task = self._bars.add_task("  " * depth + name, total=total)

        def advance(n: int = 1) -> None:
            self._bars.advance(task, n)

        self._depths.depth = depth + 1
        try:
            yield advance
        finally:
            self._depths.depth = depth
        if depth:
            self._bars.remove_task(task)
            return
        end = 1 if total is None else total
        self._bars.update(task, total=end, completed=end)
        if self._bars.disable:
            self._console.print(f"{name}: {duration(time.monotonic() - started)}", style="dim")
