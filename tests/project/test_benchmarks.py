"""Every benchmark still runs: once each, in its small size, whose figures say nothing and are not judged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bars import Bars
from helpers.places import CHECKOUT

BENCHMARKS = CHECKOUT / "benchmarks"


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("bench_*.py")), ids=lambda script: script.stem)
def test_runs_in_its_small_size(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--small"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "bar:" not in done.stdout


def test_spikes_are_compared_with_what_tools_there_are(tmp_path: Path) -> None:
    graph = CHECKOUT / "tests" / "vectors" / "nir" / "snntorch_recurrent.nir"
    command = [sys.executable, str(BENCHMARKS / "nir_tools.py"), str(graph), "--output", str(tmp_path)]
    command += ["--samples", "2", "--steps", "12", "--rate", "0.5", "--only", "norse"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table] == ["| tool", "| float", "| float", "| norse"]
    assert all(line.count("all |") == 2 for line in table[1:3])
    assert "ModuleNotFoundError: No module named 'norse'" in table[3]


def test_missed_bar_is_named_with_its_figure(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(judged=True)
    bars.at_least("speed", 2.0, 1.0)
    bars.at_most("time", 3.0, 2.5)
    with pytest.raises(SystemExit, match=r"^missed: time: 3\.00, must be at most 2\.50$"):
        bars.close()
    assert [line.endswith("MISSED") for line in capsys.readouterr().out.splitlines()] == [False, True]


def test_small_run_misses_nothing() -> None:
    bars = Bars(judged=False)
    bars.at_least("speed", 0.0, 1.0)
    bars.close()
