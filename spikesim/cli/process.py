"""The process of the command line made fit for work, whatever it was started with."""

from __future__ import annotations

import io
import logging
import os
import resource
import sys
import warnings
from pathlib import Path

from spikesim.errors import ProcessError
from spikesim.support.creation import creation_time

NARROWEST, WIDEST = 20, 1000
"""Columns and lines that a terminal may say it has."""

LEAST_MEMORY = 1 << 30
"""Bytes of address space, most of which libraries reserve and do not use."""

_WIDTHS = {"COLUMNS", "LINES", "TERMINAL_WIDTH"}
_THREADS = {"MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
_LAYERS = {"default", "forksafe", "omp", "safe", "tbb", "threadsafe", "workqueue"}
_FOLDERS = {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"}
_NUMBA_IS_LOST = "Environment variable 'NUMBA_"
"""What numba warns of before it takes its default."""


def prepare() -> None:
    """Mend streams, widths and warnings, before the libraries are imported that look at them."""
    _open_streams()
    for name, value in list(os.environ.items()):
        if not _is_sound(name, value):
            del os.environ[name]
    _quiet_libraries()


def check() -> None:
    """Raise ProcessError, before any work, if the process cannot do it as it was started."""
    try:
        Path.cwd()
    except OSError as error:
        raise ProcessError(
            f"the current folder must exist, and does not any more ({error.strerror}); change into another"
        ) from error
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY:
        # With less, libraries wait for ever for memory, or end the process.
        raise ProcessError(
            f"the limit of memory must be at least {LEAST_MEMORY >> 10} KiB, not {limit >> 10} (ulimit -v)"
        )
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        raise ProcessError("NUMBA_DISABLE_JIT must be 0 or unset: some functions exist as machine code only")
    creation_time()


def _open_streams() -> None:
    """Descriptors 0 to 2 are open, and no character is an error.

    A descriptor that is closed would be that of the next file, and whatever a library prints would go into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(
                os.open(os.devnull, os.O_RDWR), True
            )  # the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_sound(name: str, value: str) -> bool:
    """False for what libraries would fail, wait or litter at; they have a default for each.

    That is a width that nothing can be printed in, more threads than processors, and a folder that depends on where
    the command is run: it would be made there, and the rules of XDG have it ignored.
    """
    if name in _WIDTHS:
        return NARROWEST <= _number(value) <= WIDEST
    if name in _THREADS:
        return 1 <= _number(value.partition(",")[0]) <= (os.cpu_count() or 1)
    if name == "NUMBA_THREADING_LAYER":
        return value in _LAYERS
    return os.path.isabs(value) if name in _FOLDERS else True


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _quiet_libraries() -> None:
    """Warnings are no errors, here or in a child, but for wrong settings; what libraries log is not for users."""
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.filters[:] = [  # type: ignore[index]
        ("default" if action == "error" else action, *rest) for action, *rest in warnings.filters
    ]
    warnings.filterwarnings("error", message=_NUMBA_IS_LOST, category=RuntimeWarning)
    logging.getLogger().addHandler(logging.NullHandler())
