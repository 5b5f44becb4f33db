"""The array at equal throughput: area of its parts on Nangate45, and cycles of all gathers of the shipped model.

python benchmarks/codesign.py --ways 8 --lanes 32 --coding signed_digit
python benchmarks/codesign.py --lanes 64 --order plane row window

Parts are synthesised one by one, registers with an enable by gated clocks, memories as black boxes. A part between
registers may take 1.7 ns of the 2 ns: the rest is for the flip-flops' clock to output and setup.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any, get_args

from spikesim.hardware import HardwareConfig, Order
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.synthesis.synthesis import default_liberty, synthesise
from spikesim.rtl.array.events import lists_events, scans_planes
from spikesim.rtl.array.list import ListBank
from spikesim.rtl.array.planes import PlaneBank
from spikesim.rtl.array.sum import ArrayOffset, ArraySum
from spikesim.rtl.array.window import WindowBank
from spikesim.rtl.baseline.dense import DenseBank, DenseRows
from spikesim.rtl.baseline.skip import SkipBank
from spikesim.rtl.config import CoreConfig, core_config
from spikesim.rtl.memory import MODULE
from spikesim.rtl.memory_kinds import black_boxed
from spikesim.rtl.verilog import verilog
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.verify.job import model_job

MODEL = Path(__file__).parents[1] / "examples" / "tiny_dssa"


def area(component: Any) -> tuple[float, float]:
    """Of a part: µm², and its worst path in ps."""
    design = black_boxed(verilog(component, "part"))
    library = read_liberty(default_liberty())
    found = synthesise(design, "part", library=library, black_boxes=[MODULE])
    return found.area, found.abc_delay_ps


def ratios(hardware: HardwareConfig, tokens: int) -> tuple[float, float, float]:
    """Spiking over dense, of the shipped model: cycles of all gathers' events, their row reads, all instructions."""
    job = model_job(MODEL, hardware, tokens=tokens)
    simulators = [Simulator(program, job.hardware) for program in job.programs]
    run_chain(job.chain, simulators, job.words[:, None])
    entries = [entry for simulator in simulators for entry in simulator.cycles]
    gathers = [entry.counters for entry in entries if entry.label.startswith("gather")]
    events = sum(c.array_cycles for c in gathers) / sum(c.array_cycles_dense for c in gathers)
    reads = sum(c.row_reads for c in gathers) / sum(c.row_reads_dense for c in gathers)
    return events, reads, sum(e.spiking for e in entries) / sum(e.dense for e in entries)


def main() -> None:
    """Prints a line per part and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", type=int, default=8)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--coding", default="signed_digit")
    parser.add_argument("--order", nargs="+", default=["plane"], choices=get_args(Order))
    parser.add_argument("--row-planes", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=1024)
    arguments = parser.parse_args()
    hardware = HardwareConfig().replace(
        **{
            "array.ways": arguments.ways,
            "array.lanes": arguments.lanes,
            "array.row_planes": arguments.row_planes,
            "array.accumulator_bits": 28,
            "numerics.coding": arguments.coding,
        }
    )
    rows = {"encoder_rows": 4096 // arguments.ways, "scatter_rows": max(1, 32 // arguments.ways)}
    twins = {}
    for name, skips in (("dense", False), ("skipping zeros", True)):
        parts = _parts(core_config(hardware, dense=True, skip_zeros=skips, **rows))
        twins[name] = parts["sum"] + parts["encoder"] + parts["offset"]
        print(f"{name:14}", parts, flush=True)
    for order in arguments.order:
        ordered = hardware.replace(**{"array.order": order})
        parts = _parts(core_config(ordered, **rows))
        print(f"{order:14}", parts, flush=True)
        events, reads, whole = ratios(ordered, arguments.tokens)
        print(
            f"{order:14} spiking / dense: cycles of gathers' events {events:.3f}, row reads {reads:.3f}, "
            f"cycles of all instructions {whole:.3f}"
        )
        area_ratio = (parts["sum"] + parts["encoder"] + parts["offset"]) / twins["dense"]
        print(
            f"{order:14} area ratio {area_ratio:.3f}, at equal throughput {events * area_ratio:.3f}",
            flush=True,
        )


def _banks(config: CoreConfig) -> list[type[Any]]:
    """The modules of one bank's encoder, that of scatters among them."""
    if config.dense:
        return [SkipBank if config.skip_zeros else DenseBank]
    if lists_events(config):
        return [ListBank]
    return [PlaneBank if scans_planes(config) else WindowBank, ListBank]


def _parts(config: CoreConfig) -> dict[str, Any]:
    # An eighth of the lanes says what a lane costs; what the lanes share is in it once.
    few, fewer = (dataclasses.replace(config, lanes=n) for n in (8, 4))
    large, path = area(ArraySum(few))
    small, _ = area(ArraySum(fewer))
    lane = (large - small) / 4
    plain = config.dense and not config.skip_zeros
    bank = sum(area(kind(config))[0] for kind in _banks(config))
    encoder = config.ways * bank + (area(DenseRows(config))[0] if plain else 0)
    total = {
        "lane": lane,
        "sum": large + (config.lanes - 8) * lane,
        "bank": bank,
        "encoder": encoder,
        "offset": area(ArrayOffset(config))[0],
    }
    return {name: round(value) for name, value in total.items()} | {"path": path}


if __name__ == "__main__":
    main()
