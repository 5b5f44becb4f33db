"""`run_leashed`: a tool in a process of its own that never outlives this one, nor does anything that it starts."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from spikesim.tools import leash

_running: set[int] = set()
_lock = threading.Lock()


def run_leashed(
    command: Sequence[str | os.PathLike[str]],
    *,
    input: str | None = None,  # noqa: A002 - as `subprocess` has it
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[str] | None = None,
    stderr: int | IO[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command as `subprocess.run` does, in a process group that ends with this process or with an exception here.

    Text is UTF-8, with a sign in place of what is not. Without `input` there is nothing to read. Raises `OSError` if
    the command cannot be started.
    """
    words = [os.fspath(word) for word in command]
    _check_executable(words[0], (os.environ if env is None else env).get("PATH"))
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            # -I and -S: the leash needs nothing that the environment may ask of Python.
            [sys.executable, "-I", "-S", leash.__file__, str(read), *words],
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            encoding="utf-8",
            errors="replace",
            pass_fds=[read],
            start_new_session=True,
        )
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    with _lock:
        _running.add(process.pid)
    try:
        with process:
            try:
                output, error = process.communicate(input)
            except BaseException:
                _end(process.pid)
                raise
        return subprocess.CompletedProcess(words, process.returncode, output, error)
    finally:
        with _lock:
            _running.discard(process.pid)
        os.close(write)


def end_all() -> None:
    """End what other threads run; each of them sees its command fail."""
    with _lock:
        for group in _running:
            _end(group)


def _end(group: int) -> None:
    # The leash leads the group, so that the number stays taken until it has been waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _check_executable(command: str, path: str | None) -> None:
    if shutil.which(command, path=path) is None:
        code = errno.EACCES if os.path.exists(command) else errno.ENOENT
        raise OSError(code, os.strerror(code), command)
