"""Yosys in a process of its own: failures are sentences, its folder may be called anything, it never outlives us."""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from helpers.gate_netlists import nangate
from helpers.tried import tried

from spikesim.errors import OutputError, ToolError
from spikesim.power_models.synthesis.synthesis import Synthesiser
from spikesim.rtl.verilog import verilog
from spikesim.support.temporary import temporary_folder
from spikesim.tools import yosys
from spikesim.tools.process import end_all
from spikesim.tools.yosys import run_yosys

ODD = {
    "a space": "a b",
    "quotes": "a'b\"c",
    "a command in backticks": "`touch ran`",
    "a command behind a dollar": "$(touch ran)",
    "ends of commands": "a;touch ran&b|c<d>e",
    "a line break": "a\ntouch ran\n",
    "letters beyond ASCII": "è日本",
    "a byte that is no UTF-8": os.fsdecode(b"a\xe9b"),
    "a backslash and a percent sign": "a\\b%s{ps}",
    "a leading dash": "-o",
}


class Sum(wiring.Component):
    """Something to emit and to map."""

    a: In(2)
    b: In(2)
    total: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.total.eq(self.a + self.b)
        return m


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            ODD[what],
            marks=tried(10, f"TMPDIR with {what} in its name", "emits and synthesises as anywhere"),
            id=what,
        )
        for what in ODD
    ],
)
def test_temporary_folder_may_be_called_anything(name, tmp_path, monkeypatch):
    plain = verilog(Sum(), "top")
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    monkeypatch.chdir(tmp_path / name)
    assert verilog(Sum(), "top") == plain
    assert Synthesiser(nangate()).synthesise(plain, "top").flip_flops == 3
    assert [path.name for path in tmp_path.rglob("*")] == [name]


@tried(10, "A pass that fails: Yosys ends its process", "one sentence with Yosys's own last error")
def test_error_is_a_sentence(tmp_path):
    with pytest.raises(ToolError, match=r"^Yosys failed: ERROR: File `missing\.v' not found"):
        run_yosys(tmp_path, ["read_verilog missing.v"])


@tried(10, "Yosys that dies of a signal", "one sentence that names the signal")
def test_signal_is_a_sentence(tmp_path):
    with pytest.raises(ToolError, match=r"^Yosys failed: .*ended by a signal \(Segmentation fault\)$"):
        run_yosys(tmp_path, ["exec -- kill -SEGV $PPID"])


@tried(13, "A log of Yosys that is no UTF-8", "is read all the same")
def test_log_that_is_no_text(tmp_path):
    assert "caf\ufffd" in run_yosys(tmp_path, [r"exec -- printf 'caf\351\n'"])


@tried(14, "Escape sequences in an error of Yosys", "never reach the terminal")
def test_escape_sequences_are_not_passed_on(tmp_path):
    with pytest.raises(ToolError, match=r"^Yosys failed: ERROR: No such command: \?\[31mred") as caught:
        run_yosys(tmp_path, ["\x1b[31mred" + "x" * 5000])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


@tried(14, "TMPDIR and all other places for temporary files missing", "one sentence that names TMPDIR")
def test_no_place_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(
        OutputError, match=r"^the folder for temporary files must take .*; TMPDIR names another"
    ):
        verilog(Sum(), "top")


def test_wheel_that_is_missing(tmp_path, monkeypatch):
    (tmp_path / "pyosys.py").write_text("raise ModuleNotFoundError(\"No module named 'pyosys'\")\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(
        ToolError, match=r"^Yosys must be installed to synthesise: pip install 'pyosys>=0\.70'$"
    ):
        run_yosys(tmp_path, [])


def test_process_that_cannot_start(tmp_path, monkeypatch):
    monkeypatch.setattr(yosys, "_WORKER", [str(tmp_path / "python")])
    with pytest.raises(ToolError, match=r"^Yosys must be able to start: No such file"):
        run_yosys(tmp_path, [])


SLEEPS = "echo $$ > pid.new; mv pid.new pid; exec sleep 60"


def sleep(folder: Path) -> None:
    """Yosys with a program that it has started, as abc is one."""
    (folder / "sleeps").write_text(SLEEPS)
    run_yosys(folder, ["exec -- sh sleeps"])


def sleeper(folder: Path) -> int:
    while not (folder / "pid").exists():
        time.sleep(0.01)
    return int((folder / "pid").read_text())


def gone(pid: int) -> bool:
    """Ended, and waited for by whoever adopted it, or about to be."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@tried(11, "Ctrl-C while Yosys runs", "ends Yosys and what it started, leaves no temporary folder")
def test_interruption_ends_yosys_and_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # A test run started in the background of a script ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pids = []

    def interrupt(folder: Path) -> None:
        pids.append(sleeper(folder))
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt), temporary_folder() as folder:
            threading.Thread(target=interrupt, args=[folder]).start()
            sleep(folder)
    finally:
        signal.signal(signal.SIGINT, before)
    assert gone(pids[0])
    assert not list(tmp_path.iterdir())


@tried(11, "An interruption while several threads wait for Yosys", "ends every run of it")
def test_runs_of_other_threads_are_ended(tmp_path):
    failures = []

    def run(folder: Path) -> None:
        with pytest.raises(ToolError) as caught:
            sleep(folder)
        failures.append(str(caught.value))

    folders = [tmp_path / "one", tmp_path / "two"]
    threads = []
    for folder in folders:
        folder.mkdir()
        threads.append(threading.Thread(target=run, args=[folder]))
        threads[-1].start()
    pids = [sleeper(folder) for folder in folders]
    end_all()
    for thread in threads:
        thread.join()
    assert all(gone(pid) for pid in pids)
    assert len(failures) == 2
    assert all(failure.endswith("ended by a signal (Killed)") for failure in failures)


def test_our_own_process_never_loads_yosys():
    """Whatever emits or synthesises: an error would end it."""
    verilog(Sum(), "top")
    assert "pyosys.libyosys" not in sys.modules
