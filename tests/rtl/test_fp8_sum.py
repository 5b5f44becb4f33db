"""FP8: the array in Amaranth's simulator against the golden dot product, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from amaranth.sim import Simulator
from amaranth.sim._async import SimulatorContext
from numpy.typing import NDArray

from spikesim.golden import fp8
from spikesim.rtl.baseline.fp8_sum import PRODUCT_SCALE_BITS, Fp8Sum, fp8_latency

ALL_CODES = np.arange(256, dtype=np.uint8)
ZERO, SMALLEST, LARGEST_SUBNORMAL, SMALLEST_NORMAL, LARGEST, NAN = 0x00, 0x01, 0x07, 0x08, 0x7E, 0x7F
EXTREMES = [ZERO, SMALLEST, LARGEST_SUBNORMAL, SMALLEST_NORMAL, 0x37, 0x38, 0x7D, LARGEST]

Chunk = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""activations uint8[steps, ways], weights uint8[steps, ways, lanes]"""


def test_exact_sums_are_those_of_float64() -> None:
    """With nothing dropped and few enough channels that float64 is exact too."""
    generator = np.random.default_rng(1)
    codes = ALL_CODES[~fp8.is_nan(ALL_CODES)]
    activations, weights = generator.choice(codes, 64), generator.choice(codes, (64, 5))
    sums, nan = fp8.dot(activations, weights, dropped_bits=0)
    assert not nan.any()
    assert np.array_equal(
        np.ldexp(sums.astype(np.float64), -fp8.PRODUCT_SCALE_BITS),
        fp8.decode(activations) @ fp8.decode(weights),
    )
    assert PRODUCT_SCALE_BITS == fp8.PRODUCT_SCALE_BITS


def _simulate(unit: Fp8Sum, chunks: Sequence[Chunk], idle: int) -> list[tuple[list[int], list[int]]]:
    """(sums, nan) after every chunk. `idle`: an inactive cycle with garbage comes before every such step; 0: none."""
    steps: list[tuple[int, int, NDArray[np.uint8], NDArray[np.uint8], bool]] = []
    garbage = np.full(unit.ways, NAN, np.uint8), np.full((unit.ways, unit.lanes), NAN, np.uint8)
    for activations, weights in chunks:
        for i in range(len(activations)):
            if idle and i % idle == 0:
                steps.append((1, 0, *garbage, False))
            steps.append((int(i == 0), 1, activations[i], weights[i], i == len(activations) - 1))
    results = []

    async def bench(context: SimulatorContext) -> None:
        pending: dict[int, None] = {}
        latency = fp8_latency(unit.ways)
        for cycle in range(len(steps) + latency + 1):
            if cycle in pending:
                results.append(([context.get(s) for s in unit.sums], [context.get(n) for n in unit.nan]))
            if cycle < len(steps):
                first, active, activations, weights, last = steps[cycle]
                context.set(unit.step, {"first": first, "active": active})
                for way in range(unit.ways):
                    context.set(unit.activations[way], int(activations[way]))
                    context.set(unit.weights[way], int.from_bytes(weights[way].tobytes(), "little"))
                if last:
                    pending[cycle + latency] = None
            else:
                context.set(unit.step, {"first": 0, "active": 0})
            await context.tick()

    simulator = Simulator(unit)
    simulator.add_clock(2e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def _check(unit: Fp8Sum, chunks: Sequence[Chunk], idle: int = 0) -> None:
    results = _simulate(unit, chunks, idle)
    assert len(results) == len(chunks)
    for (activations, weights), (sums, nans) in zip(chunks, results, strict=True):
        expected, nan = fp8.dot(activations.reshape(-1), weights.reshape(-1, unit.lanes), unit.dropped_bits)
        assert nans == nan.astype(int).tolist()
        clean = [not n for n in nans]
        assert [s for s, c in zip(sums, clean, strict=True) if c] == expected[~nan].tolist()


@pytest.mark.parametrize(
    ("ways", "lanes", "dropped_bits", "idle"),
    [(1, 1, 12, 2), (3, 2, 12, 0), (4, 2, 0, 2), (4, 1, 16, 2), (16, 1, 12, 0), (16, 1, 0, 0)],
)
def test_random_codes(ways: int, lanes: int, dropped_bits: int, idle: int) -> None:
    """All codes, a NaN, chunks of one step and more, back to back or with inactive cycles of garbage."""
    generator = np.random.default_rng([ways, dropped_bits])
    codes = ALL_CODES[~fp8.is_nan(ALL_CODES)]
    chunks = []
    for steps in (1, 2, 7, 1, 12):
        chunks.append((generator.choice(codes, (steps, ways)), generator.choice(codes, (steps, ways, lanes))))
    chunks[3][1][0, 0, lanes - 1] = 0xFF
    _check(Fp8Sum(ways=ways, lanes=lanes, dropped_bits=dropped_bits), chunks, idle)


@pytest.mark.parametrize("dropped_bits", [0, 12])
def test_extremes(dropped_bits: int) -> None:
    """Every pair of extreme numbers and signs in a chunk of its own, zeros of both signs beside it."""
    weights_of_lanes = np.array(EXTREMES, np.uint8)
    chunks = []
    for i, a in enumerate(EXTREMES + [code | 0x80 for code in EXTREMES]):
        for sign in (0, 0x80):
            activations = np.full((1, 2), 0x80 * (i & 1), np.uint8)
            weights = np.full((1, 2, len(EXTREMES)), 0x80 - sign, np.uint8)
            activations[0, i % 2] = a
            weights[0, i % 2] = weights_of_lanes | sign
            chunks.append((activations, weights))
    _check(Fp8Sum(ways=2, lanes=len(EXTREMES), dropped_bits=dropped_bits), chunks)


@pytest.mark.parametrize("dropped_bits", [0, 12])
def test_largest_sums_and_full_cancellation(dropped_bits: int) -> None:
    """All of the largest magnitude, of either sign; and pairs that cancel, which leaves exactly zero."""
    ways, steps = 8, 20
    unit = Fp8Sum(ways=ways, lanes=3, dropped_bits=dropped_bits)
    activations = np.full((steps, ways), LARGEST, np.uint8)
    weights = np.empty((steps, ways, 3), np.uint8)
    weights[..., 0], weights[..., 1] = LARGEST, LARGEST | 0x80
    generator = np.random.default_rng(3)
    half = generator.integers(0, NAN, (steps, ways // 2), dtype=np.uint8)
    weights[:, ::2, 2], weights[:, 1::2, 2] = half, half | 0x80
    _check(unit, [(activations, weights)])
    assert fp8.dot(activations.reshape(-1), weights.reshape(-1, 3), dropped_bits)[0][2] == 0


def test_nan_sticks_until_the_next_chunk() -> None:
    """In an activation it spoils all lanes, in a weight one; the chunk after it is clean."""
    ways = 4
    clean = np.full((3, ways), 0x38, np.uint8), np.full((3, ways, 2), 0x38, np.uint8)
    bad_activation = clean[0].copy(), clean[1]
    bad_activation[0][0, 2] = NAN
    bad_weight = clean[0], clean[1].copy()
    bad_weight[1][1, 3, 1] = NAN | 0x80
    chunks = [bad_activation, clean, bad_weight, clean]
    results = _simulate(Fp8Sum(ways=ways, lanes=2), chunks, 0)
    assert [nan for _, nan in results] == [[1, 1], [0, 0], [0, 1], [0, 0]]
    _check(Fp8Sum(ways=ways, lanes=2), chunks)


@pytest.mark.parametrize("dropped_bits", [0, 12])
def test_accumulators_hold_what_is_stated(dropped_bits: int) -> None:
    """2^15 products of the largest magnitude."""
    unit = Fp8Sum(ways=1, lanes=1, dropped_bits=dropped_bits)
    unit._MustUse__silence = True  # Amaranth warns of components that are never built
    assert unit.accumulator_bits == 52 - dropped_bits
    largest = (int(fp8.integers(np.array([LARGEST], np.uint8))[0]) ** 2) >> dropped_bits
    assert largest * 2**15 < 2 ** (unit.accumulator_bits - 1)
