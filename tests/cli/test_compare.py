"""`spikesim compare` and `spikesim map --power`: what they hand on, print and refuse; they leave all or nothing."""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import made_up_report as made_up
from helpers.interrupted import SIGNALS, interrupted
from helpers.tried import tried
from typer.testing import CliRunner, Result

from spikesim.cli.app import app
from spikesim.errors import CheckpointError, LibertyError, ToolError
from spikesim.hardware import HardwareConfig
from spikesim.results.report import Report
from spikesim.run.tokens import InputRequest
from spikesim.support.files import MARKER


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Stands in for `CompareSettings`."""

    quick: bool = False
    use_cache: bool = True


class Work:
    """Stands in for mapping, simulating and comparing: remembers what it was given, or fails as told."""

    def __init__(self) -> None:
        self.mapped: list[dict[str, Any]] = []
        self.simulated: list[dict[str, Any]] = []
        self.compared: list[dict[str, Any]] = []
        self.checked: list[Path | None] = []
        self.failure: BaseException | None = None
        self.hardware = HardwareConfig().replace(**{"numerics.coding": "signed_digit", "array.ways": 8})

    def map_model(self, model: Path, *, output: Path, **arguments: Any) -> Report:
        if not model.exists():
            raise CheckpointError(f"{model} does not exist")
        (output / "compiled.json").write_text("{}")
        self.mapped.append({"model": model, "output": output, **arguments})
        return made_up.made_up_report().model_copy(update={"command": arguments["command"]})

    def simulate_mapping(self, folder: Path, **arguments: Any) -> Report:
        self.simulated.append({"folder": folder, **arguments})
        return made_up.made_up_report().model_copy(update={"command": arguments["command"]})

    def open_compiled(self, folder: Path) -> SimpleNamespace:
        return SimpleNamespace(text=SimpleNamespace(hardware=self.hardware))

    def add_comparison(self, report: Report, folder: Path, **arguments: Any) -> Report:
        assert (folder / "compiled.json").is_file()
        self.compared.append({"folder": folder, **arguments})
        with arguments["progress"].stage("synthesis", 2) as advance:
            advance()
            if self.failure is not None:
                raise self.failure
        return made_up.compared(report).model_copy(update={"command": report.command})


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Work:
    fake = Work()
    flow = SimpleNamespace(
        map_model=fake.map_model,
        simulate_mapping=fake.simulate_mapping,
    )
    monkeypatch.setitem(sys.modules, "spikesim.flow", flow)  # type: ignore[arg-type]
    monkeypatch.setattr("spikesim.program.compiled.open_compiled", fake.open_compiled)
    compare = SimpleNamespace(add_comparison=fake.add_comparison, CompareSettings=Settings)
    monkeypatch.setitem(sys.modules, "spikesim.compare", compare)  # type: ignore[arg-type]
    for module in ("compare", "map_model"):
        monkeypatch.setattr(
            f"spikesim.cli.{module}.check_tools", lambda liberty, **_: fake.checked.append(liberty)
        )
    monkeypatch.setattr("spikesim.report.html.render", lambda report: f"a page about {report.model.name}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pt").write_bytes(b"weights")
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `spikesim map` leaves it, as far as the command looks at it."""
    path = tmp_path / "mapped"
    path.mkdir()
    (path / "compiled.json").write_text("{}")
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})


def sentence(result: Result, code: int = 1) -> str:
    """The one line that tells what went wrong."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("try: ")]
    assert len(lines) == 1, result.stderr
    assert not result.stdout
    return lines[0].removeprefix("spikesim: ")


def left(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.iterdir()}


def test_compare_writes_everything_and_prints_the_bases(work: Work, tmp_path: Path) -> None:
    result = run("compare", "m.pt", "-o", "out")
    assert result.exit_code == 0, result.output
    assert left(tmp_path / "out") == {"compiled.json", "report.json", "report.html", MARKER}
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report.comparison is not None
    assert report.command == "spikesim compare m.pt -o out"
    shown = result.stdout
    assert "Spiking against dense INT8, 500 MHz, NangateOpenCellLibrary" in shown
    assert re.search(r"per unit +−72\.7 % +−79\.0 % +−79\.0 % +1\.00 ×", shown)
    assert re.search(r"array and encoder at equal throughput +−37\.6 % +−51\.6 % +−51\.6 % +1\.41 ×", shown)
    assert re.search(r"whole core with memories +−1\.1 % +−17\.9 %", shown)
    plain = " ".join(shown.split())
    assert plain.count("as many cycles") == 1
    assert "The clock of 500 MHz is not met: worst slack −0.12 ns on the path from align/shift[3]" in plain
    assert shown.splitlines()[-1] == "report: out/report.html"
    assert "synthesis:" in result.stderr


def test_compare_hands_everything_on(work: Work, tmp_path: Path) -> None:
    (tmp_path / "hw.toml").write_text("[array]\nways = 4\n[clock]\nfrequency_hz = 100_000_000\n")
    words = ("--hardware", "hw.toml", "--clock-mhz", "312.5", "--liberty", "cells.lib", "--quick")
    numbers = ("--coding", "ternary", "--threshold-k", "2", "--window", "5", "--calibration", "c.txt")
    inputs = ("--text", "t.txt", "--max-tokens", "99", "--sequence-length", "33", "--seed", "3")
    assert run("compare", "m.pt", *words, *numbers, *inputs, "--no-cache").exit_code == 0
    expected = HardwareConfig().replace(
        **{
            "array.ways": 4,
            "clock.frequency_hz": 312_500_000,
            "numerics.coding": "ternary",
            "numerics.threshold_k": 2.0,
            "numerics.window": 5,
        }
    )
    (mapped,), (compared,) = work.mapped, work.compared
    assert mapped["hardware"] == compared["hardware"] == expected
    assert mapped["request"] == InputRequest(
        text=Path("t.txt"), max_tokens=99, sequence_length=33, seed=3, tokens=None, random_tokens=None
    )
    assert mapped["calibration"] == Path("c.txt")
    assert compared["folder"] == mapped["output"]
    assert compared["liberty"] == Path("cells.lib")
    assert compared["settings"] == Settings(quick=True, use_cache=False)
    assert work.checked == [Path("cells.lib")]


def test_compare_without_options(work: Work, tmp_path: Path) -> None:
    assert run("compare", "m.pt").exit_code == 0
    (compared,) = work.compared
    assert compared["settings"] == Settings(quick=False, use_cache=True)
    assert compared["liberty"] is None
    assert compared["hardware"] == HardwareConfig()
    assert (tmp_path / "m-compare" / "report.html").is_file()


def test_compare_of_a_mapped_folder_keeps_its_numbers(work: Work, folder: Path, tmp_path: Path) -> None:
    assert run("compare", folder, "-o", "out", "--clock-mhz", "250").exit_code == 0
    (simulated,), (compared,) = work.simulated, work.compared
    assert not work.mapped
    assert compared["folder"] == simulated["folder"] == folder
    assert compared["hardware"] == simulated["hardware"]
    assert compared["hardware"] == work.hardware.replace(**{"clock.frequency_hz": 250_000_000})
    assert left(tmp_path / "out") == {"report.json", "report.html", MARKER}
    assert left(folder) == {"compiled.json"}


def test_compare_of_a_mapped_folder_on_other_hardware(work: Work, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "hw.toml").write_text("[array]\nways = 32\n")
    assert run("compare", folder, "--hardware", "hw.toml").exit_code == 0
    hardware = work.compared[0]["hardware"]
    assert hardware.array.ways == 32
    assert hardware.numerics == work.hardware.numerics


@pytest.mark.parametrize(
    "words", [("--coding", "ternary"), ("--threshold-k", "2"), ("--window", "3"), ("--calibration", "c.txt")]
)
def test_numbers_of_a_mapped_folder_cannot_be_changed(
    work: Work, folder: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    message = sentence(run("compare", folder, "-o", "out", *words), 2)
    assert message.startswith(f"Invalid value: {words[0]} has no effect on")
    assert not work.compared
    assert left(tmp_path) == {"mapped", "m.pt"}


def test_a_mapped_folder_is_not_replaced_by_its_own_report(work: Work, folder: Path) -> None:
    (folder / MARKER).write_text("# Written by spikesim.\ncompiled.json\n")
    message = sentence(run("compare", folder, "-o", folder, "--force"))
    assert "another folder" in message
    assert left(folder) == {"compiled.json", MARKER}


@tried(
    4,
    "`compare` of a mapping with a text or tokens of its own",
    "the netlists run them too, not what was mapped",
)
def test_a_mapped_folder_is_compared_on_what_is_given(work: Work, folder: Path) -> None:
    assert run("compare", folder, "-o", "out", "--text", "t.txt", "--max-tokens", "9").exit_code == 0
    assert run("compare", "m.pt", "-o", "other", "--text", "t.txt").exit_code == 0
    (simulated,), (compared, after_map) = work.simulated, work.compared
    assert compared["request"] == simulated["request"] == InputRequest(text=Path("t.txt"), max_tokens=9)
    assert after_map["request"] == InputRequest()  # what has just been mapped


def test_map_power_is_map_with_the_comparison(work: Work, tmp_path: Path) -> None:
    result = run("map", "m.pt", "-o", "out", "--power", "--liberty", "cells.lib", "--clock-mhz", "400")
    assert result.exit_code == 0, result.output
    (compared,) = work.compared
    assert compared["settings"] == Settings()
    assert compared["liberty"] == Path("cells.lib")
    assert compared["hardware"].clock.frequency_hz == 400_000_000
    assert "per unit" in result.stdout
    assert work.checked == [Path("cells.lib")]


def test_map_without_power_compares_nothing(work: Work) -> None:
    result = run("map", "m.pt", "-o", "out", "--clock-mhz", "400")
    assert result.exit_code == 0
    assert not work.compared
    assert not work.checked
    assert "Area and power are not in this comparison" in " ".join(result.stdout.split())
    assert work.mapped[0]["hardware"].clock.frequency_hz == 400_000_000


def test_a_liberty_file_without_power_is_a_mistake(work: Work) -> None:
    assert "--liberty goes with --power" in sentence(run("map", "m.pt", "--liberty", "cells.lib"), 2)
    assert not work.mapped


@pytest.mark.parametrize("command", [("compare",), ("map", "--power")])
@pytest.mark.parametrize("clock", ["0", "-500", "nan", "inf", "1e6", "0.0001", "fast"])
def test_clocks_that_are_none(work: Work, tmp_path: Path, command: tuple[str, ...], clock: str) -> None:
    message = sentence(run(command[0], "m.pt", *command[1:], "--clock-mhz", clock), 2)
    assert "--clock-mhz" in message
    assert not work.mapped
    assert left(tmp_path) == {"m.pt"}


def test_a_model_that_is_not_there(work: Work, tmp_path: Path) -> None:
    assert "absent.pt does not exist" in sentence(run("compare", "absent.pt", "-o", "out"))
    assert left(tmp_path) == {"m.pt"}


def test_an_earlier_result_stays_unless_forced(work: Work, tmp_path: Path) -> None:
    assert run("compare", "m.pt", "-o", "out").exit_code == 0
    assert "--force" in sentence(run("compare", "m.pt", "-o", "out"))
    assert len(work.mapped) == 1
    assert run("compare", "m.pt", "-o", "out", "--force").exit_code == 0


def test_an_output_that_cannot_be_written(work: Work, tmp_path: Path) -> None:
    assert "m.pt" in sentence(run("compare", "m.pt", "-o", "m.pt/out"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert "thesis.txt" in sentence(run("compare", "m.pt", "-o", "mine", "--force"))
    assert not work.mapped


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (ToolError("Yosys failed: out of memory"), 1, "Yosys failed"),
        (LibertyError("cell DFF_X1 must have a setup table"), 1, "DFF_X1"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        (MemoryError(), 1, "not enough memory"),
    ],
)
@pytest.mark.parametrize("command", [("compare",), ("map", "--power")])
def test_a_failure_of_the_comparison_leaves_nothing(
    work: Work, tmp_path: Path, command: tuple[str, ...], failure: BaseException, code: int, message: str
) -> None:
    work.failure = failure
    result = run(command[0], "m.pt", "-o", "deep/out", *command[1:])
    assert message in sentence(result, code)
    assert work.compared
    assert left(tmp_path) == {"m.pt"}


def test_info_shows_the_bases_again(work: Work) -> None:
    assert run("compare", "m.pt", "-o", "out").exit_code == 0
    shown = run("info", "out").stdout
    assert "made by: spikesim compare m.pt -o out" in shown
    assert re.search(r"per unit +−72\.7 %", shown)


def test_help_has_the_options_in_their_panels() -> None:
    shown = run("compare", "--help").stdout
    for word in ("--hardware", "--clock-mhz", "--liberty", "--quick", "--no-cache", "--force", "--text"):
        assert word in shown
    assert "Area and power" in shown
    assert "--power" in run("map", "--help").stdout
    assert re.search(r"\bcompare\b", run("--help").stdout)


# The tools, for real


def test_a_missing_liberty_file_is_said_before_any_work(tmp_path: Path) -> None:
    result = run("compare", tmp_path / "m.pt", "-o", tmp_path / "out", "--liberty", tmp_path / "absent.lib")
    assert re.search(r"absent\.lib cannot be read", sentence(result))
    assert not left(tmp_path)


def test_a_file_that_is_no_library_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "cells.lib").write_text("module nand2(a, b, y);")
    result = run(
        "map", tmp_path / "m.pt", "-o", tmp_path / "out", "--power", "--liberty", tmp_path / "cells.lib"
    )
    assert "cells.lib" in sentence(result)
    assert left(tmp_path) == {"cells.lib"}


def test_missing_yosys_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyosys", None)
    result = run("compare", tmp_path / "m.pt", "-o", tmp_path / "out")
    assert "pip install 'pyosys>=0.70'" in sentence(result)
    assert not left(tmp_path)


def test_an_unwritable_cache_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SPIKESIM_CACHE", str(tmp_path / "file" / "cache"))
    for command in (["compare"], ["map", "--power"]):
        result = run(*command, tmp_path / "m.pt", "-o", tmp_path / "out")
        assert re.search(r"SPIKESIM_CACHE names another folder for what is kept", sentence(result))
    assert "CACHEDIR.TAG" not in sentence(
        run("compare", tmp_path / "m.pt", "-o", tmp_path / "out", "--no-cache")
    )
    assert left(tmp_path) == {"file"}


SLOW = """
import sys, time, types
from pathlib import Path
def map_model(model, *, output, **arguments):
    (output / "compiled.json").write_text("{}")
def add_comparison(report, folder, *, progress, **arguments):
    with progress.stage("synthesis", 10):
        print("ready", flush=True)
        time.sleep(60)
sys.modules["spikesim.flow"] = types.SimpleNamespace(
    map_model=map_model, simulate_mapping=None
)
sys.modules["spikesim.compare"] = types.SimpleNamespace(
    add_comparison=add_comparison, CompareSettings=lambda **settings: None
)
import spikesim.cli.compare
spikesim.cli.compare.check_tools = lambda liberty, **_: None
from spikesim.cli import main
main()
"""


@tried(11, "SIGINT, SIGTERM or SIGHUP in the midst of `compare`", "exit 130, 143 or 129; nothing is left")
@SIGNALS
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int, said: str) -> None:
    assert interrupted(SLOW, ["compare", "m.pt", "-o", "out/deep"], tmp_path, number) == (code, said)
    assert not left(tmp_path)
