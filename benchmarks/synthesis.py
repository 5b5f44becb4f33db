"""The core and its units in gates of Nangate45 at a 2 ns period: area, worst path, latches, black boxes.

python benchmarks/synthesis.py            units and core, spiking and dense
python benchmarks/synthesis.py --units    units alone
"""

from __future__ import annotations

import argparse
import time

from spikesim.hardware import HardwareConfig
from spikesim.rtl.array_unit import ArrayUnit
from spikesim.rtl.config import core_config
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.host import Host
from spikesim.rtl.pointwise import PointwiseUnit
from spikesim.rtl.select import SelectUnit
from spikesim.rtl.sequencer import Sequencer
from spikesim.rtl.synthesis import synthesise
from spikesim.rtl.verilog import verilog

PERIOD_PS = 2000


def main() -> None:
    """Prints a line per design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", action="store_true", help="leave the whole core out")
    parser.add_argument("--context", type=int, default=4096, help="longest sequence the encoder holds")
    arguments = parser.parse_args()
    hardware = HardwareConfig().replace(
        **{"limits.max_context": arguments.context, "limits.max_channels": 4096}
    )
    print(
        f"{'design':28} {'worst path':>10}  {'area':>12}  {'flip-flops':>10}  memories  latches  black boxes"
    )
    for dense in (False, True):
        config = core_config(hardware, dense=dense)
        kind = "dense" if dense else "spiking"
        units = [ArrayUnit] if dense else [Host, Sequencer, PointwiseUnit, SelectUnit, ArrayUnit]
        for unit in [*units, *([] if arguments.units else [SpikeCore])]:
            start = time.monotonic()
            result = synthesise(verilog(unit(config), "unit"), "unit", period_ps=PERIOD_PS)
            print(
                f"{kind + ' ' + unit.__name__:28} {result.worst_path_ps:7.0f} ps  {result.area_um2:8,.0f} µm²"
                f"  {result.flip_flops:10,}  {result.memories:8}  {result.latches:7}"
                f"  {', '.join(result.black_boxes) or 'none'}  ({result.start} -> {result.end},"
                f" {time.monotonic() - start:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
