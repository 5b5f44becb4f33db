"""Failures as one sentence on the standard error, and the exit status that goes with each.

Anything not named here is a bug and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from spikesim.cli.console import stderr
from spikesim.errors import SpikesimError
from spikesim.support.write_failures import reason, write_failure

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

_TORCH_OUT_OF_MEMORY = "can't allocate memory"  # torch raises RuntimeError for it, not MemoryError


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
        extra.setdefault("obj", shlex.join(["spikesim", *words]))
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
                stderr().print(f"try: {context.command_path} --help", style="dim", highlight=False)
            code = MISUSED
        if standalone_mode:
            sys.exit(code)
        return code

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line; an interruption is possible here too."""
        with failures_as_sentences():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with failures_as_sentences():
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
    except MemoryError as error:
        _out_of_memory(error)
    except RuntimeError as error:
        if _TORCH_OUT_OF_MEMORY not in str(error):
            raise
        _out_of_memory(error)
    except BrokenPipeError:
        raise  # the reader of our output has seen enough; ends quietly
    except OSError as error:
        if (code := write_failure(error)) is not None:
            _fail(f"{reason(code)}; {left}", FAILED, error)
        if error.filename is None:
            raise
        _fail(f"cannot use {error.filename}: {error.strerror}", FAILED, error)


def say(sentence: str) -> None:
    """Print the one red line that tells what went wrong."""
    from rich.text import Text

    line = " ".join(sentence.split()).rstrip(".")
    stderr().print(Text(f"spikesim: {line}", style="red"), soft_wrap=True)


def _out_of_memory(error: BaseException) -> None:
    _fail("there is not enough memory; run fewer or shorter sequences (--max-tokens)", FAILED, error)


def _fail(sentence: str, code: int, cause: BaseException) -> None:
    say(sentence)
    raise typer.Exit(code) from cause
