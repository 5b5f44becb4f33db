"""`PointwiseUnit`: its cocotb bench and those of its rounding shifter and normaliser, its lint."""

from __future__ import annotations

import pytest
from helpers.bench import run_bench

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import PointwiseOperation
from spikesim.rtl.pointwise.normalise import Normaliser
from spikesim.rtl.pointwise.rounding import RoundingShifter
from spikesim.rtl.pointwise.unit import PointwiseUnit
from spikesim.rtl.verilog import WAIVERS, verilog
from spikesim.tools import verilator

OPERATIONS = [f"operation/name={number}" for number, _ in enumerate(PointwiseOperation)]
UNIT_TESTS = [*OPERATIONS, "long_runs", "mixed", "chained", "all_silent", "reset_in_the_middle"]


@pytest.mark.parametrize(
    ("words", "target"),
    [(4, "asic"), (1, "asic"), pytest.param(16, "asic", marks=pytest.mark.more), (2, "fpga")],
)
def test_bench(words, target):
    """On an FPGA tables and multipliers have their registers elsewhere: the same words in the same cycles."""
    run_bench(
        PointwiseUnit(CoreConfig(pointwise_words=words, target=target)),
        f"pointwise_{words}_{target}",
        "pointwise",
        environment={"BENCH_WORDS": str(words)},
        testcases=UNIT_TESTS,
    )


def test_rounding_shifter():
    run_bench(
        RoundingShifter(width=51, bits=48),
        "rounding_shifter",
        "pointwise",
        environment={"BENCH_WORDS": "1"},
        testcases=["rounding_shifter"],
    )


def test_normaliser():
    run_bench(
        Normaliser(),
        "normaliser",
        "pointwise",
        environment={"BENCH_WORDS": "1"},
        testcases=["normaliser"],
    )


def test_lint(tmp_path):
    source = tmp_path / "pointwise.v"
    source.write_text(verilog(PointwiseUnit(CoreConfig()), "pointwise"))
    assert verilator.lint([source], "pointwise", waived=[waiver.code for waiver in WAIVERS]) == []
