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
from spikesim.rtl.host.registers import COUNTER_BASE, COUNTER_NAMES, ERRORS, OFFSETS, REGISTERS, config_word
from spikesim.rtl.interface import row_read_cycles

CONFIG = CoreConfig(**json.loads(os.environ["BENCH"]))
OKAY, SLVERR, DECERR = 0, 2, 3
ROW_WORDS = -(-CONFIG.lanes // 4)
VECTOR, ROWS, PROGRAM, STATE = range(4)
UNIT_WORDS = {VECTOR: 1, ROWS: ROW_WORDS, PROGRAM: 16, STATE: 2 * ROW_WORDS}
DEPTH = {
    VECTOR: CONFIG.vector_depth,
    ROWS: CONFIG.row_depth,
    PROGRAM: CONFIG.program_depth,
    STATE: CONFIG.state_depth,
}
BANKS = {VECTOR: 1, ROWS: CONFIG.ways, PROGRAM: 1, STATE: CONFIG.ways}
ERROR = {name: 1 << bit for bit, (name, _) in enumerate(ERRORS)}
DONE, TRANSFERRED, FAILED = 1, 2, 4
STREAM_PORTS = {
    "s_axil_b": ("bvalid", "bready", ("bresp",)),
    "s_axil_r": ("rvalid", "rready", ("rresp", "rdata")),
    "m_axis_": ("tvalid", "tready", ("tdata", "tlast")),
}


def word_at(address: int) -> int:
    """What vector memory holds."""
    return (address % 2**24 + 1) * 2654435761 % 2**32


def stored_word(target: int, address: int, bank: int, word: int) -> int:
    """What a word of a row or an instruction holds."""
    return ((address * 131 + bank) * 257 + word + target * 77 + 1) * 2246822519 % 2**32


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
        for name in ("s_axis_tvalid", "m_axis_tready", "core_busy", "core_done", "counters", "core_fault"):
            getattr(self.dut, name).value = 0
        self.dut.memory_fault.value = 0
        cocotb.start_soon(Clock(self.dut.clk, 2, "ns").start())
        await self.reset()
        cocotb.start_soon(self.memory())
        cocotb.start_soon(self.rows())
        cocotb.start_soon(self.program())
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

    async def rows(self) -> None:
        """Row and state memory: a word some cycles after it was asked for."""
        port = {
            name: getattr(self.dut, f"row_read__{name}")
            for name in ("enable", "state", "bank", "address", "word")
        }
        following = [0] * row_read_cycles(CONFIG)
        while True:
            await self.tick()
            asked = {name: int(handle.value) for name, handle in port.items()}
            self.dut.row_read__data.value = following.pop(0)
            place = (STATE if asked["state"] else ROWS, asked["address"], asked["bank"], asked["word"])
            following.append(stored_word(*place) if asked["enable"] else random.getrandbits(32))

    async def program(self) -> None:
        """Program memory: a word two cycles after it was asked for."""
        port = {name: getattr(self.dut, f"program_read__{name}") for name in ("enable", "address", "word")}
        following = [0, 0]
        while True:
            await self.tick()
            asked = {name: int(handle.value) for name, handle in port.items()}
            self.dut.program_read__data.value = following.pop(0)
            place = (PROGRAM, asked["address"], 0, asked["word"])
            following.append(stored_word(*place) if asked["enable"] else random.getrandbits(32))

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
            if dut.core_reset.value == 1:  # drops a word that waits
                waiting.pop("m_axis_", None)
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

    async def error(self) -> int:
        """What ERROR holds, which is cleared."""
        error = await self.value("ERROR")
        await self.set(ERROR=error)
        assert await self.value("ERROR") == 0
        return error

    async def core(self, cycles: int, *, busy: bool = True, fault: bool = False) -> None:
        """The core's answer to a start, `cycles` later; with `busy` or leaving that to the host."""
        while self.dut.core_start.value == 0:
            await self.tick()
        await self.tick()
        self.dut.core_busy.value = int(busy)
        for _ in range(cycles):
            await self.tick()
        self.dut.core_done.value, self.dut.core_fault.value = 1, int(fault)
        await self.tick()
        self.dut.core_done.value, self.dut.core_fault.value = 0, 0
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
        return [(address + i // CONFIG.ways, i % CONFIG.ways, w & mask) for i, w in enumerate(joined)]
    return [(address + i, word) for i, word in enumerate(joined)]


def expected_word(target: int, address: int, number: int) -> int:
    """Word `number` of a transfer out."""
    if target == VECTOR:
        return word_at(address + number)
    row, word = divmod(number, UNIT_WORDS[target])
    return stored_word(target, address + row // BANKS[target], row % BANKS[target], word)


def address_for(target: int, length: int) -> int:
    """An address from which so many words fit; often the last."""
    last = DEPTH[target] - -(-length // (UNIT_WORDS[target] * BANKS[target]))
    return random.choice([0, last, random.randint(0, last)])


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
        assert await system.write("TRANSFER", random.choice([1, 2, 3])) == SLVERR or task.done()
        await system.set(
            ADDRESS=random.getrandbits(32), LENGTH=random.getrandbits(8), TARGET=random.randrange(4)
        )
    await task
    status = await system.idle()
    short, long = length > 0 and last is not None and last < length - 1, length > 0 and last is None
    assert (bool(status & 0b1000), bool(status & 0b10000)) == (short, long)
    assert await system.error() == (ERROR["frame"] if short or long else 0)
    assert list(writes[target]) == expected_writes(target, address, words)
    assert not any(writes[other] for other in range(3) if other != target)
    assert system.dut.s_axis_tready.value == 0


async def stream_out(system: System, address: int, length: int, target: int = VECTOR) -> None:
    """One transfer out of a memory; vector memory is read for its words and for nothing else."""
    assert not system.take_reads(), "vector memory is read without a transfer"
    await system.set(TARGET=target, ADDRESS=address, LENGTH=length, TRANSFER=2)
    for i in range(length):
        if i == length - 1:
            assert await system.value("STATUS") & 0b100, "finished before the last word"
        word, last = await system.receive("m_axis_", "tvalid", "tready", "tdata", "tlast")
        assert (word, last) == (expected_word(target, address, i), i == length - 1), (i, length, target)
    status = await system.idle()
    assert status & 0b100 == 0
    for _ in range(8):
        assert system.dut.m_axis_tvalid.value == 0
        await system.tick()
    assert system.take_reads() == [address + i for i in range(length if target == VECTOR else 0)]


@cocotb.test(timeout_time=500, timeout_unit="us")
async def registers(dut):
    """Random reads and writes against a dictionary; every access has its response."""
    system = await System(dut).begin()
    assert await system.value("ID") == int.from_bytes(b"SPKE", "big")
    assert await system.value("VERSION") == 2 << 16
    assert await system.value("CONFIG") == config_word(CONFIG)
    assert config_word(CONFIG) & 0x7F == CONFIG.ways
    assert config_word(CONFIG) >> 8 & 0x1FF == CONFIG.lanes
    sizes = {"VECTOR_WORDS": VECTOR, "ROWS": ROWS, "INSTRUCTIONS": PROGRAM, "STATE_ROWS": STATE}
    for name, target in sizes.items():
        assert await system.value(name) == DEPTH[target]
    storage = {r.offset: CONFIG.context if r.name == "CONTEXT" else 0 for r in REGISTERS if r.access == "RW"}
    known = {r.offset: r for r in REGISTERS}
    for name in ("CONTROL", "TRANSFER", "CLEAR", "ABORT"):
        assert await system.read(name) == (OKAY, 0)
    for _ in range(400):
        address = random.choice(
            [*storage, *known, 0x54, 0xFC, 0x158, 0x1000, 0x8014, random.randrange(0, 2**16, 4)]
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
                # A command that is none is refused; nothing to clear is nothing wrong.
                clears = address in known and known[address].access == "C"
                assert response == (OKAY if clears else SLVERR if address in known else DECERR)
        else:
            response, word = await system.read(address | low)
            assert response == (OKAY if address in known else DECERR)
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
        random.choice([(OFFSETS["LENGTH"], OKAY), (OFFSETS["ID"], SLVERR), (0xFFC, DECERR)])
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
        assert await system.write("CLEAR", word) == (OKAY if clears else SLVERR)
        await system.tick()
        await system.tick()
        assert system.clears - before == clears
    assert await system.write("CLEAR", 1, 0b1110) == SLVERR
    await system.tick()
    assert system.clears == 1
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def tokens(dut):
    """Starting the core: position, hold, done, what is refused meanwhile."""
    system = await System(dut).begin()
    position = CONFIG.context - 13
    await system.set(POSITION=position)
    for word, strobe in ((0, 15), (2, 15), (4, 15), (0x101, 15), (2**31 + 3, 15), (1, 0b1110), (1, 0)):
        assert await system.write("CONTROL", word, strobe) == SLVERR
    assert not system.starts
    for i in range(12):
        entry, hold, busy = (
            random.randrange(CONFIG.program_depth),
            random.random() < 0.3,
            random.random() < 0.5,
        )
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
        position += not hold
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
    assert await system.error() == 0
    assert not system.starts
    system.check()


async def one_token(system: System, control: int, *, fault: bool = False) -> tuple[int, int]:
    """Entry and position of a run, which ends."""
    cocotb.start_soon(system.core(20, fault=fault))
    await system.set(CONTROL=control)
    while await system.value("STATUS") & 1:
        pass
    (start,) = system.starts
    system.starts.clear()
    return start


@cocotb.test(timeout_time=500, timeout_unit="us")
async def beyond_the_context(dut):
    """No token beyond the positions there is room for, by software or by the core; held runs go on, at position 0."""
    system = await System(dut).begin()
    for room in (3, 1, 0, CONFIG.context, 2**18 - 1):
        limit = min(room, CONFIG.context)
        await system.set(CONTEXT=room, POSITION=max(0, limit - 2))
        for position in range(max(0, limit - 2), limit):
            assert await one_token(system, 1) == (0, position)
            assert await system.error() == 0
        for position in (limit, limit + 1, 2**18 - 1):
            await system.set(POSITION=position)
            assert await system.write("CONTROL", 1) == SLVERR
            assert await system.value("STATUS") & 0b100001 == 0b100000
            assert await system.error() == ERROR["context"]
            assert await system.value("POSITION") == position
            if position % 2 or position == limit:
                assert await one_token(system, 3) == (0, 0)
                assert await system.value("POSITION") == position
    assert await system.value("STATUS") & 0b100000 == 0
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def beyond_the_program(dut):
    """A start behind program memory, and a run that the core gives up."""
    system = await System(dut).begin()
    for entry in (CONFIG.program_depth, 2**24 - 1):
        await system.set(ENTRY=entry)
        for control in (1, 3):
            assert await system.write("CONTROL", control) == SLVERR
            assert await system.error() == ERROR["entry"]
    await system.set(ENTRY=CONFIG.program_depth - 1)
    assert await one_token(system, 1) == (CONFIG.program_depth - 1, 0)
    assert await system.error() == 0
    await one_token(system, 1, fault=True)
    assert await system.value("STATUS") & 0b100011 == 0b100010
    assert await system.error() == ERROR["program"]
    dut.memory_fault.value = 1
    await system.tick()
    dut.memory_fault.value = 0
    await system.set(ENTRY=CONFIG.program_depth)
    assert await system.write("CONTROL", 1) == SLVERR
    both = ERROR["memory"] | ERROR["entry"]
    assert await system.value("ERROR") == both
    await system.set(ERROR=0)
    await system.set(ERROR=0x3F & ~both)
    assert await system.value("ERROR") == both
    await system.set(ERROR=ERROR["entry"])
    assert await system.value("ERROR") == ERROR["memory"]
    assert await system.error() == ERROR["memory"]
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def interrupts(dut):
    """The level of every event that is not masked out, until it is cleared; each event by itself."""
    system = await System(dut).begin()

    async def happens(event: int) -> None:
        if event == DONE:
            await one_token(system, 3)
        elif event == TRANSFERRED:
            await stream_in(system, VECTOR, 0, 2, 1)
        else:
            await system.set(TARGET=VECTOR, ADDRESS=DEPTH[VECTOR], LENGTH=1)
            assert await system.write("TRANSFER", 1) == SLVERR

    for event in (DONE, TRANSFERRED, FAILED, DONE):
        for mask in range(8):
            await system.set(IRQ_MASK=mask)
            assert dut.irq.value == 0
            await happens(event)
            await system.tick()
            assert await system.value("IRQ_STATUS") == event
            assert int(dut.irq.value) == bool(mask & event)
            await system.set(IRQ_MASK=0)
            await system.tick()
            assert dut.irq.value == 0
            await system.set(IRQ_MASK=7)
            await system.tick()
            assert dut.irq.value == 1
            await system.set(IRQ_STATUS=7 & ~event)
            assert await system.value("IRQ_STATUS") == event
            await system.set(IRQ_STATUS=event)
            if event == FAILED:
                assert await system.value("IRQ_STATUS") == event
                await system.error()
            assert await system.value("IRQ_STATUS") == 0
            assert dut.irq.value == 0
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
            address = address_for(target, length)
            ends = {None, length - 1, random.randrange(length + 1) if length else None}
            for last in sorted(ends, key=str):
                if last is None or 0 <= last < length:
                    await stream_in(system, target, address, length, last)
                    if random.random() < 0.3:
                        await stream_out(system, random.randrange(100), random.randrange(12))
    for target, depth in DEPTH.items():
        size = UNIT_WORDS[target]
        for length in (0, 1, 2, 3, 4, 5, 40, min(size * (CONFIG.ways + 1), 3 * size + 40)) if depth else ():
            await stream_out(system, address_for(target, length), length, target)
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def refused_transfers(dut):
    """A transfer to or from a memory that is not there or beyond its end, and one that is none."""
    system = await System(dut).begin()
    await system.set(LENGTH=4)
    missing = [] if CONFIG.state_depth else [(STATE, 2)]
    for target, word in ((STATE, 1), *missing):
        await system.set(TARGET=target)
        assert await system.write("TRANSFER", word) == SLVERR
        assert await system.error() == ERROR["transfer"]
        assert await system.value("STATUS") & 0b100 == 0
    for strobe, word in ((0b1110, 1), (0b1111, 0), (0b1111, 4), (0b1111, 0x101), (0b1111, 2**31 + 2), (0, 1)):
        assert await system.write("TRANSFER", word, strobe) == SLVERR
        assert await system.error() == 0
        assert await system.value("STATUS") & 0b100 == 0
    for target, depth in DEPTH.items():
        unit = UNIT_WORDS[target] * BANKS[target]
        for address, length in (
            (depth, 1),
            (depth - 1, unit + 1),
            (0, depth * unit + 1),
            (2**32 - 1, 1),
            (2**24, 1),
            (1, 2**32 - 1),
            (2**31, 2**31),
        ):
            for word in (1, 2) if depth else ():
                await system.set(TARGET=target, ADDRESS=address % 2**32, LENGTH=length)
                assert await system.write("TRANSFER", word) == SLVERR
                assert await system.error() == ERROR["transfer"]
    assert dut.s_axis_tready.value == 0
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def aborted_transfers_in(dut):
    """Words that never come: the transfer ends, what was complete is written, and the next one begins anew."""
    system = await System(dut).begin()
    for target in (VECTOR, ROWS, PROGRAM):
        size = UNIT_WORDS[target]
        for sent in (0, 1, size + 1):
            for log in (system.vector_writes, system.row_writes, system.program_writes):
                log.clear()
            await system.set(TARGET=target, ADDRESS=1, LENGTH=3 * size, TRANSFER=1)
            words = [random.getrandbits(32) for _ in range(sent)]
            for word in words:
                await system.send("s_axis_", "tvalid", "tready", tdata=word, tlast=0)
            assert await system.value("STATUS") & 0b100
            assert await system.write("TRANSFER", 1) == SLVERR
            await system.set(ABORT=1)
            assert await system.idle() & 0b11100 == 0
            assert dut.s_axis_tready.value == 0
            writes = (system.vector_writes, system.row_writes, system.program_writes)[target]
            assert list(writes) == expected_writes(target, 1, words)
            assert await system.error() == 0
            await stream_in(system, target, 0, 2 * size, 2 * size - 1)
    for word, strobe in ((0, 15), (3, 15), (4, 15), (1, 0b1110)):
        assert await system.write("ABORT", word, strobe) == SLVERR
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def aborted_transfers_out(dut):
    """A sink that stops: what waits for it does not change, and the frame ends early with words of the memory."""
    system = await System(dut).begin()
    for taken in (0, 1, 2, 7, 30):
        await system.set(TARGET=VECTOR, ADDRESS=3, LENGTH=40, TRANSFER=2)
        words = [await system.receive("m_axis_", "tvalid", "tready", "tdata", "tlast") for _ in range(taken)]
        await system.set(ABORT=1)
        assert await system.value("STATUS") & 0b100
        while not words or not words[-1][1]:
            words.append(await system.receive("m_axis_", "tvalid", "tready", "tdata", "tlast"))
        assert [word for word, _ in words] == [word_at(3 + i) for i in range(len(words))]
        assert [last for _, last in words] == [0] * (len(words) - 1) + [1]
        assert taken < len(words) <= taken + row_read_cycles(CONFIG) + 4  # what the queue holds, and its end
        assert await system.idle() & 0b100 == 0
        system.take_reads()
        await stream_out(system, 5, 9)
    await system.set(ABORT=1)  # of nothing
    await stream_out(system, 5, 9)
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def overlong_frames(dut):
    """What is left of a frame waits at the stream until it is drained; a drain that never ends is aborted."""
    system = await System(dut).begin()

    async def source(words: int, last: int | None) -> None:
        for i in range(words):
            await system.send("s_axis_", "tvalid", "tready", tdata=i, tlast=int(i == last))

    for extra, length in ((1, 0), (2, 1), (9, 0), (9, 1), (9, 4)):
        frame = cocotb.start_soon(source(5 + extra, 4 + extra))
        await system.set(TARGET=VECTOR, ADDRESS=0, LENGTH=5, TRANSFER=1)
        assert await system.idle() & 0b11100 == 0b10000
        assert await system.error() == ERROR["frame"]
        assert not frame.done()
        system.vector_writes.clear()
        await system.set(LENGTH=length, ADDRESS=2**32 - 1, TRANSFER=3)  # neither matters
        assert await system.idle() & 0b11100 == 0
        await frame
        assert not system.vector_writes
        assert await system.error() == 0
        await stream_in(system, VECTOR, 0, 6, 5)
    await system.set(TRANSFER=3)
    await source(3, None)
    assert await system.value("STATUS") & 0b100
    await system.set(ABORT=1)
    assert await system.idle() & 0b100 == 0
    await stream_in(system, VECTOR, 0, 6, 5)
    system.check()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reset_by_software(dut):
    """Everything but the bus begins anew, whatever was under way, and the write that asked for it is answered."""
    system = await System(dut).begin()
    resets = 0

    async def count() -> None:
        nonlocal resets
        while True:
            await system.tick()
            resets += int(dut.core_reset.value)

    cocotb.start_soon(count())
    for case in range(8):
        await system.set(TARGET=VECTOR, LENGTH=40, ADDRESS=7, ENTRY=5, POSITION=9, CONTEXT=99, IRQ_MASK=7)
        if case % 4 == 0:
            await system.set(TRANSFER=2)
            await system.receive("m_axis_", "tvalid", "tready", "tdata")
        elif case % 4 == 1:
            await system.set(TRANSFER=1)
            await system.send("s_axis_", "tvalid", "tready", tdata=1, tlast=0)
        elif case % 4 == 2:
            await system.set(CONTROL=3)
        else:
            assert await system.write("TRANSFER", 2, 0) == SLVERR
            await system.set(ADDRESS=DEPTH[VECTOR])
            assert await system.write("TRANSFER", 2) == SLVERR
            await system.tick()
            assert dut.irq.value == 1
        before, read = resets, cocotb.start_soon(system.read("ID"))
        await system.set(ABORT=2)
        assert await read == (OKAY, 0x53504B45)
        assert resets - before == 1
        system.take_reads()
        assert dut.m_axis_tvalid.value == 0
        assert dut.s_axis_tready.value == 0
        assert dut.irq.value == 0
        for name in ("STATUS", "ERROR", "IRQ_STATUS", "IRQ_MASK", "ENTRY", "POSITION", "TARGET", "LENGTH"):
            assert await system.value(name) == 0, name
        assert await system.value("CONTEXT") == CONFIG.context
        system.starts.clear()
        await stream_in(system, VECTOR, 3, 5, 4)
        await stream_out(system, 5, 9)
        assert await one_token(system, 1) == (0, 0)
        assert await system.value("POSITION") == 1
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
    dut.m_axis_tready.value = 1
    for target in (VECTOR, ROWS, PROGRAM, *([STATE] if CONFIG.state_depth else [])):
        await system.set(TARGET=target, LENGTH=64, TRANSFER=2)
        while dut.m_axis_tvalid.value == 0:
            await system.tick()
        for i in range(64):
            assert dut.m_axis_tvalid.value == 1
            assert int(dut.m_axis_tdata.value) == expected_word(target, 0, i)
            await system.tick()
        assert dut.m_axis_tvalid.value == 0
        assert system.take_reads() == (list(range(64)) if target == VECTOR else [])
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
        for name in ("ENTRY", "POSITION", "TARGET", "ADDRESS", "LENGTH", "ERROR", "IRQ_MASK"):
            assert await system.value(name) == 0
        await stream_in(system, case % 3, 1, UNIT_WORDS[case % 3] * 3, None)
        await stream_out(system, 5, 9)
        cocotb.start_soon(system.core(20))
        system.starts.clear()
        await system.set(CONTROL=1)
        while await system.value("STATUS") & 1:
            pass
        assert system.starts == [(0, 0)]
        assert await system.value("POSITION") == 1
    system.check()
