"""Tools that never outlive the process that wants their result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.tried import tried

from spikesim.tools.process import end_all, run_leashed

TREE = "sleep 300 & sleep 300 & echo started > started; wait"
"""A tool that has started two others, as make does."""

WORK = f"""
from pathlib import Path
from spikesim.tools.process import run_leashed
run_leashed(["sh", "-c", {TREE!r}])
"""


def test_output_input_and_status_are_those_of_the_command(tmp_path: Path) -> None:
    done = run_leashed(
        ["sh", "-c", 'cat; echo "$1" >&2; pwd; exit 7', "sh", "an $(argument)"],
        input="text",
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, f"text{tmp_path}\n", "an $(argument)\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_a_signal_of_the_command_is_its_status(number: signal.Signals) -> None:
    assert run_leashed(["sh", "-c", f"kill -{int(number)} $$"]).returncode == -number


def test_signals_that_python_ignores_are_not_ignored_by_the_command() -> None:
    assert run_leashed(["sh", "-c", "kill -PIPE $$; exit 0"]).returncode == -signal.SIGPIPE


def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(PermissionError):
        run_leashed([str(tmp_path / "plain")])
    with pytest.raises(FileNotFoundError):
        run_leashed([str(tmp_path / "absent")])
    (tmp_path / "odd").write_bytes(b"\x7fELF and no more")
    (tmp_path / "odd").chmod(0o755)
    assert run_leashed([str(tmp_path / "odd")], stderr=subprocess.PIPE).returncode == 126


def running(folder: Path) -> list[int]:
    """Processes whose working folder this is, zombies left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until(condition: object, folder: Path) -> bool:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        if condition == "started" and (folder / "started").exists() and len(running(folder)) >= 4:
            return True
        if condition == "gone" and not running(folder):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            number,
            marks=tried(
                11, f"a tool, and what it has started itself, while {number.name} comes", "all end at once"
            ),
        )
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ],
)
def test_nothing_outlives_the_process(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None,  # noqa: PLW1509
    )
    try:
        assert wait_until("started", tmp_path)
    finally:
        process.send_signal(number)
        process.wait(timeout=30)
    assert wait_until("gone", tmp_path)


def test_what_other_threads_run_can_be_ended(tmp_path: Path) -> None:
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(run_leashed(["sh", "-c", TREE], cwd=tmp_path).returncode)
    )
    thread.start()
    assert wait_until("started", tmp_path)
    end_all()
    thread.join(timeout=20)
    assert codes == [-signal.SIGKILL]
    assert wait_until("gone", tmp_path)


def test_an_exception_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: subprocess.Popen[str], _input: object) -> None:
        assert wait_until("started", tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_leashed(["sh", "-c", TREE], cwd=tmp_path)
    assert wait_until("gone", tmp_path)
