"""Where the command line writes: results to the standard output, everything else to the standard error."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikesim.cli.terminal import Terminal

_NOT_ASCII = re.compile(r"[^\n -~]")


def stdout() -> Terminal:
    """Return a console for results; made anew, since tests and shells exchange the streams."""
    from spikesim.cli.terminal import Stream, Terminal

    return Terminal(Stream(sys.stdout, wanted=True))


def stderr() -> Terminal:
    """Return a console for progress and failures. Where it cannot be written, the command goes on without it."""
    from spikesim.cli.terminal import Stream, Terminal

    return Terminal(Stream(sys.stderr, wanted=False), stderr=True)


def abandon_stdout() -> None:
    """After a failure, what the standard output did not take is not tried again when Python ends."""
    from spikesim.cli.terminal import Stream

    Stream(sys.stdout, wanted=False).flush()


def print_json(text: str) -> None:
    """Print a JSON document for programs, in ASCII: it is the same document in every encoding."""
    from spikesim.cli.terminal import Stream

    stream = Stream(sys.stdout, wanted=True)
    stream.write(_NOT_ASCII.sub(_escaped, text.rstrip("\n")) + "\n")
    stream.flush()


def _escaped(found: re.Match[str]) -> str:
    """A character as JSON writes it in a string, the only place where there is one beyond ASCII."""
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
