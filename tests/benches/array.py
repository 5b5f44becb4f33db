"""Bench of `ArrayUnit`: random gathers, scatters, sweeps and stores back to back, in every form, against the golden
model: words written, contents of both memories, cycles of each instruction, counters.
"""

from __future__ import annotations

import json
import os
import random

import cocotb
import numpy as np
from benches.array_reference import COUNTERS, Outcome, Reference
from benches.vector_memory import Bench

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import row_read_cycles
from spikesim.rtl.isa import Extent, RunLength, Unit

SETTINGS = json.loads(os.environ["BENCH"])
CONFIG = CoreConfig(**SETTINGS["config"])
WAYS, LANES, DEPTH = CONFIG.ways, CONFIG.lanes, CONFIG.row_depth
MOST = CONFIG.encoder_rows * WAYS
SETTLING = 24
"""Cycles after which all counters have arrived."""


class ArrayBench(Bench):
    """The unit with its memories, and the reference beside it."""

    def __init__(self, dut) -> None:
        super().__init__(dut)
        self.reference = Reference(CONFIG, self.memory)
        self.expected = dict.fromkeys(COUNTERS, 0)
        self.seen = dict.fromkeys(COUNTERS, 0)
        self.counters = {name: getattr(dut, name) for name in COUNTERS}
        self.free = 1000
        self.held: tuple[int, int] | None = None  # counts that the encoders keep: address and number
        self.state_reads = [getattr(dut, f"state_{bank}").memory.ram.read_enable for bank in range(WAYS)]
        self.watched: int | None = None  # words read of state memory while a sweep runs

    async def cycle(self) -> None:
        await super().cycle()
        if self.watched is not None:
            self.watched += sum(int(enable.value) for enable in self.state_reads)
        read = {name: int(handle.value) for name, handle in self.counters.items()}
        read["lanes"] *= read["active"]
        for name, value in read.items():
            self.seen[name] += value

    async def begin(self) -> None:
        self.dut.load__enable.value, self.dut.peek__enable.value = 0, 0
        await self.reset()
        await self.fill()

    async def fill(self) -> None:
        """Other rows through the host's port, other states through the back door."""
        generator = np.random.default_rng(random.getrandbits(32))
        rows, states = self.reference.rows, self.reference.states
        rows[...] = generator.integers(-128, 128, rows.shape)
        # A third of the places is extreme in all lanes and banks; the others tell places apart.
        rows[:, ::3] = generator.choice([-128, 127], rows[:, ::3].shape)
        states[...] = generator.choice([-32768, 32767], states.shape)
        states[...] = np.where(
            generator.random(states.shape) < 0.3, states, generator.integers(-32768, 32768, states.shape)
        )
        for bank in range(WAYS):
            ram = getattr(self.dut, f"state_{bank}").memory.ram.words
            for place in range(DEPTH):
                await self.load(bank, place, rows[bank, place])
                ram[place].value = int.from_bytes(states[bank, place].tobytes(), "little")
        self.dut.load__enable.value = 0
        await self.cycle()

    async def load(self, bank: int, place: int, row: np.ndarray) -> None:
        self.dut.load__enable.value, self.dut.load__bank.value = 1, bank
        self.dut.load__address.value = place
        self.dut.load__data.value = int.from_bytes(row.tobytes(), "little")
        await self.cycle()

    async def verify(self) -> None:
        """Everything the unit has done so far has arrived."""
        await self.idle(SETTLING)
        assert self.seen == self.expected, f"counters {self.seen}, not {self.expected}"
        await self.memories()

    async def memories(self) -> None:
        for bank in range(WAYS):
            for name, image in (("row", self.reference.rows), ("state", self.reference.states)):
                ram = getattr(self.dut, f"{name}_{bank}").memory.ram.words
                width = image.itemsize * LANES
                for place in range(DEPTH):
                    found = int(ram[place].value).to_bytes(width, "little")
                    want = image[bank, place].tobytes()
                    assert found == want, f"{name} {bank}, place {place}: {found.hex()}, not {want.hex()}"

    async def read_back(self, count: int) -> None:
        """Words of rows and states through the host's port, one a cycle or with a pause, against the reference."""
        row_words, waiting = -(-LANES // 4), []
        peek = {
            name: getattr(self.dut, f"peek__{name}")
            for name in ("enable", "state", "bank", "address", "word")
        }
        for number in range(count + row_read_cycles(CONFIG) - 1):
            state, bank, place = random.randrange(2), random.randrange(WAYS), random.randrange(DEPTH)
            asked = number < count and random.random() < 0.9
            word = random.randrange(row_words * (1 + state))
            for handle, value in zip(peek.values(), (asked, state, bank, place, word), strict=True):
                handle.value = int(value)
            row = (self.reference.states if state else self.reference.rows)[bank, place]
            parts = [row, row >> 8] if state else [row]
            padded = [part.astype(np.uint8).tobytes().ljust(4 * row_words, b"\0") for part in parts]
            expected = int.from_bytes(b"".join(padded)[4 * word : 4 * word + 4], "little")
            waiting.append(expected if asked else None)
            await self.cycle()
            if len(waiting) == row_read_cycles(CONFIG):
                expected, found = waiting.pop(0), int(self.dut.peek__data.value)
                assert expected in (None, found), (expected, found)
        peek["enable"].value = 0

    def space(self, length: int) -> int:
        """A free piece of vector memory."""
        self.free += length + random.randrange(3)
        if self.free > 2**24 - 2**20:
            self.free = 1000 + length
        return self.free - length

    def counts(self, length: int, groups: int, *, all_there: bool = False) -> tuple[int, int]:
        """Address and stride of random operands: dense, sparse, silent, extreme, all in one bank."""
        stride = length + random.randrange(3)
        address = self.space(stride * groups)
        for g in range(groups):
            kind = random.randrange(8)
            bank = random.randrange(WAYS)
            for i in range(length):
                value = random.randint(-127, 127)
                if kind == 0:
                    value = 0
                elif kind == 1:
                    value = random.choice([-127, 127])
                elif kind == 2:
                    value = value if i % WAYS == bank else 0
                elif kind == 3:
                    value = value if random.random() < 0.1 else 0
                elif kind == 4:
                    value = random.choice([-1, 0, 1])
                elif kind == 5:
                    value = random.choice([-127, 127]) if i == length - 1 else 0
                if CONFIG.coding == "ternary" and not CONFIG.dense and random.random() < 0.8:
                    value = int(value / 16)
                self.memory[address + g * stride + i] = value
        return address, stride

    async def instruction(
        self, unit: Unit, common: dict, fields: dict, resolved: dict, *, cut: bool = False
    ) -> None:
        """Runs it and compares; with `cut`, resets the unit in the middle first and then runs it."""
        kind = {Unit.SWEEP: "sweep", Unit.STORE: "store"}.get(unit, "array")
        layout = {"common": {"unit": unit, **common}, "fields": {kind: fields}}
        if unit in (Unit.GATHER, Unit.SCATTER) or cut:
            self.held = None
        if cut:
            await self.idle(SETTLING)
            await self.run(layout, resolved, reset_after=random.randrange(2, 60))
            self.dut.rst.value = 1  # again, for an instruction that was shorter
            await self.cycle()
            self.dut.rst.value = 0
            if unit is not Unit.GATHER:
                await self.fill()  # part of its writes have happened
            self.seen = dict(self.expected)
            for port in self.ports:
                port.forget()
        outcome: Outcome = getattr(self.reference, unit.name.lower())(common, fields, resolved)
        await self.cycle()  # the earliest that the next can start is the cycle after `done`
        cycles = await self.run(layout, resolved)
        assert cycles == outcome.cycles, (
            f"{cycles} cycles, not {outcome.cycles}: {unit} {common} {fields} {resolved}"
        )
        self.expect(outcome.written)
        if os.environ.get("BENCH_DEEP") and unit is not Unit.GATHER:
            await self.cycle()
            await self.memories()
        for name, value in outcome.counters.items():
            self.expected[name] += value

    async def gather(self, *, cut: bool = False) -> None:
        groups = random.randint(1, 3)
        form = random.choice(["matrix", "state", "keys", "values", "key blocks", "value blocks"])
        channels = random.choice([1, random.randint(1, MOST), random.randint(1, min(MOST, 3 * WAYS + 1))])
        outputs = random.choice([1, LANES, random.randint(1, 4 * LANES)])
        span, finished = random.randint(1, 3 * WAYS), random.randrange(2**17)
        fields = {
            "run": {"k": RunLength.OUTPUTS, "v": RunLength.CHANNELS}.get(form[0], RunLength.STATIC),
            "state": int(form == "state"),
            "blocks": int("blocks" in form),
            "base": random.getrandbits(32),
            "head_stride": random.getrandbits(32),
            "sharing": (sharing := random.randint(1, 3)),
            "head_phase": random.randrange(sharing),
            "chunk_stride": random.getrandbits(24),
            "block_stride": random.getrandbits(24),
        }
        common = {"groups": groups, "extent": random.choice([Extent.FIXED, Extent.WINDOW, Extent.FULL])}
        resolved = {"n": random.randrange(1, 2**24), "finished": finished, "slot": 0, "blocks": 0}
        resolved["offset"] = random.getrandbits(32)
        if form == "keys":
            resolved["n"] = outputs
        elif form == "values":
            resolved["n"] = channels
        elif "blocks" in form:
            common |= {"extent": Extent.BLOCKS}
            if form == "value blocks":
                rows = random.choice([1, 2, 4])
                while rows * CONFIG.blocks > CONFIG.encoder_rows and rows > 1:
                    rows //= 2
                span = random.randint((rows // 2) * WAYS + 1, rows * WAYS)
                fields["block_bits"] = (-(-span // WAYS) - 1).bit_length()
                most = min(CONFIG.blocks, CONFIG.encoder_rows >> fields["block_bits"]) - 1
            else:
                span, most = random.randint(1, 3 * LANES), CONFIG.blocks - 1
            resolved["blocks"] = random.randint(0, most)
            resolved["slot"] = random.randrange(span)
            fields["selected_stride"] = random.randint(8, 12)
            fields["selected"] = self.space(fields["selected_stride"] * groups)
            for g in range(groups):
                for i in range(resolved["blocks"]):
                    self.memory[fields["selected"] + g * fields["selected_stride"] + i] = random.randrange(
                        2**17
                    )
            length = resolved["blocks"] * span + resolved["slot"] + 1
            channels, outputs = (channels, length) if form == "key blocks" else (length, outputs)
        common["span"] = span
        fields["counts"], fields["counts_stride"] = self.counts(channels, groups)
        fields["channels"] = channels if fields["run"] is not RunLength.CHANNELS else random.randrange(2**20)
        fields["outputs"] = outputs if fields["run"] is not RunLength.OUTPUTS else random.randrange(2**20)
        fields["dst_stride"] = outputs + random.randrange(3)
        fields["dst"] = self.space(fields["dst_stride"] * groups)
        held, whole = self.held, form in ("matrix", "state", "keys")
        fields["keep"] = int(held is not None and whole and not cut and random.random() < 0.6)
        if fields["keep"]:
            fields["counts"], fields["channels"] = held
            common["groups"] = 1
        await self.instruction(Unit.GATHER, common, fields, resolved, cut=cut)
        if whole and common["groups"] == 1:
            self.held = fields["counts"], fields["channels"]

    async def scatter(self, *, cut: bool = False) -> None:
        most = CONFIG.scatter_rows
        chunks = random.randint(1, 4)
        rows = random.randint(1, min(most, DEPTH // (4 * chunks)))
        groups = random.randint(1, 3)
        channels = random.randint((rows - 1) * WAYS + 1, rows * WAYS)
        columns = random.randint((chunks - 1) * LANES + 1, chunks * LANES)
        fields = {
            "state": 1,
            "channels": channels,
            "outputs": columns,
            "base": random.getrandbits(32),
            "head_stride": rows * chunks + random.randrange(3),
            "sharing": (sharing := random.randint(1, 2)),
            "head_phase": random.randrange(sharing),
            "chunk_stride": rows + random.randrange(2),
            "shift": random.choice([0, 0, 1, 6, 7, random.randrange(24), 23]),
        }
        fields["counts"], fields["counts_stride"] = self.counts(channels, groups)
        fields["dst_stride"] = columns + random.randrange(3)
        fields["dst"] = self.space(fields["dst_stride"] * groups)
        for i in range(fields["dst_stride"] * groups):
            value = random.choice([-32768, 32767, random.randint(-32768, 32767), random.randint(-50, 50)])
            self.memory[fields["dst"] + i] = value
        resolved = {"n": 1, "finished": 0, "slot": 0, "blocks": 3, "offset": random.getrandbits(32)}
        await self.instruction(Unit.SCATTER, {"groups": groups}, fields, resolved, cut=cut)

    async def sweep(self, *, cut: bool = False) -> None:
        groups = random.randint(1, 5)
        fields = {
            "shifts": self.space(groups),
            "base": random.getrandbits(32),
            "head_stride": random.randint(1, 40),
            "rows": random.randint(1, 20),
        }
        shifts = [
            random.choice([0, 0, -1, -(2**31), 1, 2, 15, 16, 17, random.randrange(32), 31])
            for _ in range(groups)
        ]
        for g, shift in enumerate(shifts):
            self.memory[fields["shifts"] + g] = shift
        resolved = {"n": 1, "finished": 0, "slot": 0, "blocks": 0, "offset": random.getrandbits(32)}
        self.watched = None if cut else 0
        await self.instruction(Unit.SWEEP, {"groups": groups}, fields, resolved, cut=cut)
        # Of a state of 16 bits a shift by 16 leaves nothing, so that there is nothing to read.
        read = WAYS * fields["rows"] * sum(0 < shift < 16 for shift in shifts)
        assert self.watched in (None, read), (
            f"{self.watched} words of state memory were read, not {read}, by {shifts}"
        )
        self.watched = None

    async def store(self, *, cut: bool = False) -> None:
        heads, size = random.randint(1, 4), random.choice([1, random.randint(1, 40)])
        stride = size + random.randrange(3)
        fields = {
            "columns": random.randrange(2),
            "finished": random.randrange(2),
            "src": self.space(stride * heads),
            "src_stride": stride,
            "size": size,
            "base": random.getrandbits(32),
            "head_stride": random.getrandbits(32),
            "chunk_stride": random.getrandbits(24),
            "block_stride": random.getrandbits(24),
        }
        for i in range(stride * heads):
            self.memory[fields["src"] + i] = random.randint(-127, 127)
        resolved = {
            "n": 1,
            "finished": random.getrandbits(17),
            "slot": random.getrandbits(17),
            "blocks": 0,
            "offset": 0,
        }
        await self.instruction(Unit.STORE, {"groups": heads}, fields, resolved, cut=cut)


@cocotb.test()
async def gathers(dut) -> None:
    bench = ArrayBench(dut)
    await bench.begin()
    for number in range(SETTINGS.get("gathers", 200)):
        await bench.gather()
        if number % 10 == 0:
            await bench.idle(3)
    await bench.verify()


@cocotb.test()
async def states(dut) -> None:
    """Scatters and sweeps, with gathers and stores between them."""
    bench = ArrayBench(dut)
    await bench.begin()
    for _ in range(SETTINGS.get("others", 120)):
        await random.choice([bench.scatter, bench.scatter, bench.sweep, bench.store, bench.gather])()
    await bench.verify()


@cocotb.test()
async def resets(dut) -> None:
    """An instruction of any kind that a reset cut off leaves nothing behind but what it has written."""
    bench = ArrayBench(dut)
    await bench.begin()
    for number in range(SETTINGS.get("resets", 20)):
        await bench.gather(cut=True)
        await (bench.scatter, bench.sweep, bench.store)[number % 3](cut=True)
        await random.choice([bench.scatter, bench.sweep, bench.store, bench.gather])()
    await bench.verify()


@cocotb.test()
async def words_read_back(dut) -> None:
    """What the host reads between instructions is what memories hold, and instructions do not notice."""
    bench = ArrayBench(dut)
    await bench.begin()
    for _ in range(8):
        for run in (bench.gather, bench.scatter, bench.gather, bench.store):
            await run()
            await bench.idle(2)
            await bench.read_back(random.randint(1, 60))
    await bench.verify()
