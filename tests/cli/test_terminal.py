"""What reaches the terminal: names as they are, and nothing that it obeys."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.made_up_report import made_up_report
from helpers.tried import tried
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from spikesim.cli import console
from spikesim.cli.app import app
from spikesim.cli.failures import say
from spikesim.cli.progress import TerminalProgress
from spikesim.cli.terminal import Stream, Terminal
from spikesim.errors import OutputError
from spikesim.report import write_report
from spikesim.results.report import Report
from spikesim.support.shown import visible

ESCAPES = "a\x1b[2Jb\x9b31mc\x07d\x08e\x7ff"
"""C0 and C1 controls: the screen is wiped, colours change, a bell rings, what stands there is overwritten."""
SEEN = r"a\x1b[2Jb\x9b31mc\x07d\x08e\x7ff"


def printed(thing: Any, **settings: Any) -> str:
    stream = io.StringIO()
    Terminal(Stream(stream, wanted=True), width=200, **settings).print(thing)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param(
            ESCAPES,
            SEEN,
            marks=tried(14, "escape sequences in a name", "their characters are shown as escapes"),
        ),
        pytest.param(
            "a\u202eb\u2066c\u200bd\ufeffe",
            r"a\u202eb\u2066c\u200bd\ufeffe",
            marks=tried(
                14, "marks of direction and characters without width in a name", "they are shown as escapes"
            ),
        ),
        pytest.param(
            "a\udcff",
            r"a\udcff",
            marks=tried(14, "a name that is not UTF-8", "its bytes are shown as escapes"),
        ),
        pytest.param(
            "[red]x[/red][/] [link=http://a]y[/link]",
            "[red]x[/red][/] [link=http://a]y[/link]",
            marks=tried(14, "a name that is markup of the terminal library", "it is text"),
        ),
        pytest.param(
            ":smile: :x:", ":smile: :x:", marks=tried(14, "a name that is a code of an emoji", "it is text")
        ),
        ("ünï – ÷ 模型\u00a0x", "ünï – ÷ 模型\u00a0x"),
    ],
)
def test_text_of_others_is_shown_and_not_obeyed(text: str, seen: str) -> None:
    assert printed(text) == seen + "\n"
    table = Table(text, title=text)
    table.add_row(Text(text), text)
    assert all(char.isprintable() or char in "\n\u00a0" for char in printed(Text(text)) + printed(table))


def test_colours_and_cursor_of_our_own_stay() -> None:
    said = printed(Text("a\x1b[2Jb", style="red"), force_terminal=True, color_system="standard")
    assert said == "\x1b[31ma\\x1b[2Jb\x1b[0m\n"


@tried(14, "a line break in a name", "it is an escape, and no line of its own")
def test_lines_of_names_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    console.stdout().one_line("report: a\nspikesim: all is well\x1b[31m")
    assert capsys.readouterr().out == "report: a\\nspikesim: all is well\\x1b[31m\n"


@tried(14, "escape sequences in an error of ours or in what a tool said", "one line, in which they are shown")
def test_sentences_hold_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"make failed:\n{ESCAPES}\n\u202e[red]x[/red]")
    assert capsys.readouterr().err == f"spikesim: make failed: {SEEN} \\u202e[red]x[/red]\n"


def test_names_of_stages_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress, progress.stage("Lava: [red]x[/] \x1b[2J"):
        pass
    assert capsys.readouterr().err.startswith(r"Lava: [red]x[/] \x1b[2J: ")


def test_stages_of_other_threads_are_inside_of_something(capsys: pytest.CaptureFixture[str]) -> None:
    """Two at a time, ended in any order: no line for them, and none of them changes where the first thread is."""
    first, second = threading.Event(), threading.Event()

    def work(progress: TerminalProgress, mine: threading.Event, other: threading.Event) -> None:
        with progress.stage("inside"):
            mine.set()
            assert other.wait(10)

    with TerminalProgress() as progress:
        with progress.stage("outside"):
            threads = [
                threading.Thread(target=work, args=(progress, *events))
                for events in ((first, second), (second, first))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        with progress.stage("behind"):
            pass
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["outside", "behind"]


@tried(
    14, "`info --json` of a report that holds control characters", "the same document, in ASCII without any"
)
def test_json_is_ascii(tmp_path: Path) -> None:
    report = made_up_report()
    named = report.model_copy(
        update={"model": report.model.model_copy(update={"name": "é\x9b\u202e\U000e0041\x7f"})}
    )
    write_report(named, tmp_path)
    said = CliRunner().invoke(app, ["info", str(tmp_path), "--json"]).stdout
    assert said.isascii()
    assert all(char.isprintable() or char == "\n" for char in said)
    assert Report.model_validate(json.loads(said)) == named


def test_what_is_seen_stays_as_it_is() -> None:
    assert visible("a b\u00a0c\n") == "a b\u00a0c\n"
    assert visible("") == ""


class Failing(io.StringIO):
    """A stream on a full disk, or whose reader is gone."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def write(self, _text: str) -> int:
        raise OSError(self.code, os.strerror(self.code))


@tried(14, "a standard error that cannot be written", "the command goes on without it")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO])
def test_progress_that_nobody_takes_is_no_failure(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Failing(code))
    with TerminalProgress() as progress, progress.stage("work"):
        pass
    say("something must be otherwise")


@tried(14, "a standard output that cannot be written", "a sentence that says why, and status 1")
def test_result_that_nobody_takes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Failing(errno.EIO))
    with pytest.raises(
        OutputError, match=r"^the standard output must take what is printed: Input/output error$"
    ):
        console.stdout().print("result")
