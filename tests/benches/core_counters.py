"""Bench of the counters of `SpikeCore`: preset to just below their middle, stepped over it, read by the host's bus."""

from __future__ import annotations

import random
from itertools import pairwise

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from spikesim.rtl.host.registers import COUNTER_BASE, COUNTER_NAMES

MIDDLE = 2**32


async def _begin(dut) -> None:
    for name in ("awvalid", "wvalid", "bready", "arvalid", "rready", "awprot", "arprot"):
        getattr(dut, f"s_axil_{name}").value = 0
    for name in ("s_axis_tvalid", "m_axis_tready"):
        getattr(dut, name).value = 0
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    dut.rst.value = 1
    await _ticks(dut, 3)
    dut.rst.value = 0
    await _ticks(dut, 3)


async def _ticks(dut, cycles: int) -> None:
    for _ in range(cycles):
        await FallingEdge(dut.clk)


async def _read(dut, address: int) -> int:
    dut.s_axil_araddr.value, dut.s_axil_arvalid.value, dut.s_axil_rready.value = address, 1, 1
    while dut.s_axil_arready.value == 0:
        await _ticks(dut, 1)
    await _ticks(dut, 1)
    dut.s_axil_arvalid.value = 0
    while dut.s_axil_rvalid.value == 0:
        await _ticks(dut, 1)
    word = int(dut.s_axil_rdata.value)
    await _ticks(dut, 1)
    dut.s_axil_rready.value = 0
    return word


async def _counter(dut, name: str) -> int:
    address = COUNTER_BASE + 8 * COUNTER_NAMES.index(name)
    low = await _read(dut, address)
    return low | await _read(dut, address + 4) << 32


@cocotb.test(timeout_time=500, timeout_unit="us")
async def carry(dut):
    """The carry of the low half reaches the high one, of every counter; without one nothing does."""
    await _begin(dut)
    for name in COUNTER_NAMES:
        step, low, high = (getattr(dut, f"{name}_{part}") for part in ("step", "low", "high"))
        for before, amount in ((MIDDLE - 1, 1), (MIDDLE - 2, 1), (7 * MIDDLE - 1, 1), (2**63 - 1, 1), (0, 0)):
            low.value, high.value, step.value = before % MIDDLE, before // MIDDLE, amount
            await _ticks(dut, random.randrange(1, 4))
            assert await _counter(dut, name) == before + amount, (name, before)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def halves_belong_together(dut):
    """While a counter crosses the middle, what is shown of it in any one cycle is a number that it had."""
    await _begin(dut)
    for name in COUNTER_NAMES:
        step, low, high, shown = (getattr(dut, f"{name}_{part}") for part in ("step", "low", "high", "shown"))
        for left in range(4):
            low.value, high.value = MIDDLE - 1 - left, 2
            await _ticks(dut, 2)
            seen = []
            for _ in range(8):
                step.value = 1
                await _ticks(dut, 1)
                seen.append(int(high.value) << 32 | int(shown.value))
            assert seen == sorted(seen), (name, [hex(value) for value in seen])
            assert all(after - before in (0, 1) for before, after in pairwise(seen))
            assert seen[-1] >= 3 * MIDDLE
