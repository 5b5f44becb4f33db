"""Bench of `SpikeCore` in a system whose bus master, stream source and sink are cocotbext-axi's, none of our own.

`DESIGN` names a folder of `spikesim rtl`: images, manifest, input and expected words; beside them `states.npy`, what
state memory holds after two tokens. Every channel pauses at random, but while a run is waited for: pauses cost more
time than the core.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from spikesim.rtl.host.registers import ERRORS, REGISTERS
from spikesim.rtl.isa import INSTRUCTION, Unit

DESIGN = Path(os.environ["DESIGN"])
MANIFEST = json.loads((DESIGN / "manifest.json").read_text())
CONFIG = MANIFEST["configuration"]
OFFSETS = MANIFEST["registers"]
INPUT = np.fromfile(DESIGN / "input.bin", np.uint32).reshape(-1, MANIFEST["input"]["words"])
STATES = np.load(DESIGN / "states.npy")
EXPECTED = np.fromfile(DESIGN / "expected.bin", np.uint32).reshape(-1, MANIFEST["output"]["words"])
ERROR = {name: 1 << bit for bit, (name, _) in enumerate(ERRORS)}
VECTOR, ROWS, PROGRAM, STATE = range(4)
ROW_WORDS = -(-CONFIG["lanes"] // 4)
BUSY, DONE, STREAMING, SHORT, LONG = 1, 2, 4, 8, 16
CHANNELS = {
    "s_axil_b": ("valid", "ready", ("resp",)),
    "s_axil_r": ("valid", "ready", ("resp", "data")),
    "m_axis_t": ("valid", "ready", ("data", "last")),
}
TRANSFERS = {"accesses": 0, "words": 0}
"""Accesses of registers and words of streams, of all tests."""


def pauses(probability: float, seed: int) -> Iterator[bool]:
    """Whether a channel pauses, cycle by cycle."""
    chance = random.Random(seed)
    while True:
        yield chance.random() < probability


def images() -> dict[int, np.ndarray]:
    """The words of every image in the order in which a transfer takes them."""

    def words(file: str, each: int) -> np.ndarray:
        lines = (DESIGN / file).read_text().split()
        return np.array(
            [[int(line, 16) >> 32 * i & 0xFFFFFFFF for i in range(each)] for line in lines], np.uint32
        )

    banks = sorted(name for name in MANIFEST["images"] if name.startswith("vector"))
    vector = [words(MANIFEST["images"][name], 1)[:, 0] for name in banks]
    deepest = max(map(len, vector))
    together = np.stack([np.pad(bank, (0, deepest - len(bank))) for bank in vector], 1).reshape(-1)
    rows = [words(MANIFEST["images"][f"row_{b:02}"], ROW_WORDS) for b in range(CONFIG["ways"])]
    return {
        VECTOR: together[: CONFIG["vector_depth"]],
        ROWS: np.stack(rows, 1).reshape(-1),
        PROGRAM: words("program.hex", 16).reshape(-1),
    }


class System:
    """A master, a source, a sink, and a monitor of what the core drives."""

    def __init__(self, dut, patience: float = 0.3) -> None:
        self.dut, self.patience, self.violations = dut, patience, []
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        write, read = self.master.write_if, self.master.read_if
        for log in (write.log, read.log, self.source.log, self.sink.log):
            log.setLevel(logging.WARNING)
        channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
        self.channels = (*channels, self.source, self.sink)
        self.pause(patience)
        for prefix, channel in CHANNELS.items():
            cocotb.start_soon(self.monitor(prefix, *channel))

    def pause(self, patience: float) -> None:
        for channel in self.channels:
            if patience:
                channel.set_pause_generator(pauses(patience, random.getrandbits(30)))
            else:
                channel.clear_pause_generator()
                channel.pause = False

    async def reset(self) -> System:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.source.clear()
        self.sink.clear()
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)
        return self

    async def reset_by_software(self) -> None:
        """As the guide says: what takes the stream begins anew. The bus goes on: its response waits to be taken."""
        responses = self.master.write_if.b_channel
        responses.clear_pause_generator()
        responses.pause = True
        response = cocotb.start_soon(self.write("ABORT", 2))
        await ClockCycles(self.dut.clk, 60)
        responses.pause = False
        assert await with_timeout(response, 2, "us") == AxiResp.OKAY
        self.pause(self.patience)
        self.sink.assert_reset()
        await ClockCycles(self.dut.clk, 2)
        self.sink.assert_reset(False)
        self.sink.clear()

    async def monitor(self, prefix: str, valid: str, ready: str, payload: tuple[str, ...]) -> None:
        """A valid and its payload hold until the ready, or a reset, which that by software is not to the bus."""
        valid, ready = getattr(self.dut, prefix + valid), getattr(self.dut, prefix + ready)
        payload = [getattr(self.dut, prefix + name) for name in payload]
        waiting = None
        while True:
            if valid.value == 0 and waiting is None:
                await RisingEdge(valid)
            await FallingEdge(self.dut.clk)
            if self.dut.rst.value == 1 or (prefix == "m_axis_t" and self.dut.core_reset.value == 1):
                waiting = None
                continue
            now = (int(valid.value), *(str(part.value) for part in payload))
            if waiting not in (None, now):
                self.violations.append(f"{prefix}: {waiting} became {now}")
            waiting = now if now[0] and ready.value == 0 else None

    async def write(self, register: int | str, word: int) -> AxiResp:
        TRANSFERS["accesses"] += 1
        address = OFFSETS[register] if isinstance(register, str) else register
        return (await self.master.write(address, int(word).to_bytes(4, "little"))).resp

    async def read(self, register: int | str) -> tuple[AxiResp, int]:
        TRANSFERS["accesses"] += 1
        address = OFFSETS[register] if isinstance(register, str) else register
        answer = await self.master.read(address, 4)
        return answer.resp, int.from_bytes(answer.data, "little")

    async def value(self, register: str) -> int:
        response, word = await self.read(register)
        assert response == AxiResp.OKAY
        return word

    async def set(self, **registers: int) -> None:
        for name, word in registers.items():
            assert await self.write(name, word) == AxiResp.OKAY, name

    async def error(self) -> int:
        """What ERROR holds, which is cleared."""
        error = await self.value("ERROR")
        await self.set(ERROR=error)
        return error

    async def idle(self, bits: int) -> int:
        """Ten times as long as a token takes, at most."""
        for _ in range(2000):
            if not (status := await self.value("STATUS")) & bits:
                return status
            await ClockCycles(self.dut.clk, random.randrange(1, 100))
        raise AssertionError(f"STATUS is still {status}")

    async def send(self, target: int, address: int, words: np.ndarray) -> None:
        """A transfer in, of one frame; the words come before or after it is started."""
        TRANSFERS["words"] += len(words)
        await self.set(TARGET=target, ADDRESS=address, LENGTH=len(words))
        frame = AxiStreamFrame(words.astype("<u4").tobytes())
        early = random.random() < 0.5
        if early:
            self.source.send_nowait(frame)
        await self.set(TRANSFER=1)
        if not early:
            self.source.send_nowait(frame)
        assert await self.idle(STREAMING) & (SHORT | LONG) == 0

    async def receive(self, target: int, address: int, length: int) -> np.ndarray:
        """The one frame of a transfer out."""
        TRANSFERS["words"] += length
        await self.set(TARGET=target, ADDRESS=address, LENGTH=length, TRANSFER=2)
        frame = await self.sink.recv()
        await self.idle(STREAMING)
        assert self.sink.empty()
        return np.frombuffer(bytes(frame.tdata), "<u4")

    async def run(self, entry: int, control: int) -> None:
        await self.set(ENTRY=entry, CONTROL=control)
        self.pause(0)
        assert await self.idle(BUSY) & DONE
        self.pause(self.patience)

    async def load(self) -> None:
        for target, words in images().items():
            await self.send(target, 0, words)

    async def clear(self) -> None:
        await self.run(MANIFEST["clear_entry"], 3)
        await self.set(POSITION=0)

    async def tokens(self, count: int, first: int = 0) -> None:
        """As many tokens as expected words say, from the first on."""
        for number in range(first, first + count):
            await self.send(VECTOR, MANIFEST["input"]["address"], INPUT[number])
            await self.run(MANIFEST["token_entry"], 1)
            output = MANIFEST["output"]
            assert (
                await self.receive(VECTOR, output["address"], output["words"]) == EXPECTED[number]
            ).all(), number
            assert await self.value("POSITION") == number + 1
        assert await self.value("ERROR") == 0

    def check(self) -> None:
        assert not self.violations, self.violations[:4]


async def loaded(dut) -> System:
    """With the images in the memories, loaded without pauses."""
    system = await System(dut, 0).reset()
    await system.load()
    system.patience = 0.3
    system.pause(0.3)
    return system


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def model_over_the_streams(dut):
    """Images in, tokens to the end of the context. A token beyond is refused, and nothing of the memories changes;
    after a clear all is as before.
    """
    system = await System(dut).reset()
    await system.load()
    words = CONFIG["row_depth"] * CONFIG["ways"] * ROW_WORDS
    assert await system.value("CONTEXT") == MANIFEST["context"] == len(EXPECTED)
    await system.clear()
    await system.tokens(len(EXPECTED))
    before = await system.receive(ROWS, 0, words)
    for _ in range(3):
        assert await system.write("CONTROL", 1) == AxiResp.SLVERR
        assert await system.error() == ERROR["context"]
        assert await system.value("POSITION") == len(EXPECTED)
    assert (await system.receive(ROWS, 0, words) == before).all()
    await system.clear()
    await system.tokens(len(EXPECTED))
    await system.clear()
    await system.set(CONTEXT=1)
    await system.tokens(1)
    assert await system.write("CONTROL", 1) == AxiResp.SLVERR
    system.check()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def memories_read_back(dut):
    """What was loaded comes back; a cleared state is zeros and a used one is not; caches can be saved and restored."""
    system = await loaded(dut)
    for target, words in images().items():
        assert (await system.receive(target, 0, len(words)) == words).all(), target
        part = random.randrange(len(words))
        unit = {VECTOR: 1, ROWS: ROW_WORDS * CONFIG["ways"], PROGRAM: 16}[target]
        found = await system.receive(target, part // unit, min(7, len(words) - part // unit * unit))
        assert (found == words[part // unit * unit :][: len(found)]).all(), target
    states = CONFIG["state_depth"] * CONFIG["ways"] * 2 * ROW_WORDS
    used = MANIFEST["used"]["state_words_per_bank"] * CONFIG["ways"] * 2 * ROW_WORDS
    await system.clear()
    assert not (await system.receive(STATE, 0, states))[:used].any()
    await system.tokens(2)
    state = await system.receive(STATE, 0, states)
    halves = state.view(np.uint8).reshape(-1, CONFIG["ways"], 2, 4 * ROW_WORDS)[..., : CONFIG["lanes"]]
    found = (halves[:, :, 0] | halves[:, :, 1].astype(np.uint16) << 8).view(np.int16)
    assert (found[: len(STATES)] == STATES).all()
    words = CONFIG["row_depth"] * CONFIG["ways"] * ROW_WORDS
    caches = await system.receive(ROWS, 0, words)
    await system.send(ROWS, 0, np.zeros(words, np.uint32))
    await system.send(ROWS, 0, caches)
    await system.tokens(2, first=2)
    system.check()


def instruction(word: int, **fields: int) -> np.ndarray:
    """An instruction's 16 words, with other values in some fields, named by their path (`fields.store.base`)."""
    for path, value in fields.items():
        shape, low = INSTRUCTION, 0
        for name in path.split("__"):
            field = shape[name]
            low, shape = low + field.offset, field.shape
        width = field.width
        word = word & ~(((1 << width) - 1) << low) | value << low
    return np.array([word >> 32 * i & 0xFFFFFFFF for i in range(16)], np.uint32)


def program() -> list[int]:
    """The image's instructions."""
    return [int(line, 16) for line in (DESIGN / "program.hex").read_text().split()]


def first_of(unit: Unit) -> int:
    """The image's first instruction of a unit."""
    return next(word for word in program() if word & 7 == unit.value)


def first_rows(rows: int, states: int) -> dict[str, np.ndarray]:
    """An instruction of every unit that goes by rows, from row number `rows` or `states` on."""
    array = {"common__block_end": 0, "fields__array__base": rows}
    return {
        "store": instruction(first_of(Unit.STORE), common__block_end=0, fields__store__base=rows),
        "gather": instruction(first_of(Unit.GATHER), **array, fields__array__state=0),
        "state": instruction(
            first_of(Unit.GATHER), **(array | {"fields__array__base": states}), fields__array__state=1
        ),
        "scatter": instruction(first_of(Unit.SCATTER), fields__array__base=states),
        "sweep": instruction(first_of(Unit.SWEEP), fields__sweep__base=states),
    }


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def programs_that_cannot_run(dut):
    """An instruction that the core has not, rows and words that memories have not, a program without an end: an error,
    and memories are as before.
    """
    system = await loaded(dut)
    last = CONFIG["program_depth"] - 1
    words, rows, states = (CONFIG[f"{name}_depth"] for name in ("vector", "row", "state"))
    lengths = {VECTOR: words, ROWS: rows * CONFIG["ways"] * ROW_WORDS}
    lengths[STATE] = states * CONFIG["ways"] * 2 * ROW_WORDS

    async def memories() -> list[np.ndarray]:
        return [await system.receive(target, 0, length) for target, length in lengths.items()]

    async def run_two(words: np.ndarray) -> int:
        """An instruction and the end behind it; -> ERROR."""
        await system.send(PROGRAM, last - 1, np.concatenate([words, instruction(0)]))
        await system.run(last - 1, 3)
        return await system.error()

    plain = {f"fields__pointwise__{name}": 0 for name in ("operation", "statistic", "has_b", "has_scalar")}
    multiply = {"word": first_of(Unit.POINTWISE), "common__block_end": 0, **plain}
    await system.clear()
    await system.tokens(1)
    before = await memories()
    wrong = {"no unit": instruction(0, common__unit=7), **first_rows(rows, states)}
    wrong |= {f"far {what}": word for what, word in first_rows(2**31 + 3, 2**31 + 3).items()}
    for what, word in wrong.items():
        assert await run_two(word) == ERROR["program"], what
    for place in (words, words + 64, 2**23):
        assert await run_two(instruction(**multiply, fields__pointwise__dst=place)) == ERROR["memory"]
    for was, now in zip(before, await memories(), strict=True):
        assert (was == now).all()
    for what, word in first_rows(rows - 1, states - 1).items():
        assert await run_two(word) == 0, what
    assert await run_two(instruction(**multiply, fields__pointwise__a=words + 64)) == ERROR["memory"]
    await system.send(PROGRAM, last, instruction(**multiply))
    await system.run(last, 3)
    assert await system.error() == ERROR["program"]
    for entry in (last + 1, 2**24 - 1):
        await system.set(ENTRY=entry)
        assert await system.write("CONTROL", 1) == AxiResp.SLVERR
        assert await system.error() == ERROR["entry"]
    await system.load()
    await system.clear()
    await system.tokens(2)
    system.check()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def accesses_of_any_kind(dut):
    """Addresses with and without a register, single bytes, unaligned words, more than one register at once."""
    system = await System(dut).reset()
    known = {register.offset: register for register in REGISTERS}
    for address in [*range(0, 0x200, 4), 0x400, 0x1000, 0x8000, 0xFFFC]:
        response, word = await system.read(address)
        assert response == (AxiResp.OKAY if address in known else AxiResp.DECERR), hex(address)
        assert address in known or word == 0
        if address not in known:
            assert await system.write(address, 0xFFFFFFFF) == AxiResp.DECERR
        elif known[address].access == "R":
            assert await system.write(address, 0xFFFFFFFF) == AxiResp.SLVERR
    for name in ("ENTRY", "POSITION", "TARGET", "ADDRESS", "LENGTH", "CONTEXT", "IRQ_MASK"):
        register, held = known[OFFSETS[name]], 0
        await system.set(**{name: 0})
        for _ in range(12):
            low = random.randrange(4)
            data = random.randbytes(random.randint(1, 4 - low))
            await system.master.write(register.offset + low, data)
            for i, byte in enumerate(data):
                held = held & ~(0xFF << 8 * (low + i)) | byte << 8 * (low + i)
            held &= (1 << register.width) - 1
            assert await system.value(name) == held, name
            some = await system.master.read(register.offset + low, len(data))
            assert some.data == held.to_bytes(4, "little")[low : low + len(data)]
    words = bytes(range(8))
    assert (await system.master.write(OFFSETS["ADDRESS"], words)).resp == AxiResp.OKAY
    assert (await system.master.read(OFFSETS["ADDRESS"], 8)).data == words
    system.check()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def accesses_while_it_runs(dut):
    """Traffic on both channels does not disturb a run, whose end the interrupt line tells."""
    system = await loaded(dut)
    await system.clear()
    await system.set(IRQ_MASK=1, ENTRY=MANIFEST["token_entry"])
    for number in range(2):
        await system.send(VECTOR, MANIFEST["input"]["address"], INPUT[number])
        await system.set(IRQ_STATUS=3, CONTROL=1)
        refused = 0
        while dut.irq.value == 0:
            for name in ("TRANSFER", "POSITION", "CONTEXT", "CONTROL"):
                running = dut.irq.value == 0
                refused += await system.write(name, 77 if name == "CONTEXT" else 9) == AxiResp.SLVERR
                assert refused or not running
                if dut.irq.value == 1:
                    break
            assert await system.value("ID") == 0x53504B45
        assert refused > 10
        await system.idle(BUSY)
        await system.set(CONTEXT=MANIFEST["context"], POSITION=number + 1)
        output = MANIFEST["output"]
        assert (await system.receive(VECTOR, output["address"], output["words"]) == EXPECTED[number]).all()
    system.check()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def resets_in_the_middle(dut):
    """By the line and by software, in a token, a transfer in and a transfer out; then everything works."""
    system = await loaded(dut)
    for case in range(12):
        await system.clear()
        await system.set(IRQ_MASK=7)
        if case % 3 == 0:
            await system.send(VECTOR, MANIFEST["input"]["address"], INPUT[0])
            await system.set(ENTRY=MANIFEST["token_entry"], CONTROL=1)
            await ClockCycles(dut.clk, random.randrange(1, 600))
            assert await system.value("STATUS") & BUSY
        elif case % 3 == 1:
            await system.set(
                TARGET=VECTOR, ADDRESS=MANIFEST["input"]["address"], LENGTH=len(INPUT[0]), TRANSFER=1
            )
            system.source.send_nowait(AxiStreamFrame(INPUT[1].tobytes()))
            await ClockCycles(dut.clk, random.randrange(1, 12))
        else:
            await system.set(TARGET=VECTOR, ADDRESS=0, LENGTH=40, TRANSFER=2)
            await ClockCycles(dut.clk, random.randrange(1, 60))
        if case % 2:
            await system.reset_by_software()
        else:
            await system.reset()
        assert await system.value("STATUS") == 0
        for name in ("ENTRY", "POSITION", "TARGET", "ADDRESS", "LENGTH", "ERROR", "IRQ_MASK", "IRQ_STATUS"):
            assert await system.value(name) == 0, name
        assert await system.value("CYCLES_LOW") == 0
        if case % 2 and not system.source.idle():
            await system.set(TRANSFER=3)
            await system.idle(STREAMING)
            assert system.source.idle()
        await system.clear()
        await system.tokens(1)
    await system.clear()
    await system.tokens(2)
    system.check()
    dut._log.info("%s", TRANSFERS)
    assert sum(TRANSFERS.values()) >= 10_000
