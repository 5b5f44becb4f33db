"""`spikesim info` of a folder whose report is not what `spikesim map` wrote: one sentence, nothing else."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.made_up_report import made_up_report
from helpers.tried import tried
from typer.testing import CliRunner, Result

from spikesim.cli.app import app
from spikesim.report.document import to_json


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(to_json(made_up_report()), encoding="utf-8")
    return path


def info(report: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["info", str(report.parent), *options], env={"COLUMNS": "160"})


def _changed(**fields: Any) -> Callable[[Path], object]:
    """Writes the report with some fields changed, named as in "model__parameters"."""

    def change(path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        for name, value in fields.items():
            *above, last = name.split("__")
            place = document
            for key in above:
                place = place[key]
            place[last] = value
        path.write_text(json.dumps(document), encoding="utf-8")

    return change


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _become(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def become(path: Path) -> None:
        path.unlink()
        make(path)

    return become


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


def _case(
    what: str, change: Callable[[Path], object], message: str = "must be a report of this version"
) -> Any:
    row = tried(13, f"a `report.json` that is {what}, for `info`", "one sentence that names the file")
    return pytest.param(change, message, marks=row, id=what)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        _case("empty", _bytes(b"")),
        _case("cut in the middle", lambda path: path.write_bytes(path.read_bytes()[:999])),
        _case("of another schema version", _changed(schema_version=3)),
        _case("another JSON document", _bytes(b"[1, 2]")),
        _case("of wrong types", _changed(model__parameters="many")),
        _case("of unknown fields", _changed(model__colour="red")),
        _case("not finite", _changed(cycles__per_token__spiking=float("nan"))),
        _case(
            "beyond every float", lambda path: path.write_bytes(path.read_bytes().replace(b"0.5", b"1e999"))
        ),
        _case("of integers beyond every float", _changed(cores__used=10**400)),
        _case("of integers of 5,000 digits", _bytes(b'{"schema_version": 1' + b"0" * 5000 + b"}")),
        _case("nested 100,000 times", _bytes(b"[" * 100_000)),
        _case(
            "in UTF-16", lambda path: path.write_bytes(path.read_text("utf-8").encode("utf-16")), "not UTF-16"
        ),
        _case("not in UTF-8", _bytes(b'{"a": "\xff"}'), "must be UTF-8 text, not hold byte 0xff"),
        _case("a folder", _become(Path.mkdir), "a regular file, not a folder"),
        _case("a named pipe", _become(os.mkfifo), "a regular file, not a pipe"),
        _case("a link to itself", _become(lambda path: path.symlink_to(path)), "cannot be read"),
        _case("a link to nothing", _become(lambda path: path.symlink_to("absent")), "cannot be read"),
        _case("a gigabyte", _become(_sparse), "of at most"),
    ],
)
def test_damaged_report(
    change: Callable[[Path], object], message: str, options: list[str], report: Path
) -> None:
    change(report)
    result = info(report, *options)
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spikesim: {report} ")
    assert message in line
    assert not result.stdout


@tried(13, "a byte-order mark before a `report.json`", "the report is read")
def test_byte_order_mark_before_a_report(report: Path) -> None:
    report.write_bytes(codecs.BOM_UTF8 + report.read_bytes())
    assert info(report).stdout.startswith(made_up_report().model.name)
