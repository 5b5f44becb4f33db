"""The whole core in a system of somebody else's parts: cocotbext-axi as bus master, stream source and sink."""

from __future__ import annotations

from pathlib import Path

from helpers.bench import run_bench
from helpers.system_design import system_design

from spikesim.rtl.core import SpikeCore


def test_in_a_system(tmp_path: Path) -> None:
    folder, config = system_design(tmp_path)
    run_bench(SpikeCore(config), "spike_core", "system", environment={"DESIGN": str(folder)})
