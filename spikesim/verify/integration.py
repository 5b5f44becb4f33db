"""What an integrator gets beside the Verilog: a system that runs the core in any simulator, constraints, registers.

Files are constants, or numbers: nothing that a user named goes into a text that a tool obeys.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.program import Chain
from spikesim.program.layout import CoreLayout
from spikesim.program.sizes import INSTRUCTION_WORDS
from spikesim.rtl.assemble import Executable
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.emit import positions
from spikesim.rtl.host.bounds import ROWS, reaches
from spikesim.rtl.host.registers import REGISTERS, VERSION, constants
from spikesim.rtl.host.systemrdl import MAP, reset_values, systemrdl
from spikesim.rtl.verilog import WAIVERS
from spikesim.support.arithmetic import ceil_div
from spikesim.tools.peakrdl import run_peakrdl

REGISTER_FOLDER = "registers"


def write_registers(folder: Path, config: CoreConfig) -> dict[str, str]:
    """Writes the register map of a core as SystemRDL, C header and IP-XACT; returns what each file is.

    Raises ToolError if PeakRDL is missing or refuses the map.
    """
    own = folder / REGISTER_FOLDER
    own.mkdir()
    source = f"{MAP}.rdl"
    (own / source).write_text(systemrdl(config), encoding="utf-8")
    run_peakrdl(own, ["c-header", source, "-o", f"{MAP}.h"])
    names = ["--vendor", "spikesim", "--library", "spikesim", "--name", MAP, "--version", _map_version()]
    run_peakrdl(own, ["ip-xact", source, *names, "-o", f"{MAP}.xml"])
    return {f"{REGISTER_FOLDER}/{MAP}.*": "the register map: SystemRDL, C header, IP-XACT"}


def _map_version() -> str:
    return f"{VERSION >> 16}.{VERSION & 0xFFFF}"


def write_system(
    folder: Path,
    *,
    config: CoreConfig,
    hardware: HardwareConfig,
    chain: Chain,
    layout: CoreLayout,
    executable: Executable,
    words: NDArray[np.int32],
    expected: NDArray[np.int32],
    limit: int,
) -> dict[str, str]:
    """Writes the system bench in Verilog, its makefile and timing constraints; returns what each file is.

    `words`: int32[tokens, input words]; `expected`: int32[tokens, output words]; `limit`: clock cycles that a run may
    take.
    """
    period = 1e9 / hardware.clock.frequency_hz
    numbers = {
        "WAYS": config.ways,
        "ROW_WORDS": reaches(config)[ROWS].unit,
        "ROW_LINES": layout.row_words,
        "VECTOR_BANKS": config.vector_banks,
        "VECTOR_WORDS": layout.vector_words,
        "VECTOR_LINES": ceil_div(layout.vector_words, config.vector_banks),
        "PROGRAM_LINES": len(executable.instructions),
        "POSITIONS": positions(layout),
        "CLEAR_ENTRY": executable.clear_entry,
        "TOKEN_ENTRY": executable.token_entry,
        "INPUT_ADDRESS": layout.input,
        "INPUT_WORDS": chain.input_words,
        "OUTPUT_ADDRESS": layout.output,
        "OUTPUT_WORDS": chain.output_words,
        "TOKENS": len(words),
        "MOST_CYCLES": limit,
        "READABLE": sum(register.access != "W" for register in REGISTERS),
    }
    (folder / "system.vh").write_text(_header(numbers, period), encoding="ascii")
    (folder / "system_registers.hex").write_text(_resets(config), encoding="ascii")
    _write_words(folder / "system_input.hex", words)
    _write_words(folder / "system_expected.hex", expected)
    (folder / "waivers.vlt").write_text(_waivers(), encoding="ascii")
    (folder / "README.md").write_text(_guide(config, numbers, period), encoding="utf-8")
    _copy("system.v", folder / "system.v")
    _copy("faults.vh", folder / "faults.vh")
    _copy("system.mk", folder / "Makefile")
    (folder / "timing.sdc").write_text(
        _text("timing.sdc").replace("@PERIOD@", f"{period:g}"), encoding="ascii"
    )
    return {
        "README.md": "from nothing to the first token, step by step, with this core's numbers",
        "Makefile": "make runs the same in Verilator, make icarus in Icarus Verilog, without Python; make lint",
        "system.v": "that bench: a bus master, the streams, the interrupt; its numbers are in system.vh and *.hex",
        "timing.sdc": "timing constraints",
    }


def _copy(name: str, target: Path) -> None:
    with resources.as_file(resources.files("spikesim.verify").joinpath(name)) as path:
        shutil.copyfile(path, target)


def _text(name: str) -> str:
    return resources.files("spikesim.verify").joinpath(name).read_text(encoding="utf-8")


def _guide(config: CoreConfig, numbers: Mapping[str, int], period: float) -> str:
    """The guide with the numbers of a core and its programs."""
    rows = reaches(config)[ROWS]
    kinds = {"spiking": "spiking", "dense": "the dense INT8 twin", "skipping": "the twin that skips zeros"}
    return Template(_text("guide.template")).substitute(
        {name.lower(): value for name, value in numbers.items()},
        kind=kinds[config.core],
        lanes=config.lanes,
        order=config.order,
        period=f"{period:g}",
        limit=numbers["MOST_CYCLES"],
        major=VERSION >> 16,
        config=f"0x{constants(config)['CONFIG']:08X}",
        context=config.context,
        program_stream=numbers["PROGRAM_LINES"] * INSTRUCTION_WORDS,
        row_stream=numbers["ROW_LINES"] << rows.shift,
        vector_depth=config.vector_depth,
        row_depth=config.row_depth,
        state_rows=config.state_depth,
        program_depth=config.program_depth,
        restorable=_RESTORABLE[config.state_depth > 0],
    )


_RESTORABLE = {
    False: "This core has none: a sequence can be saved and continued later.",
    True: "A sequence that keeps states can therefore be looked at, not continued later, once another one has run.",
}


def _header(numbers: Mapping[str, int], period: float) -> str:
    lines = [f"localparam integer {name} = {value};" for name, value in numbers.items()]
    return "\n".join([f"localparam real PERIOD_NS = {period:.6f};", *lines, ""])


def _resets(config: CoreConfig) -> str:
    """A line per register that can be read: 16 bits of address, 32 of its value after a reset."""
    values = reset_values(config)
    readable = [register for register in REGISTERS if register.access != "W"]
    return "".join(f"{register.offset:04x}{values[register.name]:08x}\n" for register in readable)


def _write_words(path: Path, words: NDArray[np.int32]) -> None:
    numbers = np.ascontiguousarray(words, np.int32).view(np.uint32).reshape(-1)
    path.write_text("".join(f"{word:08x}\n" for word in numbers), encoding="ascii")


def _waivers() -> str:
    lines = ["`verilator_config"]
    for waiver in WAIVERS:
        lines += [f"// {waiver.reason}", f"lint_off -rule {waiver.code}"]
    return "\n".join([*lines, ""])
