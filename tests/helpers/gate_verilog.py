"""A netlist of gates in Verilator, for comparison: the netlist as Yosys writes it, cells as Yosys reads the library."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import wiring
from helpers.places import CHECKOUT

from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.netlist.netlist import Netlist, read_netlist
from spikesim.power_models.synthesis.synthesis import default_liberty, synthesise
from spikesim.rtl.memory import MODULE, memory_verilog
from spikesim.rtl.memory_kinds import black_boxed
from spikesim.rtl.verilog import verilog
from spikesim.tools import verilator
from spikesim.tools.yosys import run_yosys

PROBE, STIMULUS = "probe", "stimulus"
# The one cell that Yosys does not model: the latch of a gated clock.
CLOCK_GATE = """
module CLKGATE_X1(input CK, input E, output GCK);
  reg enable;
  always @* if (!CK) enable = E;
  assign GCK = CK & enable;
endmodule
"""
# Per stream and cycle: the edge with the old inputs, the new inputs, a look at all nets while the clock is high.
HARNESS = """
#include "Vgates.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
static std::vector<unsigned> in, out;
int main(int argc, char** argv) {
    size_t streams = atoi(argv[1]), cycles = atoi(argv[2]), repeats = atoi(argv[3]);
    VerilatedContext context;
    Vgates* dut = new Vgates{&context};
    const size_t wide = sizeof(dut->stimulus) / 4, probed = sizeof(dut->probe) / 4;
    in.resize(streams * cycles * wide);
    out.resize(streams * (cycles + 1) * probed);
    if (fread(in.data(), 4, in.size(), stdin) != in.size()) return 1;
    for (size_t s = 0; s < streams; ++s) {
        delete dut;
        dut = new Vgates{&context};
        const unsigned* row = &in[s * cycles * wide];
        unsigned* seen = &out[s * (cycles + 1) * probed];
        memcpy(&dut->stimulus, row, 4 * wide);
        dut->clk = 0; dut->eval();
        memcpy(seen, &dut->probe, 4 * probed);
        for (size_t r = 0; r < repeats; ++r)
            for (size_t t = 0; t < cycles; ++t) {
                dut->clk = 1; dut->eval();
                memcpy(&dut->stimulus, row + t * wide, 4 * wide);
                dut->eval();
                memcpy(seen + (t + 1) * probed, &dut->probe, 4 * probed);
                dut->clk = 0; dut->eval();
            }
    }
    fwrite(out.data(), 4, out.size(), stdout);
}
"""


@dataclasses.dataclass(frozen=True)
class Gates:
    """A unit in gates: `module`, Yosys's JSON of it, and the netlist read from that."""

    module: dict[str, Any]
    netlist: Netlist


def gates(unit: wiring.Component) -> Gates:
    """Synthesised to Nangate45."""
    return gates_of(black_boxed(verilog(unit, "gates")))


def gates_of(text: str) -> Gates:
    """The module `gates` of a Verilog text, synthesised."""
    library = read_liberty(default_liberty())
    made = synthesise(text, "gates", library=library, black_boxes=(MODULE,))
    assert not made.unknown
    return Gates(made.netlist, read_netlist(made.netlist, library))


class GateModel:
    """Verilator's model of a netlist, whose only ports are clk, all other inputs in one, and all nets in one.

    Not `probed`: the outputs instead of all nets, for a measurement of speed; `run` then returns nothing. `counted`:
    Verilator counts every net's transitions.
    """

    def __init__(self, design: Gates, folder: Path, *, probed: bool = True, counted: bool = False) -> None:
        self.probed = probed
        self.inputs = [port for port in design.netlist.inputs if port != "clk"]
        module = copy.deepcopy(design.module)
        bits = [bit for port in self.inputs for bit in module["ports"][port]["bits"]]
        fresh = 1 + max(
            b for entry in module["netnames"].values() for b in entry["bits"] if isinstance(b, int)
        )
        self.width = len(bits)
        bits += range(fresh, fresh + 65)  # more than 64 bits are always an array in C++
        # Nets by the netlist's numbers: those of a netlist that has all of Yosys's nets for outputs.
        used = [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
        used += [port["bits"] for port in module["ports"].values()]
        every = sorted({bit for bits in used for bit in bits if isinstance(bit, int)})
        known = copy.deepcopy(design.module)
        known["ports"][PROBE] = {"direction": "output", "bits": every}
        numbers = read_netlist(known, design.netlist.library)
        names = {name: i for i, name in enumerate(design.netlist.net_names)}
        self.nets = np.array([names[numbers.net_names[n]] for n in numbers.outputs[PROBE]])
        assert len(set(self.nets)) == len(every) == design.netlist.nets - 2
        shown = every if probed else [b for p in design.netlist.outputs for b in module["ports"][p]["bits"]]
        module["ports"] = {
            "clk": {"direction": "input", "bits": module["ports"].get("clk", {"bits": [fresh + 65]})["bits"]},
            STIMULUS: {"direction": "input", "bits": bits},
            PROBE: {"direction": "output", "bits": list(range(fresh + 66, fresh + 131 + len(shown)))},
        }
        # An operator in between, as nets that are themselves bits of the port would seem to form loops.
        width = f"{len(shown) + 65:b}".zfill(32)
        module["cells"]["to_probe"] = {
            "type": "$pos",
            "parameters": {"A_SIGNED": "0".zfill(32), "A_WIDTH": width, "Y_WIDTH": width},
            "attributes": {},
            "port_directions": {"A": "input", "Y": "output"},
            "connections": {"A": [*shown, *["0"] * 65], "Y": module["ports"][PROBE]["bits"]},
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gates.json").write_text(json.dumps({"modules": {"gates": module}}), encoding="utf-8")
        (folder / "cells.lib").unlink(missing_ok=True)
        (folder / "cells.lib").symlink_to(default_liberty())
        run_yosys(folder, ["read_json gates.json", "write_verilog -noattr gates.v"])
        read = "read_liberty -ignore_miss_func -ignore_miss_dir cells.lib"
        run_yosys(folder, [read, "proc", "write_verilog -noattr cells.v"])
        sources = [folder / "gates.v", folder / "cells.v", folder / "other.v"]
        (folder / "other.v").write_text(CLOCK_GATE + memory_verilog(), encoding="utf-8")
        (folder / "harness.cpp").write_text(HARNESS, encoding="utf-8")
        objects = CHECKOUT / "build" / "benches" / "objects"
        self.program = verilator.build(
            sources,
            "gates",
            folder / "obj",
            harness=folder / "harness.cpp",
            objects=objects,
            options=["--coverage-toggle", "--coverage-underscore"] if counted else [],
        )

    def run(self, stimulus: dict[str, np.ndarray], *, repeats: int = 1) -> np.ndarray:
        """uint8[streams, 1 + cycles, nets] from uint64[cycles, width] per port: all values, first before any edge.

        Nets of the clock show whether there was a pulse. Nets that Yosys does not name (constants) are 0.
        """
        words = np.concatenate([stimulus[port] for port in self.inputs], axis=1)
        cycles = words.shape[0]
        bits = (words[None] >> np.arange(64, dtype=np.uint64)[:, None, None]) & np.uint64(1)
        size = -(-(self.width + 65) // 32) * 32
        padded = np.zeros((64, cycles, size), np.uint8)
        padded[:, :, : self.width] = bits
        data = np.packbits(padded, axis=-1, bitorder="little").tobytes()
        arguments = [str(self.program), "64", str(cycles), str(repeats)]
        out = subprocess.run(arguments, input=data, stdout=subprocess.PIPE, check=True).stdout
        if not self.probed:
            return np.zeros((0, 0, 0), np.uint8)
        seen = np.frombuffer(out, np.uint8).reshape(64, cycles + 1, -1)
        seen = np.unpackbits(seen, axis=-1, bitorder="little")[:, :, : self.nets.size]
        values = np.zeros((64, cycles + 1, self.nets.max() + 1), np.uint8)
        values[:, :, self.nets] = seen
        return values
