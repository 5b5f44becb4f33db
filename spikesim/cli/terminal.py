"""A console that prints text as it is, and nothing that a terminal obeys: names and files of others go through it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from spikesim.errors import OutputError
from spikesim.support.shown import visible


class Terminal(Console):
    """Neither markup nor emoji codes in what is printed; every character that is not seen is an escape."""

    def __init__(self, stream: Stream, **settings: Any) -> None:
        super().__init__(file=stream, markup=False, emoji=False, highlight=False, **settings)  # type: ignore[arg-type]

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is printed passes here; what moves the cursor is marked by rich itself."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))

    def print(self, *objects: Any, **settings: Any) -> None:
        """As rich has it, which would drop a few controls of a text without a trace."""
        super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **settings)

    def one_line(self, text: str, **settings: Any) -> None:
        """Print one line, however long it is: a line break within it is an escape too."""
        self.print(text.replace("\n", "\\n"), soft_wrap=True, **settings)


class Stream:
    """The standard output or error, `wanted` if a failure to write to it is one of the command."""

    def __init__(self, stream: Any, *, wanted: bool) -> None:
        self._stream = getattr(stream, "rich_proxied_file", stream)  # not the stand-in while a bar is shown
        self._wanted = wanted

    @property
    def encoding(self) -> str:
        """As of the stream."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """As of the stream."""
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        """As of the stream."""
        return int(self._stream.fileno())

    def write(self, text: str) -> int:
        """Write; OutputError if that fails and is wanted. A reader who has seen enough is no failure."""
        with self._failures():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, like `write`."""
        with self._failures():
            self._stream.flush()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._abandon()
            if self._wanted:
                raise
        except OSError as error:
            self._abandon()
            if self._wanted:
                raise OutputError(
                    f"the standard output must take what is printed: {error.strerror}"
                ) from error

    def _abandon(self) -> None:
        """What could not be written is tried again when Python ends, and would fail again."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
