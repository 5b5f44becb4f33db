"""Starts a worker, watches it, and leaves nothing behind: no process, no shared memory, no file.

Lava hangs where anything fails (an exception in a model, a dead process), so the worker runs in a session of its own,
says what goes wrong through a pipe, and is ended when its time is over. It ends by itself when this process is killed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikesim.backends.lava.messages import VARIABLE
from spikesim.errors import ToolError

WORKER = (sys.executable, "-P", "-W", "ignore", "-m", "spikesim.backends.lava.worker")
"""Modules are not looked for in the current folder, and no warning is an error."""

_PATIENCE_S = 3.0
"""After SIGTERM, before SIGKILL: Python's resource tracker takes no notice of the first and removes shared memory."""
_POLL_S = 0.2
"""How often it is looked whether the worker itself is still there."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOG_BYTES = 4096
_CHUNK = 65536


@dataclass(kw_only=True)
class Heard:
    """What a worker and its processes have said so far: through the pipe, and on their standard output."""

    pipe: int
    output: int
    done: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    log: bytes = b""
    tokens: int = 0
    temporary: str = ""
    """A folder of multiprocessing that the worker cannot remove when it is ended."""
    ended: bool = False
    """Every process has closed the pipe."""
    _line: bytes = b""

    def listen(self) -> int:
        """Take whatever is there without waiting; return how many tokens it finished."""
        before = self.tokens
        while chunk := _read(self.output):
            self.log = (self.log + chunk)[-_LOG_BYTES:]
        while (chunk := _read(self.pipe)) is not None:
            if not chunk:
                self.ended = True
                break
            *lines, self._line = (self._line + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        return self.tokens - before

    def _take(self, message: dict[str, Any]) -> None:
        match message.pop("kind"):
            case "token":
                self.tokens += 1
            case "temporary":
                self.temporary = message["folder"]
            case "done":
                self.done = message
            case "error" if not self.error:
                self.error = message


def _read(descriptor: int) -> bytes | None:
    """Bytes that are there; nothing at the end, None if there is nothing yet."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def launch(
    folder: Path,
    lava: Path | None,
    *,
    timeout: float,
    advance: Callable[[], None] = lambda: None,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Run the job in `folder` and return the worker's last message; `advance` is called per finished token.

    `lava`: folder of the package, None if Python finds it. `command`: in place of `WORKER`, for tests of failures.
    Raises ToolError, in one sentence, if the network fails, takes more than `timeout` seconds, or ends without having
    finished.
    """
    read, write = os.pipe()
    paths = [os.environ.get("PYTHONPATH", ""), "" if lava is None else str(lava)]
    environment = {
        **os.environ,
        VARIABLE: str(write),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with os.fdopen(read, "rb", buffering=0) as pipe:
        try:
            worker = subprocess.Popen(
                [*(command or WORKER), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(write)
        with worker:
            output = worker.stdout.fileno() if worker.stdout is not None else -1
            heard = Heard(pipe=pipe.fileno(), output=output)
            for descriptor in (heard.pipe, heard.output):
                os.set_blocking(descriptor, False)
            late = False
            try:
                late = not _watch(worker, heard, time.monotonic() + timeout, advance)
            finally:
                _end(worker, heard)
                if heard.temporary:
                    shutil.rmtree(heard.temporary, ignore_errors=True)
    if heard.error and heard.error["errno"] in _FULL:
        raise ToolError(
            f"Lava needs room for its records in {folder.parent}, which is full: make some, or name another folder "
            "in TMPDIR"
        )
    if heard.error:
        raise ToolError(f"Lava failed in {heard.error['where']}: {heard.error['error']}")
    if late:
        raise ToolError(
            f"the Lava network must finish within {timeout:g} s, and had finished {heard.tokens} tokens by then: "
            "raise --timeout, or run fewer tokens or programs"
        )
    if worker.returncode or not heard.done:
        reason = heard.log.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise ToolError(f"Lava's worker ended with status {worker.returncode}: {reason[0]}")
    return heard.done


def _watch(
    worker: subprocess.Popen[bytes], heard: Heard, deadline: float, advance: Callable[[], None]
) -> bool:
    """Listen until the worker has ended; False when the deadline passes first."""
    with selectors.DefaultSelector() as selector:
        selector.register(heard.pipe, selectors.EVENT_READ)
        while not heard.ended and worker.poll() is None:
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            selector.select(min(rest, _POLL_S))
            for _ in range(heard.listen()):
                advance()
    return True


def _end(worker: subprocess.Popen[bytes], heard: Heard) -> None:
    """End every process of the worker's group that is still there, and wait until they are gone."""
    if worker.stdin is not None:
        with contextlib.suppress(OSError):
            worker.stdin.close()
    if heard.ended and _gone(worker, heard):
        return
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, sent)
        if _gone(worker, heard):
            return


def _gone(worker: subprocess.Popen[bytes], heard: Heard) -> bool:
    """Whether the worker's group ends within a few seconds. Its output is taken, so that nobody waits for a reader."""
    limit = time.monotonic() + _PATIENCE_S
    while time.monotonic() < limit:
        heard.listen()
        worker.poll()
        if not _alive(worker.pid):
            return True
        time.sleep(0.01)
    return False


def _alive(group: int) -> bool:
    """Whether a process of the group still runs; one that only waits to be collected by its parent does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    states = [fields for fields in map(_state, Path("/proc").glob("[0-9]*/stat")) if fields is not None]
    return not states or any(own == group and state not in "ZX" for state, own in states)


def _state(path: Path) -> tuple[str, int] | None:
    """State and process group of a process, by its `stat` file; None if it is gone."""
    try:
        # The name, in parentheses, may hold anything.
        state, _parent, group = (
            path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[:3]
        )
    except (OSError, ValueError):
        return None
    return state, int(group)
