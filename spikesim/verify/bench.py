"""An emitted design with an example bench beside it: what `spikesim rtl` writes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from spikesim.cores import CoreName
from spikesim.mapping.link import link
from spikesim.rtl.assemble import assemble
from spikesim.rtl.config import Target, core_config, datapath
from spikesim.rtl.devices import Device, check_device, sized
from spikesim.rtl.emit import MANIFEST_FILE, VERILOG_FILE, emit_core, emit_program, resident_config
from spikesim.support.array_files import write_raw
from spikesim.verify.expected import expect
from spikesim.verify.integration import write_registers, write_system
from spikesim.verify.job import Job
from spikesim.verify.lockstep import check_fits, cycle_limit, write_run

SCRIPT = '''"""Builds the design in this folder with Verilator, runs the tokens in input.bin, and checks the results.

    python bench.py

Needs g++, make and `pip install spikesim`. bench.cpp talks to the core as a host would: registers over AXI4-Lite,
vectors over AXI-Stream.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from spikesim.tools.verilator import build

here = Path(__file__).resolve().parent
binary = build([here / "spike_core.v"], "spike_core", here / "build", harness=here / "bench.cpp")
images = [f"+{path.stem}={path.name}" for path in here.glob("*.hex")]
files = ["+run=run.txt", "+input=input.bin", "+record=record.bin"]
subprocess.run([binary, *files, *images], cwd=here, check=True)
record = np.fromfile(here / "record.bin", np.uint32).reshape(-1, 3)
got = record[record[:, 0] >> 24 == 3, 1].view(np.int32)
expected = np.fromfile(here / "expected.bin", np.int32)
if not np.array_equal(got, expected):
    sys.exit(f"{(got != expected).sum()} of {expected.size} words differ")
print(f"all {expected.size} words of the result are as expected")
'''


def write_design(
    folder: Path,
    job: Job,
    *,
    core: CoreName = "spiking",
    general: bool = False,
    device: Device | None = None,
    trace: bool = False,
) -> dict[str, str]:
    """Writes Verilog, images, manifest and bench; returns what each file is. Raises CapacityError if memories are
    too small.

    `general`: the core is for other programs too, so that its encoder is as large as `limits` says. `device`: the FPGA
    that it is for; HardwareError if it does not fit. `trace`: it has ports that show what it does.
    """
    chain, hardware, flags = job.chain, job.hardware, datapath(core)
    if general and device is not None:
        hardware = sized(hardware, device, flags)
    layout = link(chain, hardware)
    executable = assemble(chain, layout, ways=hardware.array.ways, words=hardware.pointwise.words)
    check_fits(hardware, layout)
    target: Target = "asic" if device is None else "fpga"
    if general:
        config = core_config(hardware, target=target, **flags)
    else:
        config = resident_config(hardware, layout, target=target, **flags)
    config = replace(config, trace=trace)
    room = "" if device is None else f" for {check_device(config, device)}"
    emit_core(folder, config)
    emit_program(folder, config, chain, layout, executable)
    expected = expect(chain, layout, hardware, job.words)
    harness = resources.files("spikesim.verify").joinpath("harness.cpp")
    with resources.as_file(harness) as path:
        shutil.copyfile(path, folder / "bench.cpp")
    (folder / "bench.py").write_text(SCRIPT, encoding="utf-8")
    limit = cycle_limit(expected, layout, core)
    write_run(folder / "run.txt", chain, layout, executable, steps=len(job.words), limit=limit)
    write_raw(folder / "input.bin", np.asarray(job.words, np.int32))
    write_raw(folder / "expected.bin", expected.outputs)
    registers = write_registers(folder, config)
    system = write_system(
        folder,
        config=config,
        hardware=hardware,
        chain=chain,
        layout=layout,
        executable=executable,
        words=job.words,
        expected=expected.outputs,
        limit=limit,
    )
    return {
        VERILOG_FILE: f"the core, top module spike_core{room}",
        "*.hex": "memory images for $readmemh: program, constants, weights per bank",
        MANIFEST_FILE: "parameters, registers, entries, addresses",
        "bench.py": f"builds and runs {len(job.words)} tokens in Verilator and checks the results",
        **system,
        **registers,
    }
