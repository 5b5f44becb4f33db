"""Where the command line writes: results to the standard output, everything else to the standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """Return a console for results; made anew, since tests and shells exchange the streams."""
    from rich.console import Console

    return Console(highlight=False)


def stderr() -> Console:
    """Return a console for progress and failures."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
