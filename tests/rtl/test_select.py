"""`SelectUnit`: its cocotb bench and its lint."""

from __future__ import annotations

from helpers.bench import run_bench

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.select import SelectUnit
from spikesim.rtl.verilog import WAIVERS, verilog
from spikesim.tools import verilator


def test_bench():
    run_bench(SelectUnit(CoreConfig()), "select_top", "select_top")


def test_lint(tmp_path):
    source = tmp_path / "select_top.v"
    source.write_text(verilog(SelectUnit(CoreConfig()), "select_top"))
    assert verilator.lint([source], "select_top", waived=[waiver.code for waiver in WAIVERS]) == []
