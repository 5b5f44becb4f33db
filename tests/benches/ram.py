"""Bench of `Ram`: random reads and writes of every granule against a list of words, collisions included."""

from __future__ import annotations

import json
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

SHAPE = json.loads(os.environ["BENCH"])
WIDTH, DEPTH, READS, GRANULE = (SHAPE[key] for key in ("width", "depth", "reads", "granule"))
ADDRESSES = 1 << max(1, (DEPTH - 1).bit_length())
"""More than words, where those are no power of two: what lies beyond reads ones and keeps nothing."""


def merged(old: int, new: int, enable: int) -> int:
    """The word after a write of the enabled granules."""
    mask = sum(((1 << GRANULE) - 1) << (i * GRANULE) for i in range(WIDTH // GRANULE) if enable >> i & 1)
    return (old & ~mask) | (new & mask)


@cocotb.test()
async def random_traffic(dut):
    """Half the accesses go to three addresses, so that ports meet; inputs change away from the active edge."""
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    dut.rst.value = 0
    words = [0] * DEPTH  # without an image, memory starts from zero
    expected: list[int | None] = [None] * READS
    hot = [0, DEPTH - 1, random.randrange(DEPTH)]
    for _ in range(6000):
        await FallingEdge(dut.clk)
        for port, value in enumerate(expected):
            if value is not None:
                assert int(getattr(dut, f"read__{port}__data").value) == value
        address = random.choice([*hot, random.randrange(ADDRESSES)])
        enable = random.choice([0, random.getrandbits(WIDTH // GRANULE), (1 << WIDTH // GRANULE) - 1])
        word = random.getrandbits(WIDTH)
        dut.write__address.value, dut.write__enable.value, dut.write__data.value = address, enable, word
        for port in range(READS):
            where = random.choice([address, *hot, random.randrange(ADDRESSES)])
            enabled = random.random() < 0.7
            getattr(dut, f"read__{port}__address").value = where
            getattr(dut, f"read__{port}__enable").value = enabled
            if enabled:  # the old word where a write meets a read; without, the port holds
                expected[port] = words[where] if where < DEPTH else (1 << WIDTH) - 1
        if address < DEPTH:
            words[address] = merged(words[address], word, enable)
