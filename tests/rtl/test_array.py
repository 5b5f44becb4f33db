"""`ArrayUnit` in many shapes: its cocotb bench, and its lint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.bench import run_bench

from spikesim.errors import HardwareError
from spikesim.hardware import HardwareConfig
from spikesim.rtl.array.unit import ArrayUnit
from spikesim.rtl.config import CoreConfig, core_config
from spikesim.rtl.verilog import WAIVERS, verilog
from spikesim.tools import verilator

SMALL: dict[str, Any] = {
    "row_depth": 128,
    "state_depth": 128,
    "encoder_rows": 24,
    "scatter_rows": 12,
    "blocks": 5,
}

SHAPES: dict[str, dict[str, Any]] = {
    "plane_bitwise": {
        "ways": 8,
        "lanes": 4,
        "coding": "bitwise",
        "scan_bits": 8,
        "encoder_rows": 20,
        "load_width": 4,
        "drain_width": 2,
    },
    "plane_signed": {
        "ways": 2,
        "lanes": 4,
        "coding": "signed_digit",
        "scan_bits": 2,
        "drain_width": 1,
        "state_banks": 1,
    },
    "plane_twos": {
        "ways": 1,
        "lanes": 1,
        "coding": "twos_complement",
        "scan_bits": 1,
        "encoder_rows": 30,
        "skew": 0,
    },
    "plane_ternary": {
        "ways": 4,
        "lanes": 2,
        "coding": "ternary",
        "scan_bits": 4,
        "accumulator_bits": 18,
        "load_width": 1,
        "state_banks": 64,
    },
    "row_bitwise": {
        "ways": 4,
        "lanes": 4,
        "order": "row",
        "coding": "bitwise",
        "scan_bits": 8,
        "accumulator_bits": 48,
        "state_banks": 1,
    },
    "row_signed": {
        "ways": 8,
        "lanes": 4,
        "order": "row",
        "coding": "signed_digit",
        "accumulator_bits": 16,
        "drain_width": 2,
        "state_banks": 4,
    },
    "row_ternary": {"ways": 4, "lanes": 4, "order": "row", "coding": "ternary", "load_width": 2},
    "row_twos": {
        "ways": 2,
        "lanes": 8,
        "order": "row",
        "coding": "twos_complement",
        "load_width": 1,
        "drain_width": 4,
    },
    "window_signed": {"ways": 8, "lanes": 4, "order": "window", "coding": "signed_digit"},
    "window_bitwise": {
        "ways": 4,
        "lanes": 4,
        "order": "window",
        "row_planes": 5,
        "coding": "bitwise",
        "accumulator_bits": 48,
    },
    "window_twos": {
        "ways": 2,
        "lanes": 8,
        "order": "window",
        "row_planes": 7,
        "coding": "twos_complement",
        "encoder_rows": 32,
        "scan_bits": 1,  # nothing is scanned: blocks then must not leave room for whole words either
    },
    "window_single": {"ways": 1, "lanes": 1, "order": "window", "row_planes": 6, "coding": "signed_digit"},
    "window_ternary": {"ways": 4, "lanes": 4, "order": "window", "coding": "ternary"},
    "dense": {"ways": 16, "lanes": 8, "dense": True, "state_banks": 4},
    "dense_skip": {
        "ways": 4,
        "lanes": 4,
        "dense": True,
        "skip_zeros": True,
        "load_width": 2,
        "drain_width": 2,
        "state_banks": 1,
    },
    "dense_small": {"ways": 1, "lanes": 2, "dense": True, "coding": "ternary", "drain_width": 1},
}


def unit(shape: str) -> tuple[ArrayUnit, dict[str, Any]]:
    settings = {**SMALL, **SHAPES[shape]}
    return ArrayUnit(CoreConfig(**settings)), settings


MORE = {
    "plane_signed",
    "plane_ternary",
    "row_ternary",
    "row_twos",
    "window_twos",
    "window_bitwise",
    "window_ternary",
    "dense_small",
}
"""Shapes that `make more` builds, and `make test` does not."""


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=[pytest.mark.more] * (shape in MORE)) for shape in SHAPES]
)
def test_bench(shape):
    component, settings = unit(shape)
    run_bench(component, f"array_{shape}", "array", environment={"BENCH": json.dumps({"config": settings})})


@pytest.mark.parametrize("shape", ["plane_bitwise", "row_signed", "window_signed", "dense", "dense_skip"])
def test_lint(tmp_path, shape):
    source = tmp_path / "array_unit.v"
    source.write_text(verilog(unit(shape)[0], "array_unit"))
    assert verilator.lint([source], "array_unit", waived=[waiver.code for waiver in WAIVERS]) == []


def test_only_the_dense_twin_skips_zeros():
    hardware = HardwareConfig()
    assert core_config(hardware, dense=True, skip_zeros=True).skip_zeros
    with pytest.raises(HardwareError, match="dense"):
        core_config(hardware, skip_zeros=True)
