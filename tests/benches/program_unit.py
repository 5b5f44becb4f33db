"""Bench of a unit by whole programs: every instruction of random programs that the unit executes, in their order.

The memory behind the unit is this bench's; instructions of other units are played by the golden model. Checked: every
word written (once, and where), and every instruction's cycles.
"""

from __future__ import annotations

import json
import os
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from spikesim import timing
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.rtl.assemble import HardwareInstruction, assemble
from spikesim.rtl.isa import RESOLVED, Extent, Operation, Unit
from spikesim.verify.expected import expect
from spikesim.verify.random_programs import RandomProgram

SETTINGS = json.loads(os.environ.get("BENCH", "{}"))
UNIT = Unit[SETTINGS.get("unit", "POINTWISE")]
SLOTS = {Operation.ROTATE: 2, Operation.PHASE: 2, Operation.DECAY: 3}


def resolve(instruction: HardwareInstruction, position: int, memory: np.ndarray) -> dict[str, int] | None:
    """What the sequencer makes of an instruction at a position; None if it skips it."""
    common = instruction.common
    span, chosen = common.get("span", 0), common.get("chosen", 0)
    finished, slot = divmod(position, span) if span else (position, 0)
    n = {
        Extent.FIXED: common.get("length", 0),
        Extent.WINDOW: min(position + 1, span),
        Extent.FULL: position + 1,
        Extent.FINISHED: finished,
        Extent.BLOCKS: min(chosen, finished) * span + slot + 1,
    }[common.get("extent", Extent.FIXED)]
    if common.get("block_end") and slot + 1 != span:
        return None
    if common["unit"] is Unit.GATHER and common.get("extent") is Extent.FINISHED and not n:
        return None
    offset = 0
    if common.get("partition"):
        offset = int(memory[common["partition_address"]]) * common["partition_stride"]
    return {
        "position": position,
        "n": n,
        "finished": finished,
        "slot": slot,
        "blocks": min(chosen, finished),
        "offset": offset,
    }


def cycles(instruction: HardwareInstruction, resolved: dict[str, int]) -> int:
    """What the unit must take."""
    groups, n = instruction.common["groups"], resolved["n"]
    if UNIT is Unit.SELECT:
        return int(timing.select_top(groups, instruction.common["chosen"], n))
    slots = SLOTS.get(instruction.fields["pointwise"]["operation"], 1)
    return int(timing.pointwise(groups, slots * n))


class Driver:
    """Clock, memory and control of the unit; notes what it writes."""

    def __init__(self, dut: Any, words: int) -> None:
        self.dut = dut
        self.memory = np.zeros(words, np.int64)
        self.writes: list[tuple[int, int]] = []
        self.cycle = 0
        self.done_at = -1
        self.pulses = 0

    async def reset(self) -> None:
        self.dut.rst.value = 1
        self.dut.control__start.value = 0
        for _ in range(3):
            await self.step()
        self.dut.rst.value = 0
        await self.step()
        self.writes.clear()
        self.pulses = 0

    async def step(self) -> None:
        """One clock cycle: synchronous reads, a write."""
        dut = self.dut
        await ReadOnly()
        ports = [dut.read_a] if UNIT is Unit.SELECT else [dut.read_a, dut.read_b]
        del ports
        address_a = int(dut.read_a__address.value)
        address_b = int(dut.read_b__address.value) if UNIT is not Unit.SELECT else 0
        if int(dut.write__enable.value):
            address, data = int(dut.write__address.value), dut.write__data.value.to_signed()
            self.writes.append((address, data))
        if int(dut.control__done.value):
            self.done_at = self.cycle
        if UNIT is Unit.POINTWISE:
            self.pulses += int(dut.clipped.value)
        await RisingEdge(dut.clk)
        self.cycle += 1
        size = self.memory.size
        dut.read_a__data.value = int(self.memory[address_a]) if address_a < size else 0
        if UNIT is not Unit.SELECT:
            dut.read_b__data.value = int(self.memory[address_b]) if address_b < size else 0
        for at, data in self.writes[-1:]:
            self.memory[at] = data
        await FallingEdge(dut.clk)

    async def execute(self, word: int, resolved: dict[str, int], most: int) -> int:
        """Cycles from start to done."""
        dut = self.dut
        dut.control__instruction.value = word
        dut.control__resolved.value = int(RESOLVED.const(resolved).as_value().value)
        dut.control__start.value = 1
        began, self.done_at = self.cycle, -1
        while self.done_at < 0 and self.cycle - began < most:
            await self.step()
            dut.control__start.value = 0
        return self.done_at - began + 1


async def _begin(dut: Any) -> None:
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    dut.control__instruction.value = 0
    dut.control__resolved.value = 0
    dut.read_a__data.value = 0
    if UNIT is not Unit.SELECT:
        dut.read_b__data.value = 0
    await FallingEdge(dut.clk)


async def _run(dut: Any, seed: int, *, interrupt: bool = False) -> int:
    """One random program; returns how many instructions were checked."""
    made = RandomProgram(seed, stanzas=SETTINGS.get("stanzas", 6), tokens=SETTINGS.get("tokens", 4))
    program, words = made.program(), made.inputs()
    hardware = HardwareConfig().replace(**{"limits.max_context": 64})
    layout = link([program], hardware)
    executable = assemble([program], layout, ways=hardware.array.ways)
    expected = expect([program], layout, hardware, words)
    driver = Driver(dut, layout.vector_words)
    for address, literal in layout.literals.items():
        driver.memory[address] = literal
    for state, own in layout.programs[0].states.items():
        spec = program.text.states[state]
        driver.memory[own.factors : own.factors + spec.copies * spec.heads] = layout.literals[
            layout.full_factor
        ]
    for name, constant in program.constants.items():
        first = layout.programs[0].vectors[name]
        driver.memory[first : first + constant.size] = constant
    await driver.reset()
    checked, generator = 0, np.random.default_rng(seed)
    for token, row in enumerate(words):
        driver.memory[layout.input : layout.input + row.size] = row
        wanted = expected.writes[token]
        for number in range(max(i.instruction for i in executable.instructions) + 1):
            parts = [i for i in executable.instructions if i.instruction == number]
            mine = wanted[wanted[:, 1] == number][:, 2:]
            driver.writes.clear()
            others = False
            for part in parts:
                resolved = resolve(part, token, driver.memory)
                if part.common["unit"] is not UNIT:
                    others = True
                    continue
                if resolved is None:
                    continue
                takes = cycles(part, resolved)
                if interrupt and generator.random() < 0.3:
                    saved = driver.memory.copy()
                    await driver.execute(part.word(), resolved, int(generator.integers(1, takes)))
                    await driver.reset()
                    driver.memory[:] = saved
                took = await driver.execute(part.word(), resolved, 10 * takes + 100)
                assert took == takes, (
                    f"seed {seed} token {token} instruction {number}: {took} cycles, not {takes}"
                )
                checked += 1
            got = np.array(sorted(driver.writes), np.int64).reshape(-1, 2)
            if parts[0].common["unit"] is UNIT:
                want = mine[np.lexsort((mine[:, 1], mine[:, 0]))]
                if not others or len(got) == len(want):
                    assert np.array_equal(got, want), _difference(seed, token, number, parts[0], got, want)
            for address, data in mine:
                driver.memory[address] = data
    if UNIT is Unit.POINTWISE and not interrupt:
        assert driver.pulses == expected.clipped
    return checked


def _difference(seed: int, token: int, number: int, part: HardwareInstruction, got: Any, want: Any) -> str:
    fields = next(iter(part.fields.values()))
    lines = [f"seed {seed} token {token} instruction {number} {fields} {part.common}"]
    if got.shape == want.shape:
        wrong = np.flatnonzero((got != want).any(axis=1))[:5]
        lines += [f"expected {want[n].tolist()}, got {got[n].tolist()}" for n in wrong]
    else:
        lines += [f"expected {want.tolist()}", f"got {got.tolist()}"]
    return "\n".join(lines)


@cocotb.test()
async def random_programs(dut: Any) -> None:
    """All instructions of the unit, back to back, in programs that meet every operation and extreme operands."""
    await _begin(dut)
    checked = 0
    for seed in range(SETTINGS.get("seeds", 10)):
        checked += await _run(dut, seed)
    assert checked > 0


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """An instruction that a reset cut off leaves nothing behind."""
    await _begin(dut)
    for seed in range(100, 100 + max(2, SETTINGS.get("seeds", 10) // 4)):
        await _run(dut, seed, interrupt=True)
