"""The SSE state: gather, scatter and lazy decay against plain arithmetic, and the error of the delta rule."""

from __future__ import annotations

import numpy as np
import pytest

from spikesim.golden.state import State
from spikesim.program import StateSpec
from spikesim.program.scalar import constant, pack, unpack


def _state(size: int = 8, copies: int = 3, sequences: int = 2, heads: int = 2) -> State:
    return State(StateSpec(copies=copies, heads=heads, size=size), sequences)


def test_scatter_and_gather_touch_only_the_chosen_copy() -> None:
    """Each sequence writes the copy it names; the others keep their value."""
    state = _state()
    generator = np.random.default_rng(1)
    counts = generator.integers(-127, 128, (2, 2, 8)).astype(np.int32)
    update = generator.integers(-200, 201, (2, 2, 8)).astype(np.int32)
    copy = np.array([2, 0])
    state.scatter(counts, update, 0, copy)
    expected = np.zeros_like(state.rows, dtype=np.int64)
    for b in range(2):
        expected[b, copy[b]] = np.einsum("hi,hj->hij", counts[b], update[b])
    assert np.array_equal(state.rows, expected.astype(np.int16))
    read = np.zeros((2, 2, 8), np.int32)
    state.gather(read, counts, copy)
    for b in range(2):
        assert np.array_equal(
            read[b], np.einsum("hi,hij->hj", counts[b], state.rows[b, copy[b]].astype(np.int64))
        )


def test_wraps_are_counted_and_undone_by_the_opposite_update() -> None:
    """A word wraps modulo 2^16, never saturates, so that the order of events cannot matter."""
    state = _state(size=2, copies=1, sequences=1, heads=1)
    counts, update, copy = (
        np.full((1, 1, 2), 127, np.int32),
        np.full((1, 1, 2), 300, np.int32),
        np.zeros(1, np.int64),
    )
    state.scatter(counts, update, 0, copy)
    assert state.overflows == 4
    state.scatter(counts, -update, 0, copy)
    assert not state.rows.any()


@pytest.mark.parametrize("factor", [0.999, 0.7, 0.5, 0.3, 1e-3, 1e-12])
def test_lazy_decay_is_the_product_of_factors(factor: float) -> None:
    """G · rows follows factor^n; rows are shifted only when G leaves [½, 1)."""
    state = _state(size=1, copies=1, sequences=1, heads=1)
    state.rows[...] = 20000
    word = np.array([[pack(constant(factor))]], np.int32)
    new, shifts, copy = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32), np.zeros(1, np.int64)
    true, swept = 20000.0 * unpack(state.factors)[0, 0, 0], 0
    for step in range(12):
        before = state.rows.copy()
        state.decay(new, shifts, word, copy)
        true *= factor
        scale = unpack(new)[0, 0]
        assert 0.5 <= scale < 1
        swept += int(shifts[0, 0] > 0)
        if shifts[0, 0] == 0:
            assert np.array_equal(state.rows, before)
        # one rounding of half a word per sweep, and 2^−16 relative per product
        assert (
            abs(scale * state.rows[0, 0, 0, 0, 0] - true) <= 0.5 * (swept + 1) + true * (step + 1) * 2.0**-15
        )
    if factor > 0.99:
        assert swept <= 1


def test_delta_rule_follows_float64() -> None:
    """A long random run of the gated delta rule in integers against float64: the error stated in docs/numerics.md.

    Keys are exact (their counts are the keys), so that only the state's arithmetic is measured.
    """
    generator = np.random.default_rng(5)
    size, steps, fraction = 16, 400, 12
    state = _state(size=size, copies=1, sequences=1, heads=1)
    truth = np.zeros((size, size))
    new, shifts, copy = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32), np.zeros(1, np.int64)
    errors, power = [], []
    for _ in range(steps):
        k = generator.integers(-15, 16, size).astype(np.int32)
        v = generator.normal(size=size)
        decay, beta = generator.uniform(0.9, 1.0), generator.uniform(0.2, 1.0)
        unit = k / np.sqrt((k.astype(float) ** 2).sum())
        word = np.array([[pack(constant(decay))]], np.int32)
        state.decay(new, shifts, word, copy)
        scale = unpack(new)[0, 0]
        read = np.zeros((1, 1, size), np.int32)
        state.gather(read, k[None, None], copy)
        norm = np.sqrt((k.astype(float) ** 2).sum())
        predicted = read[0, 0] * scale / norm / 2**fraction
        update = np.rint(beta * (v - predicted) / norm / scale * 2 ** (fraction + 6)).astype(np.int32)
        state.scatter(k[None, None], update[None, None], 6, copy)
        truth *= decay
        truth += np.outer(unit, beta * (v - truth.T @ unit))
        q = generator.normal(size=size)
        exact = truth.T @ q
        errors.append(((state.rows[0, 0, 0] * scale / 2**fraction).T @ q - exact) ** 2)
        power.append(exact**2)
    assert state.overflows == 0
    assert np.sqrt(np.mean(errors) / np.mean(power)) < 4e-3
