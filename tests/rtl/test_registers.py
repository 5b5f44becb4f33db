"""The register map that other tools read: SystemRDL, C header and IP-XACT say what the table says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from systemrdl import RDLCompiler
from systemrdl.node import AddrmapNode
from systemrdl.rdltypes import AccessType, OnWriteType

from spikesim.errors import ToolError
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.registers import REGISTERS, Access, constants
from spikesim.rtl.host.systemrdl import systemrdl
from spikesim.tools.peakrdl import run_peakrdl
from spikesim.verify.integration import write_registers

CONFIG = CoreConfig(ways=4, lanes=20, order="row", skew=0, context=77, vector_depth=1234, state_depth=0)
RESET = {**constants(CONFIG), "CONTEXT": 77}
FIELDS = [(register, field) for register in REGISTERS for field in register.fields]

Row = tuple[str, str, int, int, int, Access, int]
"""Register, field, address, lowest bit, bits, access, value after a reset."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map")
    write_registers(path, CONFIG)
    return path / "registers"


def expected() -> list[Row]:
    """The table's rows."""
    return [
        (r.name, f.name, r.offset, f.low, f.width, f.access, RESET.get(r.name, 0) >> f.low & 2**f.width - 1)
        for r, f in FIELDS
    ]


def compiled(path: Path) -> AddrmapNode:
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate().top


def test_systemrdl_says_what_the_table_says(folder: Path) -> None:
    """Addresses, bits, access and resets, as a compiler of SystemRDL understands them."""
    kinds: dict[tuple[AccessType, OnWriteType | None], Access] = {
        (AccessType.r, None): "R",
        (AccessType.w, None): "W",
        (AccessType.rw, None): "RW",
        (AccessType.rw, OnWriteType.woclr): "C",
    }
    top = compiled(folder / "spike_core.rdl")
    found = [
        (
            register.inst_name,
            field.inst_name,
            register.absolute_address,
            field.low,
            field.width,
            kinds[field.get_property("sw"), field.get_property("onwrite")],
            field.get_property("reset"),
        )
        for register in top.registers()
        for field in register.fields()
    ]
    assert found == expected()
    assert {register.get_property("regwidth") for register in top.registers()} == {32}
    described = [field.get_property("desc") for register in top.registers() for field in register.fields()]
    assert described == [field.meaning for _, field in FIELDS]


def test_ip_xact_says_what_the_table_says(folder: Path) -> None:
    """The same, and which component it is of."""
    space = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
    root = ElementTree.parse(folder / "spike_core.xml").getroot()

    def text(node: ElementTree.Element, name: str) -> str:
        return node.findtext(f"x:{name}", "", space)

    def number(node: ElementTree.Element, name: str) -> int:
        digits = text(node, name)
        return int(digits.removeprefix("'h"), 16 if digits.startswith("'h") else 10)

    kinds: dict[tuple[str, str], Access] = {
        ("read-only", ""): "R",
        ("write-only", ""): "W",
        ("read-write", ""): "RW",
        ("read-write", "oneToClear"): "C",
    }
    found = [
        (
            text(register, "name"),
            text(field, "name"),
            number(register, "addressOffset"),
            number(field, "bitOffset"),
            number(field, "bitWidth"),
            kinds[text(field, "access"), text(field, "modifiedWriteValue")],
            number(field, "resets/x:reset/x:value"),
        )
        for register in root.iterfind(".//x:register", space)
        for field in register.iterfind("x:field", space)
    ]
    assert found == expected()
    assert [text(root, name) for name in ("vendor", "library", "name", "version")] == [
        "spikesim",
        "spikesim",
        "spike_core",
        "2.0",
    ]


def test_the_header_says_what_the_table_says(folder: Path, tmp_path: Path) -> None:
    """As a C compiler understands it: offsets in the structure, masks, positions, widths and resets."""
    names = [f"SPIKE_CORE__{register.name}__{field.name.upper()}" for register, field in FIELDS]
    lines = [
        f'printf("%zu %u %u %u %u\\n", offsetof(spike_core_t, {register.name}), '
        f"(unsigned){name}_bm, (unsigned){name}_bp, (unsigned){name}_bw, (unsigned){name}_reset);"
        for name, (register, _) in zip(names, FIELDS, strict=True)
    ]
    program = ['#include "spike_core.h"', "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    (tmp_path / "print.c").write_text("\n".join([*program, *lines, "}", ""]))
    command = ["gcc", "-Wall", "-Werror", "-I", str(folder), "print.c", "-o", "print"]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, text=True, check=True).stdout
    found = [tuple(map(int, line.split())) for line in printed.splitlines()]
    assert found == [
        (address, (2**bits - 1) << low, low, bits, reset) for _, _, address, low, bits, _, reset in expected()
    ]


def test_registers_follow_the_configuration() -> None:
    """Another core's map differs in its resets alone."""
    ours, theirs = (systemrdl(config).splitlines() for config in (CONFIG, CoreConfig()))
    differing = [a for a, b in zip(ours, theirs, strict=True) if a != b]
    assert "} context[17:0] = 18'h4d;" in " ".join(differing)
    assert all(line.lstrip().startswith("} ") for line in differing)


def test_a_map_that_is_refused(tmp_path: Path) -> None:
    """One sentence says what PeakRDL says; another one, that an exporter is missing."""
    (tmp_path / "map.rdl").write_text("addrmap map { reg { field {} a[0] = 2; } A @ 0; };")
    says = r"PeakRDL must accept the register map, but c-header failed: map\.rdl:1:30: fatal: "
    with pytest.raises(ToolError, match=says):
        run_peakrdl(tmp_path, ["c-header", "map.rdl", "-o", "map.h"])
    with pytest.raises(ToolError, match="PeakRDL must be installed with its exporter other"):
        run_peakrdl(tmp_path, ["other", "map.rdl", "-o", "map"])
