"""Spike statistics: the published definitions on golden vectors, merging, and every integer type."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from helpers.places import VECTORS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikesim.errors import CodingError
from spikesim.spikes.encode import encode
from spikesim.spikes.quantise import adaptive_threshold
from spikesim.spikes.statistics import DEFINITIONS, SpikeStatistics

V = np.load(VECTORS / "spike_threshold.npz")
GOLDEN = {
    "avg_spikes": "average_spikes",
    "silent": "silent",
    "le7": "in_window",
    "gt16": "above_16",
    **{f"sparsity3_{name}": f"sparsity3_{name}" for name in ("sat", "in", "drop", "low", "all")},
}

counts_of_any_type = st.sampled_from([np.int8, np.uint8, np.int16, np.int32, np.int64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(max_dims=3, min_side=0),
        elements=st.integers(max(np.iinfo(dtype).min, -(2**40)), min(np.iinfo(dtype).max, 2**40)),
    )
)


@pytest.mark.parametrize("name", ["gauss", "laplace"])
@pytest.mark.parametrize("k", [2.0, 3.0, 4.0])
def test_golden_statistics(name: str, k: float) -> None:
    stats = SpikeStatistics.of(adaptive_threshold(V[f"stat_{name}_x"], k).counts)
    for golden, own in GOLDEN.items():
        assert getattr(stats, own) == pytest.approx(float(V[f"stat_{name}_k{k}__{golden}"]), abs=1e-12), own


@pytest.mark.parametrize("name", ["gauss", "laplace"])
def test_golden_sparsity_of_int8(name: str) -> None:
    stats = SpikeStatistics.of(V[f"int8spk_{name}_int"])
    want = pytest.approx(float(V[f"int8spk_{name}_sparsity"]), abs=1e-6)
    assert stats.to_dict()["sparsity"] == stats.sparsity() == stats.sparsity(7) == want
    assert stats.to_dict()["steps"] == V[f"int8spk_{name}_T"]


@given(counts_of_any_type.filter(lambda counts: counts.size > 0), st.integers(1, 12) | st.none())
def test_agrees_with_the_spike_trains(counts: np.ndarray, steps: int | None) -> None:
    stats = SpikeStatistics.of(counts)
    train = encode(counts, "bitwise", steps)
    assert stats.steps(steps) == train.steps
    assert stats.sparsity(steps) == pytest.approx(1 - train.firing_rate)
    assert stats.average_spikes == pytest.approx(encode(counts, "bitwise").n_spikes / counts.size)
    assert stats.average_naf_spikes == pytest.approx(encode(counts, "signed_digit").n_spikes / counts.size)
    assert (stats.elements, stats.largest) == (counts.size, np.abs(counts.astype(np.int64)).max())


@given(st.lists(counts_of_any_type, max_size=4))
def test_sums_are_the_statistics_of_everything(batches: list[np.ndarray]) -> None:
    total = sum((SpikeStatistics.of(batch) for batch in batches), start=SpikeStatistics.empty())
    everything = np.concatenate(
        [np.zeros(0, np.int64), *(batch.astype(np.int64).ravel() for batch in batches)]
    )
    want = SpikeStatistics.of(everything)
    assert np.array_equal(total.magnitudes, want.magnitudes)
    assert np.array_equal(total.occurrences, want.occurrences)


def test_by_hand() -> None:
    stats = SpikeStatistics.of([0, -1, 3, 7, 8, 16, -17, 23])
    assert stats.to_dict() == pytest.approx(
        {
            "elements": 8,
            "largest": 23,
            "silent": 1 / 8,
            "average_spikes": (0 + 1 + 2 + 3 + 1 + 1 + 2 + 4) / 8,
            "average_naf_spikes": (0 + 1 + 2 + 2 + 1 + 1 + 2 + 3) / 8,  # 23 = 32 − 8 − 1
            "in_window": 4 / 8,
            "above_16": 2 / 8,
            "sparsity3_all": 1 - 14 / 24,
            "sparsity3_in": 1 - 6 / 12,
            "sparsity3_drop": 1 - 6 / 24,
            "sparsity3_sat": 1 - (6 + 4 * 3) / 24,
            "sparsity3_low": 1 - (6 + 0 + 0 + 1 + 3) / 24,
            "steps": 5,
            "sparsity": 1 - 14 / 40,
        }
    )
    assert stats.to_dict(3)["sparsity"] == stats.sparsity3_low


def test_every_quantity_is_defined_and_plain() -> None:
    quantities = SpikeStatistics.of(torch.tensor([1, -200])).to_dict()
    assert list(quantities) == list(DEFINITIONS)
    assert json.loads(json.dumps(quantities)) == quantities


def test_sparsity_within_an_empty_window() -> None:
    assert SpikeStatistics.of([8, 9]).sparsity3_in == 1


def test_int8_extremes() -> None:
    stats = SpikeStatistics.of(np.int8([-128, -128, 127]))
    assert stats.magnitudes.tolist() == [127, 128]
    assert stats.occurrences.tolist() == [1, 2]


def test_undefined_and_illegal() -> None:
    with pytest.raises(CodingError, match=r"^statistics must be of one element or more, not of none$"):
        SpikeStatistics.empty().to_dict()
    with pytest.raises(CodingError, match=r"^steps must be in 1 … 62, not 0$"):
        SpikeStatistics.of([1]).sparsity(0)
    with pytest.raises(CodingError, match=r"^counts must be integers, not float64$"):
        SpikeStatistics.of([0.5])
