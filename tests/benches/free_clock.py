"""A core that runs freely under cocotb, for the speed of the simulation: one port is sampled in every cycle."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


@cocotb.test()
async def free_clock(dut: Any) -> None:
    """Seconds of $CYCLES cycles go to the file $SECONDS."""
    dut.rst.value = 0
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    await RisingEdge(dut.clk)
    start, writes = time.perf_counter(), 0
    for _ in range(int(os.environ["CYCLES"])):
        await RisingEdge(dut.clk)
        writes += int(dut.trace_write.value)
    Path(os.environ["SECONDS"]).write_text(str(time.perf_counter() - start), encoding="ascii")
