"""FPGAs: plain Yosys makes block RAM of every memory and table, and reads the core as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.lib import wiring
from helpers.tried import tried

from spikesim.errors import HardwareError
from spikesim.hardware import HardwareConfig
from spikesim.rtl.array.unit import ArrayUnit
from spikesim.rtl.config import CoreConfig, core_config, datapath
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.devices import ECP5, Shape, blocks, blocks_of, check_device, memories, sized
from spikesim.rtl.memory import Ram
from spikesim.rtl.memory_kinds import KINDS, unwrapped
from spikesim.rtl.pointwise.lookup_table import LookupTable
from spikesim.rtl.sequencer import Sequencer
from spikesim.rtl.vector import VectorMemory
from spikesim.rtl.verilog import verilog
from spikesim.tools.modules import modules
from spikesim.tools.yosys import run_yosys

FLOWS = {
    "ecp5": ("synth_ecp5", "DP16KD"),
    "xc7": ("synth_xilinx -family xc7", "RAMB18E1|RAMB36E1"),
}
"""Per family its flow, and its blocks of memory."""

SHAPES: dict[str, dict[str, Any]] = {
    "row": {"width": 64, "depth": 4096, "granule": 8},
    "row_odd": {"width": 32, "depth": 3000, "granule": 8, "kind": "row"},
    "state": {"width": 128, "depth": 1500},
    "vector": {"width": 32, "depth": 2048, "reads": 2},
    "program": {"width": 512, "depth": 600},
    "encoder": {"width": 128, "depth": 512, "granule": 8},
    "list": {"width": 19, "depth": 1024},
}

SMALL = HardwareConfig.from_toml(Path(__file__).parents[2] / "examples" / "hardware" / "ecp5.toml")


def mapped(component: wiring.Component, flow: str, folder: Path) -> dict[str, int]:
    """Cells of a component once its memories are mapped."""
    (folder / "part.v").write_text(verilog(component, "part"))
    log = run_yosys(
        folder,
        [
            "tee -q read_verilog -sv part.v",
            f"tee -q {FLOWS[flow][0]} -top part -run begin:map_ffram",
            "tee -q flatten",
            "tee -q opt_clean",
            "stat -width",
        ],
    )
    return {name: int(number) for number, name in re.findall(r"(?m)^ +(\d+) +(\$?\w+)$", log)}


def registers(cells: dict[str, int]) -> int:
    """Bits of flip-flops."""
    found = ((re.fullmatch(r"\$\w*dff\w*_(\d+)", cell), number) for cell, number in cells.items())
    return sum(int(at[1]) * number for at, number in found if at)


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("name", SHAPES)
def test_memory_becomes_block_ram(name: str, flow: str, tmp_path: Path) -> None:
    shape = {"kind": name, **SHAPES[name]}
    cells = mapped(Ram(**shape), flow, tmp_path)
    ram = sum(number for cell, number in cells.items() if re.fullmatch(FLOWS[flow][1], cell))
    assert ram > 0
    assert not [cell for cell in cells if cell.startswith("$mem")]
    # What selects between blocks that lie behind each other; for an ECP5, whose ports do not know of each other, a
    # write that waits a cycle, and its word once more for a read that meets it.
    reads, address = shape.get("reads", 1), (shape["depth"] - 1).bit_length()
    meets = KINDS[shape["kind"]].collides and flow == "ecp5"
    assert registers(cells) <= 2 * reads + ((reads + 1) * (shape["width"] + 2) + address if meets else 0)
    if flow == "ecp5":
        estimated = Shape(
            name=name,
            count=1,
            width=shape["width"],
            depth=shape["depth"],
            reads=shape.get("reads", 1),
            granule=shape.get("granule", 0),
        )
        assert ram <= blocks(estimated, ECP5)


@pytest.mark.parametrize("flow", FLOWS)
def test_table_becomes_block_ram(flow: str, tmp_path: Path) -> None:
    cells = mapped(LookupTable("fpga"), flow, tmp_path)
    assert sum(number for cell, number in cells.items() if re.fullmatch(FLOWS[flow][1], cell)) > 0
    assert not [cell for cell in cells if cell.startswith("$mem")]


CORES: dict[str, dict[str, Any]] = {
    "row": {},
    "window": {"array.order": "window"},
    "plane": {"array.order": "plane"},
    "dense": {},
    "skipping": {},
}


def instances_of_memories(config: CoreConfig) -> list[tuple[int, int, int, int]]:
    """Width, depth, read ports and granule of every memory of the core's units, as their text has them."""
    bodies = {
        name: body
        for unit in (ArrayUnit, VectorMemory, Sequencer)
        for name, body in modules(unwrapped(verilog(unit(config), unit.__name__))).items()
    }

    def below(module: str) -> list[tuple[int, int, int, int]]:
        found = []
        for name, parameters in re.findall(r"(?ms)^  (\w+) (?:#\((.*?)\n  \) )?\S+ \(\n", bodies[module]):
            if name == "spikesim_ram":
                value = {key: int(number) for key, number in re.findall(r"\.(\w+)\(32'd(\d+)\)", parameters)}
                found.append((value["WIDTH"], value["DEPTH"], value["READS"], value["GRANULE"]))
            elif name in bodies:
                found += below(name)
        return found

    return [memory for unit in (ArrayUnit, VectorMemory, Sequencer) for memory in below(unit.__name__)]


@pytest.mark.parametrize("core", CORES)
def test_what_is_planned_is_what_is_emitted(core: str) -> None:
    """The memories by which a core is sized for a device are those in its text."""
    flags = datapath(core if core in ("dense", "skipping") else "spiking")
    config = core_config(SMALL.replace(**CORES[core]), target="fpga", **flags)
    planned = [
        (shape.width, shape.depth, shape.reads, shape.granule or shape.width)
        for shape in memories(config)
        for _ in range(shape.count)
        if shape.name != "table"
    ]
    assert sorted(instances_of_memories(config)) == sorted(planned)


def test_plain_yosys_reads_the_core(tmp_path: Path) -> None:
    """Nothing is missing, nothing is a black box."""
    (tmp_path / "core.v").write_text(verilog(SpikeCore(core_config(SMALL, target="fpga")), "core"))
    log = run_yosys(
        tmp_path,
        ["tee -q read_verilog -sv core.v", "hierarchy -check -top core", "select -assert-none =A:blackbox"],
    )
    assert "spikesim_ram" in log


def test_memories_are_sized_for_the_device() -> None:
    """As much as fits, and no less than half of it where that is what a memory was halved to."""
    hardware = SMALL.replace(**dict.fromkeys([f"memory.{name}" for name, _ in SMALL.memory], "fit"))
    found = sized(hardware, ECP5, datapath("spiking"))
    taken = sum(blocks_of(core_config(found, target="fpga"), ECP5).values())
    assert ECP5.blocks / 2 < taken <= ECP5.blocks
    assert check_device(core_config(found, target="fpga"), ECP5).startswith(
        f"LFE5U-85F: {taken} of 208 blocks"
    )


@tried(2, "a core that is too large for the FPGA in `spikesim rtl --target`", "one sentence")
def test_what_cannot_fit() -> None:
    large = core_config(SMALL.replace(**{"memory.row_kib": 1024}), target="fpga")
    with pytest.raises(
        HardwareError, match=r"^the core must take at most 208 blocks .*, not \d+ \(row 512, "
    ):
        check_device(large, ECP5)
