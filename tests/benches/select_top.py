"""Bench of `SelectUnit`, against the golden model's function."""

from __future__ import annotations

import random

import cocotb
import numpy as np
from benches.vector_memory import Bench, any_word

from spikesim.golden.select import select_top as golden
from spikesim.timing import select_top as select_cycles

A, DST = 1 << 12, 1 << 20


def words_of(kind: str) -> list[int]:
    """Where candidates come from: few values make ties, extremes test the comparison's sign."""
    return {
        "any": [any_word() for _ in range(200)],
        "ties": [random.randint(-2, 2) for _ in range(3)],
        "extremes": [-(2**31), 2**31 - 1, 0, -1],
        "equal": [any_word()],
    }[kind]


async def check(
    bench: Bench, kind: str, *, groups: int, n: int, count: int, reset_after: int | None = None
) -> None:
    """One instruction: its words and its cycles."""
    a_stride, dst_stride = n + random.randrange(5), count + random.randrange(5)
    if random.random() < 0.2:
        a_stride = 0
    values = words_of(kind)
    for address in range(A, A + (groups - 1) * a_stride + n):
        bench.memory[address] = random.choice(values)
    # the words behind the candidates are larger than all of them
    bench.memory[A + (groups - 1) * a_stride + n] = 2**31 - 1
    a = np.array([[[bench.memory[A + g * a_stride + i] for i in range(n)] for g in range(groups)]], np.int32)
    dst = np.zeros((1, groups, count), np.int32)
    golden(dst, a.reshape(1, groups, n), np.array([n]))
    instruction = {
        "common": {"groups": groups, "chosen": count},
        "fields": {"select": {"a": A, "a_stride": a_stride, "dst": DST, "dst_stride": dst_stride}},
    }
    cycles = await bench.run(instruction, {"n": n}, reset_after=reset_after)
    if reset_after is None:
        bench.expect(
            {DST + g * dst_stride + c: int(dst[0, g, c]) for g in range(groups) for c in range(count)}
        )
        expected = select_cycles(groups, count, n)
        assert cycles == expected, f"{groups} groups, {count} of {n}: {cycles} cycles, not {expected}"


async def started(dut) -> Bench:
    """A unit after reset."""
    bench = Bench(dut)
    await bench.reset()
    return bench


@cocotb.test()
async def every_small_shape(dut):
    """All counts of all numbers of candidates, more choices than candidates and none at all included."""
    bench = await started(dut)
    for n in range(9):
        for count in range(1, 10):
            await check(
                bench, random.choice(["any", "ties", "extremes", "equal"]), groups=2, n=n, count=count
            )
            await bench.idle(random.choice([0, 2]))


@cocotb.test()
async def random_instructions(dut):
    """Any words, many ties, extremes; back to back."""
    bench = await started(dut)
    for kind in ("any", "ties", "extremes", "equal") * 12:
        groups, count = random.randint(1, 4), random.randint(1, 8)
        await check(
            bench, kind, groups=groups, n=random.choice([1, count, random.randint(0, 70)]), count=count
        )
        bench.written = []
        await bench.cycle()


@cocotb.test()
async def many_choices(dut):
    """The largest count that an instruction can ask for."""
    bench = await started(dut)
    for n in (0, 1, 255, 300):
        await check(bench, "any", groups=1, n=n, count=255)
        await bench.cycle()


@cocotb.test()
async def reset_in_the_middle(dut):
    """A reset at any moment leaves nothing behind."""
    bench = await started(dut)
    for _ in range(40):
        await check(bench, "any", groups=3, n=12, count=3, reset_after=random.randint(2, 150))
        if random.random() < 0.5:
            await bench.idle(40)
        await check(bench, "ties", groups=2, n=random.randint(0, 12), count=3)
        await bench.cycle()
