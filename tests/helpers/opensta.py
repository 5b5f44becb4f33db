"""A netlist for OpenSTA, an independent static timing analyser, and a run of it."""

import os
import re
import shutil
import subprocess

import pytest

needs_sta = pytest.mark.skipif(
    shutil.which("sta") is None and not os.environ.get("CI"),
    reason="OpenSTA is not installed (on Debian: apt-get install opensta)",
)
"""Skips on a machine without it; under CI, which installs it, the test runs and fails instead."""


def verilog(netlist):
    """Cells, nets and ports by their numbers: c7, n12; outputs o0, o1, …"""

    def name(net):
        return f"1'b{net}" if net < 2 else f"n{net}"

    inputs = [int(n) for nets in netlist.inputs.values() for n in nets]
    outputs = [int(n) for nets in netlist.outputs.values() for n in nets]
    ports = [f"o{i}" for i in range(len(outputs))]
    lines = [f"module top({', '.join([name(n) for n in inputs] + ports)});"]
    lines += [f"input {name(n)};" for n in inputs] + [f"output {port};" for port in ports]
    lines += [f"wire n{n};" for n in range(2, netlist.nets)]
    lines += [f"assign {port} = {name(n)};" for port, n in zip(ports, outputs, strict=True)]
    for group in netlist.groups:
        pins = list(group.cell.pins)
        for cell, nets in zip(group.cells, group.nets, strict=True):
            used = [f".{p}({name(n)})" for p, n in zip(pins, nets, strict=True) if n >= 0]
            lines.append(f"{group.cell.name} c{cell} ({', '.join(used)});")
    return "\n".join([*lines, "endmodule", ""])


def run_sta(folder, netlist, liberty, period_ns, commands):
    """What OpenSTA prints; all slews of inputs and the clock are 20 ps, all inputs come at the clock's edge."""
    (folder / "top.v").write_text(verilog(netlist), encoding="utf-8")
    script = [
        f"read_liberty {liberty}",
        "read_verilog top.v",
        "link_design top",
        f"create_clock -name clk -period {period_ns} [get_ports n{int(netlist.inputs['clk'][0])}]",
        "set_clock_transition 0.02 [get_clocks clk]",
        "set_input_transition 0.02 [all_inputs]",
        "set_input_delay 0 -clock clk [all_inputs]",
        "set_output_delay 0 -clock clk [all_outputs]",
        *commands,
        "exit",
    ]
    (folder / "run.tcl").write_text("\n".join(script), encoding="utf-8")
    done = subprocess.run(
        ["sta", "-no_splash", "-exit", "run.tcl"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "Error" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout


def numbers_after(text, label):
    """The numbers in the first line that starts with `label`."""
    line = re.search(rf"(?m)^{label}\s+(.*)$", text)
    assert line, text
    return [float(word) for word in re.findall(r"-?\d+\.\d+(?:e[-+]\d+)?", line[1])]
