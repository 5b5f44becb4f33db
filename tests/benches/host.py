"""Bench of `Host`: a processor and two streams on one side, the core and its memories on the other.

All inputs change at the falling edge. Ready and valid of the host come from registers, so that a handshake of the
coming rising edge is known at the falling edge.
"""

from __future__ import annotations

import json
import os
import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.registers import COUNTER_BASE, COUNTER_NAMES, OFFSETS, REGISTERS, config_word

CONFIG = CoreConfig(**json.loads(os.environ["BENCH"]))
OKAY, SLVERR = 0, 2
ROW_WORDS = -(-CONFIG.lanes // 4)
VECTOR, ROWS, PROGRAM = range(3)
UNIT_WORDS = {VECTOR: 1, ROWS: ROW_WORDS, PROGRAM: 16}
STREAM_PORTS = {
    "s_axil_b": ("bvalid", "bready", ("bresp",)),
    "s_axil_r": ("rvalid", "rready", ("rresp", "rdata")),
    "m_axis_": ("tvalid", "tready", ("tdata", "tlast")),
}


def word_at(address: int) -> int:
    """What vector memory holds."""
    return (address % 2**24 + 1) * 2654435761 % 2**32


class System:
    """Drivers, memories and monitors around one host. `patience`: probability that a ready or valid is held back."""

    def __init__(self, dut, patience: float = 0.4) -> None:
        self.dut, self.patience = dut, patience
        self.vector_reads: list[int] = []
        self.vector_writes: deque = deque()
        self.row_writes: deque = deque()
        self.program_writes: deque = deque()
        self.starts: list[tuple[int, int]] = []  # entry and position at every start
        self.clears = 0
        self.violations: list[str] = []

    async def begin(self) -> System:
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready", "awprot", "arprot"):
            getattr(self.dut, f"s_axil_{name}").value = 0
        for name in ("s_axis_tvalid", "m_axis_tready", "core_busy", "core_done", "counters"):
            getattr(self.dut, name).value = 0
        cocotb.start_soon(Clock(self.dut.clk, 2, "ns").start())
        await self.reset()
        cocotb.start_soon(self.memory())
        cocotb.start_soon(self.monitor())
        return self

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await self.tick()
        await self.tick()
        self.dut.rst.value = 0

    async def tick(self) -> None:
        await FallingEdge(self.dut.clk)

    def hold_back(self) -> bool:
        return random.random() < self.patience

    async def memory(self) -> None:
        """Vector memory: a word belongs to the address of the cycle before, if that was enabled."""
        following = 0
        while True:
            await self.tick()
            address = int(self.dut.vector_read__address.value)
            self.dut.vector_read__data.value = following
            enabled = int(self.dut.vector_read__enable.value)
            following = word_at(address) if enabled else random.getrandbits(32)

    async def monitor(self) -> None:
        """What the core side is told, and the rule that a valid and its payload hold until the ready."""
        dut, waiting = self.dut, {}
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            if dut.rst.value == 1:
                waiting = {}
                continue
            for prefix, (valid, ready, payload) in STREAM_PORTS.items():
                values = tuple(int(getattr(dut, prefix[:7] + name).value) for name in payload)
                is_valid = getattr(dut, prefix[:7] + valid).value == 1
                if prefix in waiting and (not is_valid or values != waiting[prefix]):
                    self.violations.append(f"{prefix}: {waiting[prefix]} became {values}, valid {is_valid}")
                waiting.pop(prefix, None)
                if is_valid and getattr(dut, prefix[:7] + ready).value == 0:
                    waiting[prefix] = values
            if dut.vector_read__enable.value == 1:
                self.vector_reads.append(int(dut.vector_read__address.value))
            if dut.vector_write__enable.value == 1:
                self.vector_writes.append(
                    (int(dut.vector_write__address.value), int(dut.vector_write__data.value.to_unsigned()))
                )
            if dut.row_load__enable.value == 1:
                where = int(dut.row_load__address.value), int(dut.row_load__bank.value)
                self.row_writes.append((*where, int(dut.row_load__data.value)))
            if dut.program_load__enable.value == 1:
                self.program_writes.append(
                    (int(dut.program_load__address.value), int(dut.program_load__data.value))
                )
            if dut.core_start.value == 1:
                self.starts.append((int(dut.core_entry.value), int(dut.position.value)))
            self.clears += int(dut.clear_counters.value)

    async def send(self, prefix: str, valid: str, ready: str, **payload: int) -> None:
        """One transfer of a channel that the bench drives."""
        port = {name: getattr(self.dut, prefix + name) for name in (valid, ready, *payload)}
        while self.hold_back():
            await self.tick()
        for name, value in payload.items():
            port[name].value = value
        port[valid].value = 1
        while port[ready].value == 0:
            await self.tick()
        await self.tick()
        port[valid].value = 0
        for name in payload:
            port[name].value = random.getrandbits(len(port[name]))  # meaningless without valid

    async def receive(self, prefix: str, valid: str, ready: str, *payload: str) -> list[int]:
        """One transfer of a channel that the host drives."""
        port = {name: getattr(self.dut, prefix + name) for name in (valid, ready, *payload)}
        while True:
            is_ready = not self.hold_back()
            port[ready].value = int(is_ready)
            if is_ready and port[valid].value == 1:
                values = [int(port[name].value) for name in payload]
                await self.tick()
                port[ready].value = 0
                return values
            await self.tick()

    async def write(self, address: int | str, word: int, strobe: int = 0b1111) -> int:
        """The response to a write; address and data in any order."""
        where = OFFSETS[address] if isinstance(address, str) else address
        tasks = [
            cocotb.start_soon(self.send("s_axil_", "awvalid", "awready", awaddr=where)),
            cocotb.start_soon(self.send("s_axil_", "wvalid", "wready", wdata=word, wstrb=strobe)),
        ]
        (response,) = await self.receive("s_axil_", "bvalid", "bready", "bresp")
        for task in tasks:
            assert task.done(), "responded before address and data"
        return response

    async def read(self, address: int | str) -> tuple[int, int]:
        """Response and word of a read."""
        where = OFFSETS[address] if isinstance(address, str) else address
        task = cocotb.start_soon(self.send("s_axil_", "arvalid", "arready", araddr=where))
        response, word = await self.receive("s_axil_", "rvalid", "rready", "rresp", "rdata")
        assert task.done(), "responded before the address"
        return response, word

    async def value(self, name: str) -> int:
        response, word = await self.read(name)
        assert response == OKAY
        return word

    async def set(self, **registers: int) -> None:
        for name, word in registers.items():
            assert await self.write(name, word) == OKAY, name

    async def idle(self) -> int:
        """Wait for the end of a transfer; the last status."""
        while (status := await self.value("STATUS")) & 0b100:
            pass
        return status

    async def core(self, cycles: int, *, busy: bool = True) -> None:
        """The core's answer to a start, `cycles` later; with `busy` or leaving that to the host."""
        while self.dut.core_start.value == 0:
            await self.tick()
        await self.tick()
        self.dut.core_busy.value = int(busy)
        for _ in range(cycles):
            await self.tick()
        self.dut.core_done.value = 1
        await self.tick()
        self.dut.core_done.value = 0
        self.dut.core_busy.value = 0

    def take_reads(self) -> list[int]:
        """The addresses read from vector memory since the last call."""
        reads, self.vector_reads = self.vector_reads, []
        return reads

    def check(self) -> None:
        assert not self.violations, self.violations[:5]
        assert not self.take_reads(), "vector memory is read without a transfer"


def expected_writes(target: int, address: int, words: list[int]) -> list[tuple[int, ...]]:
    """What arrives in a memory; an incomplete row or instruction does not."""
    size = UNIT_WORDS[target]
    units = [words[i : i + size] for i in range(0, len(words) - size + 1, size)]
    joined = [sum(word << (32 * i) for i, word in enumerate(unit)) for unit in units]
    if target == ROWS:
        mask = (1 << 8 * CONFIG.lanes) - 1
        return [
            ((address + i // CONFIG.ways) % 2**32, i % CONFIG.ways, w & mask) for i, w in enumerate(joined)
        ]
    return [((address + i) % 2**24, word) for i, word in enumerate(joined)]


async def stream_in(system: System, target: int, address: int, length: int, last: int | None) -> None:
    """One transfer in, `TLAST` with word number `last`; checks memory and status."""
    words = [random.choice([0, 2**32 - 1, random.getrandbits(32)]) for _ in range(length)]
    words = words if last is None else words[: last + 1]
    await system.set(TARGET=target, ADDRESS=address, LENGTH=length)
    writes = (system.vector_writes, system.row_writes, system.program_writes)
    for log in writes:
        log.clear()
    await system.set(TRANSFER=1)

    async def source() -> None:
        for i, word in enumerate(words):
            await system.send("s_axis_", "tvalid", "tready", tdata=word, tlast=int(i == last))

    task = cocotb.start_soon(source())
    if length > 4:
        assert await system.write("TRANSFER", random.choice([0, 1, 2])) == SLVERR or task.done()
        await system.set(
            ADDRESS=random.getrandbits(32), LENGTH=random.getrandbits(8), TARGET=random.randrange(4)
        )
    await task
    status = await system.idle()
    assert bool(status & 0b1000) == (length > 0 and last != length - 1)
    assert list(writes[target]) == expected_writes(target, address, words)
    assert not any(writes[other] for other in range(3) if other != target)
    assert system.dut.s_axis_tready.value == 0


async def stream_out(system: System, address: int, length: int) -> None:
    """One transfer out of vector memory, which is read for its words and for nothing else."""
    assert not system.take_reads(), "vector memory is read without a transfer"
    await system.set(TARGET=VECTOR, ADDRESS=address, LENGTH=length, TRANSFER=2)
    for i in range(length):
        if i == length - 1:
            assert await system.value("STATUS") & 0b100, "finished before the last word"
        word, last = await system.receive("m_axis_", "tvalid", "tready", "tdata", "tlast")
        assert (word, last) == (word_at(address + i), i == length - 1)
    status = await system.idle()
    assert status & 0b100 == 0
    for _ in range(8):
        assert system.dut.m_axis_tvalid.value == 0
        await system.tick()
    assert system.take_reads() == [(address + i) % 2**24 for i in range(length)]


@cocotb.test(timeout_time=500, timeout_unit="us")
async def registers(dut):
    """Random reads and writes against a dictionary; every access has its response."""
    system = await System(dut).begin()
    assert await system.value("ID") == int.from_bytes(b"SPKE", "big")
    assert await system.value("VERSION") == 1 << 16
    assert await system.value("CONFIG") == config_word(CONFIG)
    assert config_word(CONFIG) & 0x7F == CONFIG.ways
    assert config_word(CONFIG) >> 8 & 0x1FF == CONFIG.lanes
    storage = {r.offset: 0 for r in REGISTERS if r.access == "RW"}
    known = {r.offset: r for r in REGISTERS}
    for name in ("CONTROL", "TRANSFER", "CLEAR"):
        assert await system.read(name) == (OKAY, 0)
    for _ in range(400):
        address = random.choice(
            [*storage, *known, 0x30, 0xFC, 0x158, 0x1000, 0x8014, random.randrange(0, 2**16, 4)]
        )
        low = random.randrange(4)  # ignored
        if random.random() < 0.5:
            word, strobe = random.getrandbits(32), random.choice([0b1111, random.randrange(16)])
            if address in known and known[address].access in "WC":
                word, strobe = 0, 0
            response = await system.write(address | low, word, strobe)
            if address in storage:
                mask = sum(0xFF << 8 * i for i in range(4) if strobe >> i & 1)
                kept = storage[address] & ~mask | word & mask
                storage[address] = kept & ((1 << known[address].width) - 1)
                assert response == OKAY
            else:
                assert response == (OKAY if address in known and known[address].access != "R" else SLVERR)
        else:
            response, word = await system.read(address | low)
            assert response == (OKAY if address in known else SLVERR)
            if address in storage:
                assert word == storage[address]
            elif address not in known:
                assert word == 0
    assert not system.starts
    assert system.clears == 0
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reads_beside_writes(dut):
    """Both directions at once do not disturb each other."""
    system = await System(dut).begin()

    async def writer() -> None:
        for i in range(150):
            assert await system.write("LENGTH", i) == OKAY

    task = cocotb.start_soon(writer())
    last = 0
    while not task.done():
        assert await system.value("ID") == 0x53504B45
        now = await system.value("LENGTH")
        assert last <= now < 150
        last = now
    await task
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def accesses_in_a_row(dut):
    """Addresses and data sent ahead of the responses: as many responses, in order."""
    system = await System(dut, patience=0.6).begin()
    accesses = [
        random.choice([(OFFSETS["LENGTH"], OKAY), (OFFSETS["ID"], SLVERR), (0xFFC, SLVERR)])
        for _ in range(80)
    ]

    async def send(prefix: str, name: str, word: str) -> None:
        for i, (address, _) in enumerate(accesses):
            values = {word: address} if word != "wdata" else {word: i, "wstrb": 15}
            await system.send(prefix, f"{name}valid", f"{name}ready", **values)

    for channels, response in (((("aw", "awaddr"), ("w", "wdata")), "b"), ((("ar", "araddr"),), "r")):
        tasks = [cocotb.start_soon(send("s_axil_", *channel)) for channel in channels]
        for address, expected in accesses:
            names = (f"{response}valid", f"{response}ready", f"{response}resp")
            (code,) = await system.receive("s_axil_", *names)
            assert code == (OKAY if response == "r" and address == OFFSETS["ID"] else expected)
        assert all(task.done() for task in tasks)
        for _ in range(10):
            assert getattr(dut, f"s_axil_{response}valid").value == 0
            await system.tick()
    last = max(i for i, (address, _) in enumerate(accesses) if address == OFFSETS["LENGTH"])
    assert await system.value("LENGTH") == last
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def counters(dut):
    """The high word belongs to the moment at which the low word was read."""
    system = await System(dut).begin()
    history = []

    async def run() -> None:
        while True:
            history.append(random.getrandbits(64 * len(COUNTER_NAMES)))
            dut.counters.value = history[-1]
            await system.tick()

    cocotb.start_soon(run())
    for _ in range(4):
        for i in random.sample(range(len(COUNTER_NAMES)), len(COUNTER_NAMES)):
            _, low = await system.read(COUNTER_BASE + 8 * i)
            if random.random() < 0.5:
                await system.value("ID")
            _, high = await system.read(COUNTER_BASE + 8 * i + 4)
            seen = {value >> 64 * i & (2**64 - 1) for value in history}
            assert high << 32 | low in seen, COUNTER_NAMES[i]
            _, again = await system.read(COUNTER_BASE + 8 * random.randrange(len(COUNTER_NAMES)) + 4)
            assert again == high
    for word, clears in ((0, 0), (2, 0), (1, 1)):
        before = system.clears
        await system.set(CLEAR=word)
        await system.tick()
        await system.tick()
        assert system.clears - before == clears
    assert await system.write("CLEAR", 1, 0b1110) == OKAY
    await system.tick()
    assert system.clears == 1
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def tokens(dut):
    """Starting the core: position, hold, done, what is refused meanwhile."""
    system = await System(dut).begin()
    position = 2**17 - 5  # so that it wraps
    await system.set(POSITION=position)
    await system.set(CONTROL=0)
    await system.set(CONTROL=2)
    assert await system.write("CONTROL", 1, 0b1110) == OKAY
    assert not system.starts
    for i in range(12):
        entry, hold, busy = random.getrandbits(24), random.random() < 0.3, random.random() < 0.5
        await system.set(ENTRY=entry)
        cocotb.start_soon(system.core(150, busy=busy))
        await system.set(CONTROL=3 if hold else 1)
        assert await system.write("CONTROL", random.choice([0, 1])) == SLVERR
        assert await system.write("TRANSFER", 1) == SLVERR
        assert await system.write("POSITION", 0) == SLVERR
        assert await system.value("STATUS") & 0b111 == 0b001
        assert await system.write("ADDRESS", i) == OKAY
        while True:
            seen = await system.value("POSITION")
            if not (status := await system.value("STATUS")) & 1:
                break
            assert seen == position
        assert status & 0b111 == 0b010
        assert system.starts == [(entry, position)]
        system.starts.clear()
        position = (position + (not hold)) % 2**17
        assert await system.value("POSITION") == position
        if i % 2:
            await system.set(STATUS=0b1101)
            assert await system.value("STATUS") & 0b10 == 0b10
            await system.set(STATUS=0b10)
            assert await system.value("STATUS") & 0b10 == 0
    dut.core_busy.value = 1  # on its own
    assert await system.write("CONTROL", 1) == SLVERR
    assert await system.write("TRANSFER", 1) == SLVERR
    dut.core_busy.value = 0
    assert await system.write("CONTROL", 0) == OKAY
    assert not system.starts
    system.check()


async def cycles_until_written(system: System, word: int) -> int:
    """Cycles from the start of a write on an idle bus to the one in which a register shows it."""
    cycles, task = 0, cocotb.start_soon(system.write("ENTRY", word))
    while int(system.dut.core_entry.value) != word:
        await system.tick()
        cycles += 1
    assert await task == OKAY
    return cycles


BEFORE = 4
"""Cycles before a write in which a token may end."""


async def end(dut, cycles: int) -> None:
    """The core is done, after so many cycles."""
    for _ in range(cycles):
        await FallingEdge(dut.clk)
    dut.core_done.value = 1
    await FallingEdge(dut.clk)
    dut.core_done.value = 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def done_meets_its_clearing(dut):
    """STATUS = 2 in every cycle around the end of a token: what ends in that very cycle or later stays visible."""
    system = await System(dut, patience=0).begin()
    latency = await cycles_until_written(system, 5)
    assert await cycles_until_written(system, 6) == latency > 0
    for late in (-2, -1, 0, 1, 2):
        await system.set(STATUS=0b10, CONTROL=0b11)
        assert await system.value("STATUS") & 0b11 == 0b01
        ends = cocotb.start_soon(end(dut, BEFORE + latency - 1 + late))
        for _ in range(BEFORE):
            await system.tick()
        assert await system.write("STATUS", 0b10) == OKAY
        await ends
        await system.tick()
        assert await system.value("STATUS") & 0b11 == (0b10 if late >= 0 else 0), late
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def transfers(dut):
    """Every memory, every length around its units, early and missing ends, both directions in turn."""
    system = await System(dut).begin()
    for target in (VECTOR, ROWS, PROGRAM):
        size = UNIT_WORDS[target]
        for length in (0, 1, size, size * 3, size * (CONFIG.ways + 2 if size < 16 else 3), size * 2 + 3):
            address = random.choice(
                [0, 1, 2**24 - 2 if target != ROWS else 2**32 - 1, random.getrandbits(24)]
            )
            ends = {None, length - 1, random.randrange(length + 1) if length else None}
            for last in sorted(ends, key=str):
                if last is None or 0 <= last < length:
                    await stream_in(system, target, address, length, last)
                    if random.random() < 0.3:
                        await stream_out(system, random.randrange(100), random.randrange(12))
    for length in (0, 1, 2, 3, 4, 5, 40):
        await stream_out(system, random.choice([2**24 - 2, random.getrandbits(24)]), length)
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def refused_transfers(dut):
    """A transfer out of another memory, in to none, or both ways."""
    system = await System(dut).begin()
    await system.set(LENGTH=4)
    for target, word in ((ROWS, 2), (PROGRAM, 2), (3, 1), (3, 2), (VECTOR, 3)):
        await system.set(TARGET=target)
        assert await system.write("TRANSFER", word) == SLVERR
        assert await system.value("STATUS") & 0b100 == 0
    for strobe, word in ((0b1110, 1), (0b1111, 0), (0b1111, 4)):
        assert await system.write("TRANSFER", word, strobe) == OKAY
        assert await system.value("STATUS") & 0b100 == 0
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def throughput(dut):
    """Without back-pressure a word per cycle in both directions."""
    system = await System(dut, patience=0).begin()
    await system.set(TARGET=VECTOR, ADDRESS=0, LENGTH=64, TRANSFER=1)
    dut.s_axis_tvalid.value, dut.s_axis_tlast.value = 1, 0
    taken = 0
    for i in range(64):
        dut.s_axis_tdata.value = i
        taken += int(dut.s_axis_tready.value)
        await system.tick()
    dut.s_axis_tvalid.value = 0
    assert taken == 64
    await system.idle()
    assert list(system.vector_writes) == [(i, i) for i in range(64)]
    await system.set(LENGTH=64, TRANSFER=2)
    dut.m_axis_tready.value = 1
    while dut.m_axis_tvalid.value == 0:
        await system.tick()
    for i in range(64):
        assert dut.m_axis_tvalid.value == 1
        assert int(dut.m_axis_tdata.value) == word_at(i)
        await system.tick()
    assert dut.m_axis_tvalid.value == 0
    assert system.take_reads() == list(range(64))
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reset_in_the_middle(dut):
    """A reset drops what is under way and leaves nothing behind."""
    system = await System(dut).begin()
    for case in range(12):
        await system.set(
            TARGET=random.choice([ROWS, PROGRAM, VECTOR]), LENGTH=40, ADDRESS=7, ENTRY=5, POSITION=9
        )
        if case % 3 == 0:
            await system.set(TARGET=VECTOR, TRANSFER=2)
            await system.receive("m_axis_", "tvalid", "tready", "tdata")
        elif case % 3 == 1:
            await system.set(TRANSFER=1)
            for _ in range(random.randrange(1, 39)):
                await system.send("s_axis_", "tvalid", "tready", tdata=random.getrandbits(32), tlast=0)
        else:
            await system.set(CONTROL=3)
        # A write of which only one half has arrived, and a read without its response.
        half = random.choice([("awvalid", "awready", {"awaddr": 0x14}), ("wvalid", "wready", {"wdata": 1})])
        await system.send("s_axil_", half[0], half[1], **half[2])
        await system.send("s_axil_", "arvalid", "arready", araddr=0x14)
        for _ in range(random.randrange(6)):
            await system.tick()
        await system.reset()
        system.take_reads()  # those of the transfer that was dropped
        for name in ("bvalid", "rvalid"):
            assert getattr(dut, f"s_axil_{name}").value == 0
        assert dut.m_axis_tvalid.value == 0
        assert dut.s_axis_tready.value == 0
        assert await system.value("STATUS") == 0
        for name in ("ENTRY", "POSITION", "TARGET", "ADDRESS", "LENGTH"):
            assert await system.value(name) == 0
        await stream_in(system, case % 3, 3, UNIT_WORDS[case % 3] * 3, None)
        await stream_out(system, 5, 9)
        cocotb.start_soon(system.core(20))
        system.starts.clear()
        await system.set(CONTROL=1)
        while await system.value("STATUS") & 1:
            pass
        assert system.starts == [(0, 0)]
        assert await system.value("POSITION") == 1
    system.check()
