"""Bench of `VectorMemory`: runs of words from any address on, read and written at once, against a list of words."""

from __future__ import annotations

import json
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

SHAPE = json.loads(os.environ["BENCH"])
DEPTH, READ, HALVES, WRITTEN = (SHAPE[key] for key in ("depth", "read", "halves", "written"))


def run_enable(width: int, address: int) -> int:
    """Any words of a run that lie within the memory: often all, often the first few."""
    kind = random.random()
    mask = (1 << width) - 1 if kind < 0.4 else random.getrandbits(width)
    if 0.4 <= kind < 0.7:
        mask = (1 << random.randint(0, width)) - 1
    return mask & ((1 << max(0, min(width, DEPTH - address))) - 1)


@cocotb.test()
async def random_runs(dut):
    """Half the runs are about the same place, so that ports meet; what is not enabled is not looked at, and holds."""
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    dut.rst.value = 0
    words = [0] * DEPTH
    expected: dict[str, dict[int, int]] = {"a": {}, "b": {}}
    widths = {"a": max(READ, HALVES), "b": READ}
    hot = random.randrange(DEPTH)
    for _ in range(6000):
        await FallingEdge(dut.clk)
        for port, run in expected.items():
            for i, word in run.items():
                if i < READ:
                    assert int(getattr(dut, f"{port}__data__{i}").value) == word
                if port == "a" and i < HALVES:
                    assert int(getattr(dut, f"{port}__low__{i}").value) == word & 0xFFFF
        places = [hot, max(0, hot - 3), DEPTH - 1, random.randrange(DEPTH)]
        for port, width in widths.items():
            address = random.choice(places)
            enable = run_enable(width, address)
            getattr(dut, f"{port}__address").value = address
            getattr(dut, f"{port}__enable").value = enable
            if enable:  # the old word where a write meets a read; without, the port holds
                expected[port] = {i: words[address + i] for i in range(width) if enable >> i & 1}
        address = random.choice(places)
        enable = run_enable(WRITTEN, address)
        dut.write__address.value, dut.write__enable.value = address, enable
        for i in range(WRITTEN):
            word = random.getrandbits(32)
            getattr(dut, f"write__data__{i}").value = word
            if enable >> i & 1:
                words[address + i] = word
