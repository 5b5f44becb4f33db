"""`spikesim info` of files that are no reports and no models: one sentence, exit status 1, and little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.made_up_report import made_up_report
from helpers.torch_files import Call, Storage, save, tensor, write_pt
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.cli.app import app

WHOLE = made_up_report().model_dump_json()

GIBIBYTE = 2**30


def refused(path: Path) -> str:
    result = CliRunner().invoke(app, ["info", str(path)], env={"COLUMNS": "160"})
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit | None)
    (line,) = result.stderr.splitlines()
    return line


DAMAGED: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: path.write_text(""),
    "half": lambda path: path.write_text(WHOLE[: len(WHOLE) // 2]),
    "a list": lambda path: path.write_text("[]"),
    "another version": lambda path: path.write_text('{"model": {}}'),
    "one key more": lambda path: path.write_text('{"colour": 1,' + WHOLE[1:]),
    "a key twice": lambda path: path.write_text('{"model": {},' + WHOLE[1:]),
    "deep": lambda path: path.write_text("[" * 100_000),
    "many values": lambda path: path.write_text("[" + "0," * 1_000_000 + "0]"),
    "NaN": lambda path: path.write_text('{"model": NaN}'),
    "bytes": lambda path: path.write_bytes(b"\xff\x00"),
    "UTF-16": lambda path: path.write_text(WHOLE, encoding="utf-16"),
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a gigabyte": lambda path: path.touch() or os.truncate(path, GIBIBYTE),
}


@tried(13, "a damaged report.json, or what is none", "one sentence names it")
@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_report(damage: Callable[[Path], object], tmp_path: Path) -> None:
    damage(tmp_path / "report.json")
    assert f"{tmp_path / 'report.json'} must be " in refused(tmp_path)


@tried(13, "a byte-order mark before report.json", "it is no part of it")
def test_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("\ufeff" + WHOLE, encoding="utf-8")
    result = CliRunner().invoke(app, ["info", str(tmp_path), "--json"])
    assert json.loads(result.stdout) == json.loads(WHOLE)


@tried(12, "bombs in a .pt file, from the command line", "each ends in a sentence within half a gigabyte")
def test_bombs_take_little_memory(tmp_path: Path) -> None:
    references: object = 0
    for _ in range(60):
        references = [references, references]
    norm = tensor(Storage("0", 1), (10**9,), (0,))
    bombs = {
        "references": {"config": {"model_type": references}, "state_dict": {}},
        "rows": {"config": {"model_type": "sse_swa_moba"}, "state_dict": {"model.norm.weight": norm}},
        "array": {"config": Call("__builtin__ bytearray", 10**11), "state_dict": {}},
    }
    for name, content in bombs.items():
        path = write_pt(tmp_path / f"{name}.pt", save(content), {"0": bytes(4)})
        assert path.stat().st_size < 25_000
        refused(path)
    # The peak of its own memory: what a parent is told of a child includes what the parent had when it started it.
    script = (
        "import atexit, re; from pathlib import Path; from spikesim.cli import main\n"
        "atexit.register(lambda: print(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1]))\n"
        "main()"
    )
    command = [sys.executable, "-c", script, "info", tmp_path / "references.pt"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert (
        "model_type must be 'sse_swa_moba', the only supported value, not [[[...], [...]], [[..."
        in run.stderr
    )
    assert int(run.stdout) * 1024 < GIBIBYTE // 2
