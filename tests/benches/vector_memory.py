"""What the benches of the vector units have in common: the sequencer's side of a unit, and its vector memory."""

from __future__ import annotations

import random

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from spikesim.rtl.isa import INSTRUCTION, RESOLVED


class VectorMemory:
    """Words by address; a word never written is some number that depends on its address."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}

    def __getitem__(self, address: int) -> int:
        if address not in self.words:
            return (((address * 2654435761) ^ (address >> 3)) & 0xFFFFFFFF) - 2**31
        return self.words[address]

    def __setitem__(self, address: int, word: int) -> None:
        self.words[address] = word


class ReadPort:
    """A unit's read port of words or of runs: what it enables comes a cycle later, and for the rest any word."""

    def __init__(self, dut, name: str) -> None:
        self.enable, self.address = getattr(dut, f"{name}__enable"), getattr(dut, f"{name}__address")
        self.words, self.halves = _handles(dut, f"{name}__data"), []
        if hasattr(dut, f"{name}__low__0"):
            self.halves = _handles(dut, f"{name}__low")
        self.forget()

    def forget(self) -> None:
        self.latest = [0] * max(len(self.words), len(self.halves))

    def cycle(self, memory: VectorMemory) -> None:
        for handle, word in zip(self.words, self.latest, strict=False):
            handle.value = word & 0xFFFFFFFF
        for handle, word in zip(self.halves, self.latest, strict=False):
            handle.value = word & 0xFFFF
        enable, first = int(self.enable.value), int(self.address.value)
        for i in range(len(self.latest)):
            self.latest[i] = memory[first + i] if enable >> i & 1 else random.getrandbits(32)


def _handles(dut, name: str) -> list:
    """The members of a port that is an array, or the port; inner signals may have the bare name, too."""
    found = [getattr(dut, f"{name}__{i}", None) for i in range(256)]
    return [handle for handle in found if handle is not None] or [getattr(dut, name)]


class Bench:
    """Drives one unit: inputs change and outputs are looked at in the middle of a cycle."""

    def __init__(self, dut) -> None:
        self.dut, self.memory = dut, VectorMemory()
        two = hasattr(dut, "read_a__enable")
        names = ("read_a", "read_b") if two else ("read",)
        self.ports = [ReadPort(dut, name) for name in names if hasattr(dut, f"{name}__enable")]
        self.write_data = _handles(dut, "write__data")
        self.written: list[tuple[int, int]] = []
        self.clipped = 0

    async def reset(self) -> None:
        """A clock, and one cycle of reset."""
        self.dut.rst.value, self.dut.control__start.value = 1, 0
        Clock(self.dut.clk, 2, "ns").start()
        await self.cycle()
        self.dut.rst.value = 0
        self.written.clear()

    async def cycle(self) -> None:
        """To the middle of the next cycle, with the words of the addresses of the cycle before.

        Where that was not enabled, with any word: a unit must not use it.
        """
        await FallingEdge(self.dut.clk)
        for port in self.ports:
            port.cycle(self.memory)
        enable = int(self.dut.write__enable.value)
        if enable:
            address = int(self.dut.write__address.value)
            for i, handle in enumerate(self.write_data):
                if enable >> i & 1:
                    word = handle.value.to_signed()
                    self.written.append((address + i, word))
                    self.memory[address + i] = word
        if hasattr(self.dut, "clipped"):
            self.clipped += int(self.dut.clipped.value)

    async def run(
        self, instruction: dict, resolved: dict, *, reset_after: int | None = None, follows: bool = False
    ) -> int:
        """Cycles of one instruction; with `reset_after`, after so many cycles the unit is reset instead.

        `follows`: what was written before it still counts.
        """
        if not follows:
            self.written, self.clipped = [], 0
        self.dut.control__instruction.value = INSTRUCTION.const(instruction).as_bits()
        self.dut.control__resolved.value = RESOLVED.const(resolved).as_bits()
        self.dut.control__start.value = 1
        cycles = 1
        while not (int(self.dut.control__done.value) and cycles > 1):
            await self.cycle()
            self.dut.control__start.value = 0
            cycles += 1
            if cycles == reset_after:
                self.dut.rst.value = 1
                await self.cycle()
                self.dut.rst.value = 0
                self.written = []
                return cycles
            assert cycles < 100_000, "an instruction does not end"
        return cycles

    async def idle(self, cycles: int) -> None:
        """Nothing may happen between instructions."""
        before = len(self.written)
        await self.cycle()
        for _ in range(cycles):
            assert not int(self.dut.write__enable.value)
            assert not int(self.dut.control__done.value)
            await self.cycle()
        assert len(self.written) == before

    def expect(self, expected: dict[int, int]) -> None:
        """Exactly these words were written, each once."""
        assert len(self.written) == len(dict(self.written)), "a word was written twice"
        found = dict(self.written)
        wrong = {
            address: (found.get(address), expected.get(address))
            for address in found.keys() | expected.keys()
            if found.get(address) != expected.get(address)
        }
        some = sorted(wrong.items())[:8]
        assert not wrong, f"{len(wrong)} of {len(expected)} words (address: found, expected): {some}"


def any_word(bits: int = 32) -> int:
    """A signed number of up to `bits` bits: often an extreme one, often a short one."""
    kind = random.random()
    if kind < 0.25:
        top = 1 << (bits - 1)
        return random.choice([0, 1, -1, top - 1, -top, 1 - top, top >> 1, -(top >> 1), 127, -128, -127])
    return random.randrange(-(1 << (width := random.randint(1, bits)) - 1), (1 << width - 1) or 1)
