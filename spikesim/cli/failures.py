"""Failures as one sentence on the standard error, and the exit status that goes with each.

Anything not named here is a bug and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from spikesim.cli.console import abandon_stdout, stderr
from spikesim.cli.process import check
from spikesim.errors import SpikesimError
from spikesim.support.shown import unicode_name, visible
from spikesim.support.write_failures import reason, write_failure

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

_PACKAGE = "spikesim"

_OUT_OF_MEMORY = (
    "an't allocate memory",  # torch: a RuntimeError
    "annot allocate memory",  # the loader of shared libraries: an ImportError
    "failed to map segment",
    "can't start new thread",
)
"""What libraries say in place of a MemoryError."""

_SYSTEM = {
    errno.EMFILE: "the limit of open files must be higher (ulimit -n)",
    errno.ENFILE: "the limit of open files must be higher (sysctl fs.file-max)",
    errno.EAGAIN: "the limit of processes and threads must be higher (ulimit -u)",
}
"""What the system refuses whatever file is meant."""


class Guarded(TyperGroup):
    """A command group whose failures are sentences. Commands find the command line as typed in `context.obj`."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit unless `standalone_mode` is off, in which case return the exit status."""
        words = list(sys.argv[1:] if args is None else args)
        extra.setdefault("obj", shlex.join(["spikesim", *map(unicode_name, words)]))
        run = functools.partial(super().main, words, prog_name or "spikesim", complete_var, False)
        try:
            code = run(windows_expand_args=windows_expand_args, **extra) or 0
        except Exception as error:
            # The base class of usage errors has moved between versions of typer; what it can do has not.
            if not hasattr(error, "format_message"):
                raise
            say(error.format_message())
            context = getattr(error, "ctx", None)
            if context is not None:
                stderr().print(f"try: {context.command_path} --help", style="dim")
            code = MISUSED
        if standalone_mode:
            if code:
                abandon_stdout()
            sys.exit(code)
        return code

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line; an interruption is possible here too."""
        with failures_as_sentences():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with failures_as_sentences():
            check()
            return super().invoke(ctx)


@contextlib.contextmanager
def failures_as_sentences(complete: Path | None = None) -> Iterator[None]:
    """Turn failures of the block that a user can understand into a sentence and `typer.Exit`.

    `complete`: an output that is there already, whatever happens now.
    """
    left = "nothing was written" if complete is None else f"{complete} is complete"
    try:
        yield
    except SpikesimError as error:
        _fail(str(error), error.exit_code, error)
    except KeyboardInterrupt as error:
        _fail(f"interrupted; {left}", INTERRUPTED, error)
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        raise  # the reader of our output has seen enough; ends quietly
    except Exception as error:
        code = write_failure(error)
        sentence = _sentence(error) if code is None else f"{reason(code)}; {left}"
        if sentence is None:
            raise
        _fail(sentence, FAILED, error)


def say(sentence: str) -> None:
    """Print the one red line that tells what went wrong."""
    line = visible("spikesim: " + " ".join(sentence.split()).rstrip("."))
    try:
        from rich.text import Text

        stderr().print(Text(line, style="red"), soft_wrap=True)
    except (ImportError, MemoryError):  # there was not room for that
        with contextlib.suppress(OSError):
            os.write(2, line.encode("ascii", "backslashreplace") + b"\n")


def _sentence(error: Exception) -> str | None:
    """What the system, or a library that cannot be loaded, is to blame for; None for a bug."""
    if any(isinstance(e, MemoryError) or _is_out_of_memory(str(e)) for e in _chain(error)):
        return "there is not enough memory; run fewer or shorter sequences (--max-tokens)"
    if isinstance(error, OSError):
        return _SYSTEM.get(error.errno or 0) or _refused(error)
    library = _not_loaded(error)
    return (
        None if library is None else f"{library} cannot be loaded: {str(error).strip().partition(chr(10))[0]}"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised for: libraries say what they make of a failure of the system."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_memory(message: str) -> bool:
    return any(sign in message for sign in _OUT_OF_MEMORY)


def _refused(error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"the system refused: {reason}"
        if error.filename is None
        else f"cannot use {error.filename}: {reason}"
    )


def _not_loaded(error: Exception) -> str | None:
    """The library whose modules were being executed when the error was raised, or that is not there."""
    modules = [
        (str(frame.f_globals.get("__name__")).partition(".")[0], frame.f_code.co_name)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    ours = max((n for n, (name, _) in enumerate(modules) if name == _PACKAGE), default=-1)
    loading = [name for name, function in modules[ours + 1 :] if function == "<module>"]
    if not loading and isinstance(error, ImportError) and error.name:
        loading = [error.name.partition(".")[0]]
    return loading[0] if loading and loading[0] != _PACKAGE else None


def _fail(sentence: str, code: int, cause: BaseException) -> None:
    say(sentence)
    raise typer.Exit(code) from cause
