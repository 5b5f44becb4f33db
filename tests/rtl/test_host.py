"""`Host`: its cocotb bench on several cores, its lint, its register table."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers.bench import run_bench

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.registers import REGISTERS, register_table
from spikesim.rtl.host.unit import Host
from spikesim.rtl.verilog import WAIVERS, verilog
from spikesim.tools import verilator

CORES = {
    "host": CoreConfig(),
    "host_smallest": CoreConfig(ways=1, lanes=1, dense=True, order="row", coding="ternary"),
    "host_largest": CoreConfig(ways=64, lanes=256, order="window", row_planes=7, coding="signed_digit"),
}


@pytest.mark.parametrize("name", CORES)
def test_bench(name):
    config = CORES[name]
    run_bench(Host(config), name, "host", environment={"BENCH": json.dumps(dataclasses.asdict(config))})


@pytest.mark.parametrize("name", CORES)
def test_lint(name, tmp_path):
    source = tmp_path / f"{name}.v"
    source.write_text(verilog(Host(CORES[name]), name))
    assert verilator.lint([source], name, waived=[waiver.code for waiver in WAIVERS]) == []


def test_registers_have_names_and_addresses_of_their_own():
    assert len({register.name for register in REGISTERS}) == len(REGISTERS)
    assert len({register.offset for register in REGISTERS}) == len(REGISTERS)
    assert all(register.offset % 4 == 0 for register in REGISTERS)


def test_table_lists_every_register():
    table = register_table().splitlines()
    assert len(table) == 2 + len(REGISTERS)
    assert all(line.count(" | ") == 3 for line in table[2:])
