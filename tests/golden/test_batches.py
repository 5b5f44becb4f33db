"""Batches of many words, which several threads share, against the same words a few at a time."""

from __future__ import annotations

import numpy as np
import pytest

from spikesim.golden import pointwise
from spikesim.golden.batches import in_batches
from spikesim.golden.pointwise import REDUCTIONS
from spikesim.support.threads import ONE_THREAD

BATCH, GROUPS, LENGTH = 400, 3, 128
assert BATCH * GROUPS * LENGTH > ONE_THREAD


def _words(seed: int) -> np.ndarray:
    shape = BATCH, GROUPS, LENGTH
    return np.random.default_rng(seed).integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)


@pytest.mark.parametrize("kind", ["sum_abs", "sum_squares", "max"])
def test_words_statistics_and_sums(kind: str) -> None:
    """What is returned for each part adds up."""
    a, b = _words(0), _words(1)
    scalar = np.full((BATCH, GROUPS), -15 * 65536 + 40_000, np.int32)
    none = np.zeros((1, 1, 1), np.bool_)

    def products(start: int, stop: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        size = stop - start
        dst, statistic = np.zeros((size, GROUPS, LENGTH), np.int32), np.zeros((size, GROUPS), np.int32)
        views = dst, a[start:stop], b[start:stop], scalar[start:stop], none, statistic
        settings = True, True, False, 30, 0, 2**20, REDUCTIONS[kind]
        return dst, statistic, in_batches(pointwise.multiply, views, *settings)

    words, statistics, cut = products(0, BATCH)
    few = [products(start, start + 10) for start in range(0, BATCH, 10)]
    assert np.array_equal(words, np.concatenate([part[0] for part in few]))
    assert np.array_equal(statistics, np.concatenate([part[1] for part in few]))
    assert cut == tuple(np.sum([part[2] for part in few], axis=0))
    assert 0 < cut[0] < words.size


def test_nothing_is_returned_for_nothing() -> None:
    a, statistic = _words(2), np.zeros((BATCH, GROUPS), np.int32)
    assert in_batches(pointwise.reduce, (a, statistic, statistic), False, 0, 0, REDUCTIONS["max"]) == ()
    assert np.array_equal(statistic, a.max(axis=2))
