"""The command line in processes that were started in every odd way: the right result, or one sentence."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.micro_model import HARDWARE, micro_model
from helpers.places import CHECKOUT
from helpers.tried import tried

from spikesim.cli import process
from spikesim.cli.failures import failures_as_sentences
from spikesim.errors import ProcessError
from spikesim.support.cache_folder import user_folder
from spikesim.support.creation import creation_time

COMMAND = [sys.executable, "-c", "from spikesim.cli import main; main()"]


def start(
    folder: Path,
    *words: str,
    before: Callable[[], object] | None = None,
    streams: Any = None,
    **variables: str | None,
) -> subprocess.CompletedProcess[str]:
    """Run the command line in `folder`, with variables set or (None) taken away; its output as bytes may be odd."""
    odd = ("NUMBA_", "SPIKESIM_", "XDG_", "MPL", "PYTHON", "COLUMNS", "SOURCE_DATE")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(odd)}
    changed = {**plain, "PYTHONPATH": str(CHECKOUT), **variables}
    return subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=streams is None,
        encoding="utf-8",
        errors="surrogateescape",
        preexec_fn=before,
        check=False,
        **(streams or {}),
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a run that failed."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("spikesim: ")
    assert not done.stdout
    return line.removeprefix("spikesim: ")


def words_of(text: str) -> list[str]:
    """What is said, whatever lines it is broken into."""
    return text.split()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a command prints in a usual process."""
    done = start(tmp_path_factory.mktemp("plain"), "encode", "5", "-3")
    assert done.returncode == 0, done.stderr
    return done.stdout


# Everything odd at once


ODD: dict[str, str | None] = {
    "COLUMNS": "²",
    "LINES": "-1",
    "TERMINAL_WIDTH": "wide",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "HOME": "not/a/home",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
    "SPIKESIM_CACHE": "/dev/null/cache",
    "NUMBA_CACHE_DIR": "/dev/null/numba",
    "NUMBA_NUM_THREADS": "0",
    "NUMBA_THREADING_LAYER": "nonsense",
    "OMP_NUM_THREADS": "many",
    "MKL_NUM_THREADS": "999999",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "1",
    "PYTHONIOENCODING": "ascii",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/dev/null/matplotlib",
    "SOURCE_DATE_EPOCH": "86400",
    "TZ": "Nowhere/Never",
    "LANG": None,
    "LC_ALL": "xx_XX.garbage",
}


@tried(14, "MPLBACKEND of a notebook, or one that is not there", "the report is drawn")
@tried(14, "an unwritable MPLCONFIGDIR", "the report is the same")
@tried(14, "a damaged matplotlibrc in the current folder", "the report is the same")
@tried(14, "COLUMNS, LINES and TERMINAL_WIDTH that are no numbers", "they are as if unset")
@tried(14, "a relative HOME", "it is as if unset: nothing is made in the current folder")
@tried(14, "a relative XDG_CACHE_HOME or XDG_CONFIG_HOME", "it is ignored, as the rules of XDG ask")
@tried(
    14,
    "a SPIKESIM_CACHE and a NUMBA_CACHE_DIR that cannot be folders",
    "code is kept elsewhere or not at all",
)
@tried(14, "NUMBA_NUM_THREADS of 0", "as many threads as there are processors")
@tried(14, "NUMBA_THREADING_LAYER of no layer", "the layer that is there")
@tried(
    14,
    "OMP_NUM_THREADS that is no number, MKL_NUM_THREADS of 999999",
    "as many threads as there are processors",
)
@tried(14, "PYTHONWARNINGS=error", "warnings of libraries end nothing")
@tried(14, "python -O", "the report is the same")
@tried(14, "a terminal in ASCII, TERM=dumb and NO_COLOR", "what it cannot show is escaped")
@tried(14, "TZ of no zone, LC_ALL of no locale, LANG unset", "the report is the same")
@tried(14, "SOURCE_DATE_EPOCH", "the report is of that date")
def test_everything_odd_at_once(tmp_path: Path) -> None:
    model, hardware = micro_model(tmp_path / "micro.pt"), tmp_path / "hardware.toml"
    hardware.write_text(HARDWARE)
    words = ("map", str(model), "--random-tokens", "4", "--hardware", str(hardware), "-o", "out")
    reports, figures = [], []
    for name, variables in (("usual", {}), ("odd", ODD)):
        folder = tmp_path / name
        folder.mkdir()
        if variables:
            (folder / "matplotlibrc").write_bytes(b"font.size: 40\n\xff\xfe")
        done = start(folder, *words, **variables)
        assert done.returncode == 0, done.stderr
        assert [path.name for path in folder.iterdir() if path.name != "matplotlibrc"] == ["out"]
        report = json.loads((folder / "out" / "report.json").read_text())
        reports.append({name: value for name, value in report.items() if name not in _OF_A_RUN})
        figures.append(re.findall(r"(?s)<svg.*?</svg>", (folder / "out" / "report.html").read_text()))
    assert reports[0] == reports[1]
    assert len(figures[0]) > 3
    assert figures[0] == figures[1]
    assert report["created"] == "1970-01-02T00:00:00+00:00"
    assert done.stdout.isascii()
    assert "\\u2212" in done.stdout or "\\xd7" in done.stdout
    assert "warning" not in done.stderr.lower()


_OF_A_RUN = {"created", "seconds", "peak_memory_bytes"}


# One thing at a time


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"HOME": None}, marks=tried(14, "HOME unset", "no folder called ~ appears")),
        pytest.param({"HOME": ""}, marks=tried(14, "an empty HOME", "nothing is made in / or here")),
        pytest.param(
            {"HOME": "/nonexistent/home"}, marks=tried(14, "a HOME that does not exist", "the same result")
        ),
        pytest.param({"COLUMNS": "1"}, marks=tried(14, "a terminal of one column", "as wide as it must be")),
        pytest.param(
            {"COLUMNS": "9" * 9},
            marks=tried(14, "a terminal of 999,999,999 columns", "no more memory is taken"),
        ),
    ],
)
def test_result_is_the_same(plain: str, tmp_path: Path, variables: dict[str, str | None]) -> None:
    done = start(tmp_path, "encode", "5", "-3", **variables)
    assert done.returncode == 0, done.stderr
    assert words_of(done.stdout) == words_of(plain)
    assert not list(tmp_path.iterdir())


LATIN = {"PYTHONIOENCODING": "latin-1"}
C = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
COMMANDS = ("map", "simulate", "compare", "verify", "rtl", "lava", "export", "encode", "info")


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        *(
            pytest.param(
                command,
                LATIN,
                marks=tried(
                    14, "`--help` of every command in a Latin-1 terminal", "what it cannot show is escaped"
                ),
            )
            for command in COMMANDS
        ),
        pytest.param(
            "map", C, marks=tried(14, "the C locale without UTF-8", "what it cannot show is escaped")
        ),
    ],
)
def test_help_in_other_encodings(tmp_path: Path, command: str, variables: dict[str, str]) -> None:
    done = start(tmp_path, command, "--help", **variables)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    assert not done.stderr


@tried(14, "python -OO, without docstrings", "`--help` lists every option")
def test_help_without_docstrings(tmp_path: Path) -> None:
    done = start(tmp_path, "encode", "--help", PYTHONOPTIMIZE="2")
    assert done.returncode == 0, done.stderr
    assert "--coding" in done.stdout


@tried(14, "NUMBA_OPT and others of numba's that it cannot read", "a sentence that names the variable")
def test_settings_of_numba_that_are_none(tmp_path: Path) -> None:
    said = sentence(start(tmp_path, "encode", "5", NUMBA_OPT="fast"))
    assert "NUMBA_OPT" in said
    assert "fast" in said


@tried(
    14, "TORCH_LOGS and others that a library refuses when it is loaded", "a sentence that names the library"
)
def test_settings_of_libraries_that_are_none(tmp_path: Path) -> None:
    model = micro_model(tmp_path / "micro.pt")
    said = sentence(start(tmp_path, "map", str(model), "--random-tokens", "4", TORCH_LOGS="nonsense"))
    assert said.startswith("torch cannot be loaded: ")
    assert not (tmp_path / "micro-spikesim").exists()


@tried(
    14,
    "a limit of memory below 1 GiB (ulimit -v)",
    "a sentence that says what is needed, not a wait without end",
)
def test_small_limit_of_memory(tmp_path: Path) -> None:
    limit = 200 << 20
    said = sentence(
        start(tmp_path, "encode", "5", before=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    )
    assert said == "the limit of memory must be at least 1048576 KiB, not 204800 (ulimit -v)"


@tried(14, "a limit of ten open files", "the right result")
def test_few_open_files(plain: str, tmp_path: Path) -> None:
    done = start(
        tmp_path, "encode", "5", "-3", before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
    )
    assert words_of(done.stdout) == words_of(plain), done.stderr


@tried(14, "closed standard input, output and error", "no file gets what is printed")
def test_closed_streams(tmp_path: Path) -> None:
    done = start(tmp_path, "encode", "5", "-o", "out.npz", before=lambda: os.closerange(0, 3), streams={})
    assert done.returncode == 0
    usual = start(tmp_path, "encode", "5", "-o", "usual.npz")
    assert usual.returncode == 0, usual.stderr
    assert (tmp_path / "out.npz").stat().st_size == (tmp_path / "usual.npz").stat().st_size


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@tried(14, "`--help` and `--version` to a full disk", "a sentence and status 1")
@pytest.mark.parametrize("word", ["--help", "--version"])
def test_full_standard_output(tmp_path: Path, word: str) -> None:
    with open("/dev/full", "w") as full:
        done = start(tmp_path, word, streams={"stdout": full, "stderr": subprocess.PIPE})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("spikesim: ")


@tried(14, "a current folder that is gone", "a sentence; `--help` works")
def test_current_folder_that_is_gone(tmp_path: Path) -> None:
    def leave() -> None:
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")

    said = sentence(start(tmp_path, "encode", "5", before=leave))
    assert said.startswith("the current folder must exist")
    assert start(tmp_path, "--help", before=leave).returncode == 0


# Without a process of their own


@tried(
    14, "a SOURCE_DATE_EPOCH that is no number of seconds, or beyond all dates", "a sentence before any work"
)
@pytest.mark.parametrize("text", ["yesterday", "1.5", "9" * 20, "nan", "0x10"])
def test_wrong_date(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(
        ProcessError, match=f"^SOURCE_DATE_EPOCH must be a whole number of seconds since 1970, not '{text}'$"
    ):
        process.check()


def test_date_is_now_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = creation_time()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert before <= creation_time()


@tried(14, "NUMBA_DISABLE_JIT", "a sentence: some functions exist as machine code only")
@pytest.mark.parametrize("text", ["1", "2", "yes"])
def test_disabled_compiler(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", text)
    with pytest.raises(ProcessError, match=r"^NUMBA_DISABLE_JIT must be 0 or unset"):
        process.check()


@tried(14, "a SPIKESIM_CACHE that begins with ~", "it is the home: no folder called ~ appears")
def test_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPIKESIM_CACHE", "~/kept")
    assert user_folder() == tmp_path / "kept"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        pytest.param(
            OSError(24, "Too many open files"),
            "the limit of open files",
            marks=tried(14, "no more files may be opened", "a sentence that names the limit"),
        ),
        pytest.param(
            OSError(11, "Resource temporarily unavailable"),
            "the limit of processes",
            marks=tried(14, "no more processes may be started", "a sentence that names the limit"),
        ),
        pytest.param(
            RuntimeError("can't start new thread"),
            "not enough memory",
            marks=tried(14, "no more threads may be started", "a sentence about memory"),
        ),
        pytest.param(
            ImportError("libx.so: cannot allocate memory in static TLS block"),
            "not enough memory",
            marks=tried(14, "a library for which there is no memory", "a sentence about memory"),
        ),
        pytest.param(
            OSError(5, "Input/output error"),
            "the system refused: Input/output error",
            marks=tried(
                14, "a device that fails, without a file to name", "a sentence with what the system says"
            ),
        ),
    ],
)
def test_refusals_of_the_system(raised: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, failures_as_sentences():
        raise raised
    assert ended.value.exit_code == 1
    assert said in capsys.readouterr().err


def test_failure_of_a_failure_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """llvmlite makes an OSError of its own of what the loader says."""
    with pytest.raises(typer.Exit), failures_as_sentences():
        try:
            raise OSError("libllvmlite.so: failed to map segment from shared object")
        except OSError:
            raise OSError("Could not find/load shared object file") from None
    assert "not enough memory" in capsys.readouterr().err
