"""Bench of `PointwiseUnit`, its rounding shifter and its normaliser, against the golden model's functions.

Each random case draws an instruction, puts its operands into memory and lets the golden model say which words are
written; words, their number, saturations and cycles must agree.
"""

from __future__ import annotations

import os
import random

import cocotb
import numpy as np
from benches.vector_memory import Bench, any_word
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from spikesim.golden import pointwise, scalars
from spikesim.golden.arithmetic import pack_scalar, round_shift
from spikesim.golden.state import State
from spikesim.program import StateSpec
from spikesim.rtl.isa import PointwiseOperation, Statistic
from spikesim.timing import POINTWISE_TAIL, pointwise_latency
from spikesim.timing import pointwise as pointwise_cycles

STATISTICS = [
    Statistic.NONE,
    Statistic.SUM,
    Statistic.SUM_ABS,
    Statistic.SUM_SQUARES,
    Statistic.MAX_ABS,
    Statistic.MAX,
]
LOOKUPS = {
    PointwiseOperation.SIGMOID: "sigmoid",
    PointwiseOperation.SOFTPLUS: "softplus",
    PointwiseOperation.STEP: "step",
}
WORDS = int(os.environ["BENCH_WORDS"])
"""Words per cycle of the unit under test."""
PACKED = ("INVERT", "ROOT", "SCALAR_MULTIPLY", "EXPONENTIAL", "DECAY")
"""Operations that make packed scalars: a word a slot."""
REGION = 1 << 16
"""Words between the places of operands."""


def any_scalar(*, spread: int = 40) -> int:
    """A packed scalar: normalised or zero, its exponent mostly within `spread` of −15, rarely anywhere."""
    if random.random() < 0.05:
        return 0
    mantissa = random.choice([32768, 65535, 49152, random.randrange(32768, 65536)])
    exponent = random.randint(-15 - spread, -15 + spread)
    if random.random() < 0.1:
        exponent = random.choice(
            [-32768, 32767, -1024, -1025, -1023, -512, 1023, random.randint(-32768, 32767)]
        )
    return exponent * 65536 + mantissa


class Case:
    """One random instruction: its fields, the operands in memory, the words the golden model writes.

    `places`: of memory, where its operands and results may lie.
    """

    def __init__(
        self,
        bench: Bench,
        operation: PointwiseOperation,
        *,
        largest: int = 24,
        places: range = range(1, 200),
        tail: int = pointwise_latency(WORDS),
    ) -> None:
        self.bench, self.operation = bench, operation
        self.groups = random.choice([1, 1, 2, 3, 5])
        self.n = random.choice([1, 2, 3, WORDS, WORDS + 1, random.randint(1, largest)])
        self.slots, self.clipped, self.expected = 1, 0, {}
        order = random.sample(places, 5)
        self.at = {
            name: place * REGION + random.randrange(64)
            for name, place in zip(("a", "b", "scalar", "dst", "result"), order, strict=True)
        }
        self.fields = {
            "operation": operation, "limit": random.getrandbits(31), "fraction": random.randrange(32),
            "shift": random.randint(-5, 30), "shift_b": random.randint(-5, 30), "block_start": 0, "tail": tail,
            "mantissa": random.getrandbits(16), "exponent": random.randint(-60, 40), **self.at,
        }  # fmt: skip
        self.resolved = {"n": self.n, "position": random.getrandbits(17), "slot": random.getrandbits(17),
                         "offset": random.randrange(REGION // 4)}  # fmt: skip
        self.partition = 0
        if operation == PointwiseOperation.ROTATE:
            self.n += self.n % 2
            self.resolved["n"] = self.n
        for name in self.at:
            self.fields[f"{name}_stride"] = self.n + random.randrange(4)
        getattr(self, "_lookup" if operation in LOOKUPS else f"_{operation.name.lower()}")()

    # Operands and results

    def _operand(self, name: str, make=any_word, *, offset: int = 0, step: bool | None = None) -> np.ndarray:
        """int32[1, groups, n] of new random words of an operand, sometimes one word per group or one run for all."""
        step = random.random() < 0.8 if step is None else step
        if random.random() < 0.2:
            self.fields[f"{name}_stride"] = 0
        self.fields[f"{name}_step"] = int(step)
        stride, rows = self.fields[f"{name}_stride"], []
        places = [
            [self.at[name] + offset + g * stride + j * step for j in range(self.n)]
            for g in range(self.groups)
        ]
        for address in {address for row in places for address in row}:
            self.bench.memory[address] = make()
        rows = [[self.bench.memory[address] for address in row] for row in places]
        return np.array([rows], np.int32)

    def _scalars(self, make=any_scalar, *, has: bool | None = None) -> np.ndarray:
        """int32[1, groups]: one word per group; `has_scalar` sometimes off."""
        has = random.random() < 0.6 if has is None else has
        self.fields["has_scalar"] = int(has)
        if random.random() < 0.3:
            self.fields["scalar_stride"] = 0
        words = []
        for g in range(self.groups):
            address = self.at["scalar"] + g * self.fields["scalar_stride"]
            if g == 0 or self.fields["scalar_stride"]:
                self.bench.memory[address] = make()
            words.append(self.bench.memory[address])
        return np.array([words], np.int32)

    def _writes(self, words: np.ndarray, name: str = "dst", *, offset: int = 0) -> None:
        """The destination gets [groups, n] words."""
        for g, row in enumerate(words.reshape(self.groups, self.n).tolist()):
            for j, word in enumerate(row):
                self.expected[self.at[name] + offset + g * self.fields[f"{name}_stride"] + j] = word

    def _kind(self, *kinds: Statistic) -> int:
        kind = random.choice(kinds or STATISTICS)
        self.fields["statistic"] = kind
        return STATISTICS.index(kind)

    def _statistics(self, words: np.ndarray) -> None:
        if self.fields["statistic"] != Statistic.NONE:
            for g, word in enumerate(words.reshape(-1).tolist()):
                self.expected[self.at["result"] + g * self.fields["result_stride"]] = word

    def _empty(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, self.groups, self.n), np.int32), np.zeros((1, self.groups), np.int32)

    # Operations

    def _multiply(self) -> None:
        kind = self._kind()
        nonnegative = kind == 1
        word = (lambda: abs(any_word()) & 0x7FFFFFFF) if nonnegative else any_word
        a = self._operand("a", word)
        b = self._operand("b", (lambda: abs(any_word(17))) if nonnegative else lambda: any_word(18))
        has_b = random.random() < 0.6
        scalar = self._scalars(lambda: any_scalar(spread=random.choice([10, 80])))
        self.fields |= {"has_b": int(has_b), "clip": random.randrange(2)}
        for name in ("shift", "shift_b"):
            if random.random() < 0.15:
                self.fields[name] = random.choice(
                    [-2048, 2047, -33, -32, -31, 31, 32, 47, 48, 49, 62, 63, 64]
                )
        limits = (
            [1, 127, 32767] if kind == 3 else [0, 127, 32767, 2**31 - 1, 2**31 - 2, random.getrandbits(31)]
        )
        self.fields["limit"] = random.choice(limits)
        dst, statistic = self._empty()
        clipped, _ = pointwise.multiply(
            dst, a, b, scalar, np.ones(dst.shape, bool), statistic, has_b, bool(self.fields["has_scalar"]), False,
            self.fields["shift_b"], self.fields["shift"], self.fields["limit"], kind,
        )  # fmt: skip
        self.clipped = clipped if self.fields["clip"] else 0
        self._writes(dst)
        self._statistics(statistic)

    def _add(self) -> None:
        kind = self._kind(*(k for k in STATISTICS if k != Statistic.SUM))
        a, b = self._operand("a"), self._operand("b")
        subtract = random.randrange(2)
        self.fields["limit"] = random.choice(
            [127, 32767] if kind == 3 else [0, 127, 2**31 - 1, random.getrandbits(31)]
        )
        self.fields |= {"has_b": 1, "subtract": subtract, "block_start": random.randrange(2)}
        self.resolved["slot"] = random.choice([0, 0, 1, 1 << 16])
        if self.fields["block_start"] and self.resolved["slot"] == 0:
            b = np.zeros_like(b)
        dst, statistic = self._empty()
        pointwise.add(dst, a, b, statistic, -1 if subtract else 1, self.fields["limit"], kind)
        self._writes(dst)
        self._statistics(statistic)

    def _reduce(self) -> None:
        kind = self._kind(*STATISTICS[1:])
        exponent = random.choice([-15, -3, -2, -1, 0, 1, 5, 16, 30, 31, 40, 1040, 2046, 2047, 32767, -32768])
        norm = self._scalars(lambda: random.choice([0, exponent * 65536 + random.randrange(32768, 65536)]))
        short = not self.fields["has_scalar"] or exponent < 16 or not norm.all()
        word = (lambda: any_word(16)) if kind == 3 and short else any_word
        a = self._operand("a", (lambda: abs(word()) & 0x7FFFFFFF) if kind == 1 else word)
        if random.random() < 0.3:
            self.fields["mantissa"] = 0
        if random.random() < 0.3:
            self.fields["exponent"] = random.choice([-2048, 2047, 31, 32, 33, 0])
        _, statistic = self._empty()
        pointwise.reduce(
            a,
            norm,
            statistic,
            bool(self.fields["has_scalar"]),
            self.fields["mantissa"],
            self.fields["exponent"],
            kind,
        )
        self._statistics(statistic)

    def _packed(self) -> np.ndarray:
        self.fields["exponent"] = random.choice([-2048, 2047, random.randint(-60, 40)])
        return self._operand("a", any_scalar)[0]

    def _invert(self, root: bool = False) -> None:
        src = self._packed()
        dst = np.zeros_like(src)
        scalars.invert(dst, src, root, self.fields["mantissa"], self.fields["exponent"])
        self._writes(dst)

    def _root(self) -> None:
        self._invert(root=True)

    def _scalar_multiply(self) -> None:
        a, b = self._packed(), self._operand("b", any_scalar)[0]
        dst = np.zeros_like(a)
        scalars.scalar_multiply(dst, a, b, self.fields["mantissa"], self.fields["exponent"])
        self._writes(dst)

    def _exponential(self) -> None:
        self.fields["fraction"] = random.randint(10, 22)
        src = self._operand("a")[0]
        dst = np.zeros_like(src)
        scalars.exponential(dst, src, self.fields["fraction"])
        self._writes(dst)

    def _lookup(self) -> None:
        fraction = self.fields["fraction"]
        near = [16 << fraction, (16 << fraction) - 1, 1 << max(fraction - 12, 0)]
        a = self._operand(
            "a", lambda: any_word() if random.random() < 0.7 else min(random.choice(near), 2**31 - 1)
        )
        dst, _ = self._empty()
        pointwise.lookup(dst, a, fraction, pointwise.LOOKUPS[LOOKUPS[self.operation]])
        self._writes(dst)

    def _softmax(self) -> None:
        self._kind(Statistic.SUM)
        fraction = self.fields["fraction"] = random.randint(10, 22)
        self.fields["limit"] = random.choice([127, 127, 2**31 - 1, 1, random.getrandbits(31)])
        width = random.choice([32, fraction, fraction + 3])
        a = self._operand("a", lambda: any_word(width))
        self.fields["has_scalar"] = 1
        self.fields["scalar_stride"] = 3
        maximum = a.max(axis=2)
        for g in range(self.groups):
            self.bench.memory[self.at["scalar"] + 3 * g] = int(maximum[0, g])
        dst, statistic = self._empty()
        pointwise.softmax_weights(
            dst, a, maximum, np.ones(dst.shape, bool), statistic, fraction, self.fields["limit"]
        )
        self._writes(dst)
        self._statistics(statistic)

    def _phase(self) -> None:
        self.slots, self.groups = 2, 1
        # multiples of a quarter turn, and anything
        if random.random() < 0.3:
            self.resolved["position"] = random.choice([0, 1, 2, 3, 1 << 16, (1 << 17) - 1])
        a = self._operand(
            "a", lambda: random.choice([-(2**31), 2**30, -(2**30), 2**28, any_word()]), step=True
        )
        cos, sin = np.zeros_like(a), np.zeros_like(a)
        pointwise.phase(cos, sin, np.array([self.resolved["position"]]), a)
        self._writes(cos)
        self._writes(sin, "result")

    def _rotate(self) -> None:
        self.slots = 2
        kind = self._kind(*(k for k in STATISTICS if k != Statistic.SUM))
        width = random.choice([16, 16, 32])
        a = self._operand("a", lambda: any_word(width), step=True)
        tables = []
        for name in ("b", "scalar"):
            self.fields[f"{name}_stride"] = 0
            words = [any_word(16) for _ in range(self.n // 2)]
            for k, word in enumerate(words):
                self.bench.memory[self.at[name] + k] = word
            tables.append(np.array([[words]], np.int32))
        self.fields |= {"b_step": 1, "has_b": 1, "limit": random.choice([32767, 0])}
        dst, statistic = self._empty()
        pointwise.rotate(dst, a, *tables, statistic, kind)
        self._writes(dst)
        self._statistics(statistic)

    def _decay(self) -> None:
        self.slots = 3
        self.partition = random.randrange(2)
        offset = self.resolved["offset"] = self.resolved["offset"] * self.partition
        full = random.random() < 0.5

        def small(*, spread: int = 40) -> int:
            """No product of two has an exponent above 16 bits."""
            return min(any_scalar(spread=spread), 1000 * 65536 + 65535)

        old = self._operand(
            "a", lambda: random.randint(-17, -15) * 65536 + random.randrange(32768, 65536) if full else small(),
            offset=offset, step=True,
        )[0]  # fmt: skip
        factor = self._operand("b", lambda: small(spread=18))[0]
        new, shifts = np.zeros_like(old), np.zeros_like(old)
        for g in range(self.groups):
            heads = self.n
            state = State(StateSpec(copies=1, heads=heads, size=0), sequences=1)
            state.factors[0, 0] = old[g]
            state.decay(new[g : g + 1], shifts[g : g + 1], factor[g : g + 1], np.zeros(1, np.int64))
        self._writes(new)
        self._writes(new, "result", offset=offset)
        self._writes(shifts, "scalar")

    # Running

    def group_slots(self) -> int:
        """Slots of a group's words: a rotation goes through its halves one by one."""
        words = 1 if self.operation.name in PACKED else WORDS
        if self.operation == PointwiseOperation.ROTATE:
            return 2 * self.slots * -(-(self.n // 2) // words)
        return self.slots * -(-self.n // words)

    async def run(self, *, reset_after: int | None = None) -> None:
        """Execute and check words, saturations and cycles."""
        await self.execute(reset_after=reset_after)
        if reset_after is None:
            try:
                self.bench.expect(self.expected)
            except AssertionError as error:
                raise AssertionError(
                    f"{self.groups} x {self.n} {self.fields} {self.resolved}: {error}"
                ) from None
            assert self.bench.clipped == self.clipped, f"{self.bench.clipped} clipped, not {self.clipped}"

    async def execute(self, *, reset_after: int | None = None, follows: bool = False) -> None:
        """Until its end; checks cycles."""
        common = {"groups": self.groups, "partition": self.partition, "length": random.getrandbits(24)}
        instruction = {"common": common, "fields": {"pointwise": self.fields}}
        cycles = await self.bench.run(instruction, self.resolved, reset_after=reset_after, follows=follows)
        if reset_after is None:
            expected = pointwise_cycles(self.groups, self.group_slots(), tail=self.fields["tail"])
            assert cycles == expected, f"{self.operation}: {cycles} cycles, not {expected}"


async def started(dut) -> Bench:
    """A unit after reset."""
    bench = Bench(dut)
    await bench.reset()
    return bench


@cocotb.test()
@cocotb.parametrize(name=[operation.name for operation in PointwiseOperation])
async def operation(dut, name):
    """Random instructions of one operation, back to back or with a pause."""
    bench = await started(dut)
    for _ in range(60 if name in ("MULTIPLY", "ADD", "REDUCE") else 30):
        await Case(bench, PointwiseOperation[name]).run()
        await bench.idle(random.choice([0, 0, 3]))


@cocotb.test()
async def long_runs(dut):
    """Runs longer than the pipeline is deep."""
    bench = await started(dut)
    for operation in PointwiseOperation:
        await Case(bench, operation, largest=150).run()


@cocotb.test()
async def mixed(dut):
    """Instructions of all operations in any order, each starting the cycle after the one before is done."""
    bench = await started(dut)
    for _ in range(100):
        await Case(bench, random.choice(list(PointwiseOperation)), largest=6).run()
        bench.written = []
        await bench.cycle()


@cocotb.test()
async def chained(dut):
    """Instructions follow into the pipeline while those before are in it, some as soon as they may."""
    bench = await started(dut)
    whole = pointwise_latency(WORDS)
    for _ in range(60):
        tails = [
            random.choice([POINTWISE_TAIL, POINTWISE_TAIL, random.randint(POINTWISE_TAIL, whole)])
            for _ in range(4)
        ]
        cases = [
            Case(
                bench,
                random.choice(list(PointwiseOperation)),
                largest=9,
                places=range(1 + 40 * k, 40 + 40 * k),
                tail=tail,
            )
            for k, tail in enumerate([*tails, whole])
        ]
        for k, case in enumerate(cases):
            await case.execute(follows=k > 0)
            await bench.cycle() if random.random() < 0.2 else None
        bench.expect({address: word for case in cases for address, word in case.expected.items()})
        assert bench.clipped == sum(case.clipped for case in cases)
        await bench.cycle()


@cocotb.test()
async def all_silent(dut):
    """Zero operands: zero results, and the statistic of zeros."""
    bench = await started(dut)
    for operation in (PointwiseOperation.MULTIPLY, PointwiseOperation.REDUCE, PointwiseOperation.ADD):
        for kind in STATISTICS[1:]:
            fields = {"operation": operation, "statistic": kind, "a": 1000, "b": 2000, "dst": 3000, "result": 4000,
                      "a_step": 1, "b_step": 1, "has_b": 1, "limit": 127, "tail": pointwise_latency(WORDS)}  # fmt: skip
            for j in range(16):
                bench.memory[1000 + j] = bench.memory[2000 + j] = 0
            await bench.run({"common": {"groups": 1}, "fields": {"pointwise": fields}}, {"n": 16})
            writes = {} if operation == PointwiseOperation.REDUCE else dict.fromkeys(range(3000, 3016), 0)
            bench.expect(writes | {4000: 0})
            await bench.cycle()


@cocotb.test()
async def reset_in_the_middle(dut):
    """A reset at any moment leaves nothing behind: no write, no done, and the next instruction is right."""
    bench = await started(dut)
    for _ in range(40):
        case = Case(bench, random.choice(list(PointwiseOperation)))
        await case.run(reset_after=random.randint(2, 20 + case.slots * case.n * case.groups))
        if random.random() < 0.5:
            await bench.idle(2 * pointwise_latency(WORDS))
        await Case(bench, random.choice(list(PointwiseOperation)), largest=6).run()
        await bench.cycle()


@cocotb.test()
async def rounding_shifter(dut):
    """The shifter alone: all shifts, ties, both signs, a new value every cycle."""
    Clock(dut.clk, 2, "ns").start()
    dut.rst.value, dut.there.value = 0, 0b111
    sent: list[tuple[int, int]] = []
    for _ in range(20_000):
        await FallingEdge(dut.clk)
        if len(sent) == 3:
            value, shift = sent.pop(0)
            exact = round_shift(value, shift) if shift > 0 else value << -shift
            overflow, result = int(dut.overflow.value), dut.result.value.to_signed()
            if overflow:
                assert abs(exact) >= 2**47 - 1, (value, shift)
                assert int(dut.negative.value) == (value < 0), (value, shift)
            else:
                assert result == exact, (value, shift, result, exact)
        shift = random.choice([random.randint(-32, 63), random.randint(0, 20)])
        value = any_word(51)
        if shift > 0 and random.random() < 0.5:  # a tie, or just beside one
            value = (value << shift) + (1 << shift >> 1) + random.choice([-1, 0, 0, 1])
            value = (value + 2**50) % 2**51 - 2**50
        sent.append((value, shift))
        dut.value.value, dut.shift.value = value & (2**51 - 1), shift & 127


@cocotb.test()
async def normaliser(dut):
    """The normaliser alone: all lengths, carries out of the mantissa, underflow, plain words."""
    Clock(dut.clk, 2, "ns").start()
    dut.rst.value = 0
    sent: list[tuple[int, int, int]] = []
    for _ in range(20_000):
        await FallingEdge(dut.clk)
        if len(sent) == 5:
            value, exponent, plain = sent.pop(0)
            word = value if plain else int(pack_scalar(value, exponent))
            assert int(dut.word.value) == word & 0xFFFFFFFF, (value, exponent, plain)
        width = random.randint(1, 55)
        value = random.choice([random.getrandbits(width), (1 << width) - 1, 1 << width >> 1])
        if width > 18 and random.random() < 0.4:  # ties
            value = (random.getrandbits(16) | 1 << 15) << (width - 16) | 1 << (width - 17)
            value += random.choice([-1, 0, 0, 1])
        lowest, highest = random.choice([(-2000, 2000), (-1090, -1000), (-(2**17), 2**17 - 1)])
        exponent = random.randint(lowest, highest)
        plain = int(random.random() < 0.1)
        if plain:
            value = random.choice([value, -value])
        sent.append((value, exponent, plain))
        dut.value.value, dut.exponent.value, dut.plain.value = (
            value & (2**56 - 1),
            exponent & (2**18 - 1),
            plain,
        )
