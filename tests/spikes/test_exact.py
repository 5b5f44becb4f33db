"""What is documented as exact is, over its whole range, by Python's integers; what has no value is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikesim.errors import CodingError, NumericError
from spikesim.spikes.arrays import integer_array
from spikesim.spikes.digits import COUNT_CODINGS, UNSIGNED_CODINGS, digits, plane_weights, steps_for
from spikesim.spikes.encode import CODINGS, encode
from spikesim.spikes.events import MAX_CHANNELS, event_statistics
from spikesim.spikes.matmul import spike_matmul
from spikesim.spikes.quantise import adaptive_threshold, int8_absmax, quantize_weight
from spikesim.spikes.statistics import SpikeStatistics

LARGEST = 2**62 - 1
WEIGHTED = [coding for coding in CODINGS if coding not in COUNT_CODINGS]

codings = st.sampled_from(CODINGS)


def whole_range(coding: str) -> st.SearchStrategy[int]:
    """Every legal count, the ends and their neighbours more often."""
    ends = [0, 1, 127, 128, 2**31 - 1, 2**31, 2**53 + 1, 2**61, LARGEST - 1, LARGEST]
    legal = st.sampled_from(ends) | st.integers(0, LARGEST)
    return legal if coding in UNSIGNED_CODINGS else legal | legal.map(lambda n: -n)


def python_spikes(value: int, coding: str, steps: int) -> int:
    """Spikes of one integer by definition."""
    if coding in COUNT_CODINGS:
        return abs(value)
    if coding == "twos_complement":
        return (value % 2**steps).bit_count()
    if coding == "signed_digit":
        half = abs(value) >> 1
        return ((abs(value) + half) ^ half).bit_count()
    return abs(value).bit_count()


@tried(8, "counts up to ±(2^62 − 1), encoded", "they are decoded to the same integers")
@given(st.data(), codings)
def test_every_legal_count_comes_back(data: st.DataObject, coding: str) -> None:
    counts = data.draw(st.lists(whole_range(coding), min_size=1, max_size=5))
    train = encode(counts, coding)
    assert train.decode().tolist() == counts
    again = encode(counts, coding, train.steps)
    assert np.array_equal(again.bits, train.bits)
    if coding not in COUNT_CODINGS:
        weights = [int(weight) for weight in train.weights]
        dense = train.dense().tolist()
        assert [
            sum(w * s for w, s in zip(weights, column, strict=True)) for column in zip(*dense, strict=True)
        ] == counts


@tried(
    8, "counts whose spikes are 2^63 or more together", "the number of spikes is theirs, the firing rate 1"
)
def test_spikes_beyond_int64_are_counted() -> None:
    train = encode([2**61] * 4, "binary")
    assert (train.n_spikes, train.firing_rate) == (2**63, 1.0)
    train = encode([-LARGEST] * 7, "ternary")
    assert (train.n_spikes, train.firing_rate) == (7 * LARGEST, 1.0)


@given(st.data(), codings)
def test_spikes_are_counted_without_end(data: st.DataObject, coding: str) -> None:
    counts = data.draw(st.lists(whole_range(coding), min_size=1, max_size=9))
    train = encode(counts, coding)
    spikes = sum(python_spikes(count, coding, train.steps) for count in counts)
    assert train.n_spikes == spikes
    assert train.firing_rate == float(Fraction(spikes, max(1, len(counts) * train.steps)))


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([2**62], marks=tried(8, "a count of 2^62", "it is refused by its value")),
        pytest.param(
            [-(2**63)],
            marks=tried(8, "the smallest int64, which has no magnitude", "it is refused by its value"),
        ),
        pytest.param(
            np.array([2**63 + 5], np.uint64),
            marks=tried(8, "unsigned counts above 2^63", "they are refused by value"),
        ),
        pytest.param(
            torch.tensor([-(2**62)]), marks=tried(8, "a tensor of −2^62", "it is refused by its value")
        ),
    ],
)
@pytest.mark.parametrize(
    "function",
    [
        encode,
        SpikeStatistics.of,
        lambda counts: digits(counts, "bitwise"),
    ],
    ids=["encode", "statistics", "digits"],
)
def test_counts_of_63_bits_are_refused(function: Any, counts: Any) -> None:
    with pytest.raises(
        CodingError, match=rf"^counts must be smaller than 2\^62 in magnitude, not {abs(int(counts[0]))}$"
    ):
        function(counts)


# ------------------------------------------------------------------------------------------------------ products


def python_product(counts: list[list[int]], matrix: list[list[int]]) -> list[list[int]]:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*matrix, strict=True)]
        for row in counts
    ]


@tried(
    8, "spike_matmul of any counts and weights", "the integers of Python, or a sentence if one leaves int64"
)
@given(st.data(), codings)
def test_products_are_exact_or_refused(data: st.DataObject, coding: str) -> None:
    rows, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    small = st.integers(0 if coding in UNSIGNED_CODINGS else -(2**20), 2**20)
    count = data.draw(st.sampled_from([small, whole_range(coding)]))
    weight = data.draw(
        st.sampled_from([st.integers(-128, 127), st.integers(-(2**43), 2**43), whole_range("bitwise")])
    )
    counts = [[data.draw(count) for _ in range(inputs)] for _ in range(rows)]
    matrix = [[data.draw(weight) for _ in range(outputs)] for _ in range(inputs)]
    expected = python_product(counts, matrix)
    largest = max(abs(value) for row in expected for value in row)
    if largest < 2**63:
        assert spike_matmul(encode(counts, coding), matrix).tolist() == expected
    else:
        with pytest.raises(
            CodingError, match=r"^sums of spikes × weights must be within ±\(2\^63 − 1\), not "
        ):
            spike_matmul(encode(counts, coding), matrix)


@tried(8, "a product of 2^92 in spike_matmul", "it is refused; it was 0")
def test_product_beyond_int64_is_refused() -> None:
    with pytest.raises(CodingError, match=f"not {2**92}$"):
        spike_matmul(encode([[2**30, 2**30]]), [[2**61], [2**61]])
    assert spike_matmul(encode([[2**30, -(2**30)]]), [[2**61], [2**61]]).tolist() == [[0]]


@tried(8, "spike_matmul of a train of 2^62 − 1 steps", "the exact product, without a loop over the steps")
def test_product_of_many_steps() -> None:
    assert spike_matmul(encode([[LARGEST, 5]], "binary"), [[1, 0], [1, 2]]).tolist() == [[LARGEST + 5, 10]]


# ------------------------------------------------------------------------------------------------------- planes


@pytest.mark.parametrize("coding", WEIGHTED)
def test_plane_weights_are_powers_of_two(coding: str) -> None:
    most = steps_for(LARGEST, coding)
    assert plane_weights(coding, most).tolist() == [2**p for p in range(most)]
    with pytest.raises(
        CodingError, match=rf"^planes of the {coding} coding must be in 1 … {most}, not {most + 1}$"
    ):
        plane_weights(coding, most + 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: plane_weights("bitwise", 64),
            "planes of the bitwise coding must be in 1 … 62, not 64",
            marks=tried(8, "the weights of 64 planes", "they are refused: the last is no int64"),
        ),
        pytest.param(
            lambda: digits([1], "signed_digit", 64),
            "planes of the signed_digit coding must be in 1 … 63, not 64",
            marks=tried(8, "64 digits of a number", "they are refused"),
        ),
        pytest.param(
            lambda: encode([1], "ternary", 2**62),
            rf"steps of the ternary coding must be below 2\^62, not {2**62}",
            marks=tried(8, "2^62 steps of a coding whose spikes all weigh one", "they are refused"),
        ),
        pytest.param(
            lambda: encode([1], "ternary", 10**4000),
            r"steps of the ternary coding must be below 2\^62, not an integer of 13,288 bits",
            marks=tried(8, "a number of steps of 4,000 digits", "its bits are named"),
        ),
        pytest.param(
            lambda: steps_for(-1, "ternary"),
            r"the largest magnitude must be in 0 … 2\^62 − 1, not -1",
            marks=tried(8, "the steps of a magnitude below 0", "it is refused"),
        ),
        pytest.param(
            lambda: encode([[2**61]], "ternary").dense(),
            "a train, unpacked, must fit in memory, not take 2305843009213693952 bytes",
            marks=tried(8, "2^61 steps, unpacked", "their size is named, nothing is begun"),
        ),
        pytest.param(
            lambda: encode([2**61], "ternary").weights,
            "the weight of every plane must fit in memory, not take .* bytes",
            marks=tried(8, "the weights of 2^61 steps", "their size is named"),
        ),
        pytest.param(
            lambda: encode([2**31], "binary").events(),
            r"counts must be below 2\^31 for their spikes to be listed, not 2147483648",
            marks=tried(8, "a list of spikes whose steps are beyond int32", "it is refused"),
        ),
        pytest.param(
            lambda: digits([1], "ternary", 2**61),
            "a byte per digit must fit in memory, not take .* bytes",
            marks=tried(8, "2^61 digits of a number", "their size is named"),
        ),
    ],
)
def test_numbers_of_planes_without_a_value(call: Any, message: str) -> None:
    with pytest.raises(CodingError, match=f"^{message}$"):
        call()


def test_spikes_of_large_counts_are_listed_level_by_level() -> None:
    """One loop per count that occurs, not one per step."""
    events = encode([100_000, -3, 0, 100_000], "ternary").events()
    assert len(events) == 200_003
    assert events.step[-1] == 99_999
    assert events.index[:6].tolist() == [0, 1, 3, 0, 1, 3]
    assert events.sign[:6].tolist() == [1, -1, 1, 1, -1, 1]


# --------------------------------------------------------------------------------------------------- statistics


@tried(
    8,
    "statistics of any counts, however often each occurs",
    "every share and mean is that of Python's integers",
)
@given(st.lists(st.tuples(st.integers(0, LARGEST), st.integers(1, LARGEST)), min_size=1, max_size=6))
def test_means_are_those_of_integers(pairs: list[tuple[int, int]]) -> None:
    table = dict(pairs)
    magnitudes = sorted(table)
    stats = SpikeStatistics(
        magnitudes=np.array(magnitudes), occurrences=np.array([table[size] for size in magnitudes])
    )
    elements = sum(table.values())
    assert stats.elements == elements

    def mean(of: Any) -> float:
        return float(Fraction(sum(of(size) * n for size, n in table.items()), elements))

    assert stats.average == mean(lambda size: size)
    assert stats.average_spikes == mean(int.bit_count)
    assert stats.average_naf_spikes == mean(lambda size: python_spikes(size, "signed_digit", 63))
    assert stats.silent == mean(lambda size: size == 0)


@tried(8, "statistics added to themselves until a number leaves int64", "the sum is refused")
def test_sums_of_statistics_do_not_wrap() -> None:
    stats = SpikeStatistics.of([3])
    for _ in range(61):
        stats += stats
    assert (stats.elements, stats.average) == (2**61, 3.0)
    with pytest.raises(CodingError, match=r"^occurrences must be smaller than 2\^62 in magnitude, not "):
        stats + stats


@tried(8, "127 events in each of 2^24 channels", "their sum, just below 2^31")
def test_longest_row_of_events() -> None:
    counts = np.full((1, MAX_CHANNELS), 127, np.int8)
    stats = event_statistics(counts, 1, "ternary")
    assert stats.events.tolist() == stats.row_order_cycles.tolist() == [127 * 2**24]


@tried(8, "a row of more channels than a 32-bit sum of events has room for", "it is refused by its channels")
def test_longer_rows_are_refused() -> None:
    counts = np.broadcast_to(np.int8(127), (1, MAX_CHANNELS + 1))
    with pytest.raises(CodingError, match=r"^counts must be of at most 16,777,216 channels, not 16,777,217$"):
        event_statistics(counts, 1, "ternary")


# ---------------------------------------------------------------------------------------------------- quantising


@tried(
    8, "an activation that is exactly 2^31 thresholds, saturated to 31 planes", "2^31 − 1, counted as clipped"
)
def test_largest_window_saturates_at_its_edge() -> None:
    x = np.array([[2.0**31 * 1e4, -(2.0**31) * 1e4]], np.float32)
    counts, threshold, clipped = adaptive_threshold(x, window=31)
    assert threshold.tolist() == [[1e4]]
    assert np.abs(x / threshold).min() >= 2.0**31
    assert (counts.tolist(), clipped) == ([[2**31 - 1, -(2**31) + 1]], 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(
            lambda: adaptive_threshold(np.zeros((1, 2)), 1e-50),
            CodingError,
            "k must be in the range of float32, not 1e-50",
            marks=tried(
                8, "a threshold factor that float32 rounds to 0", "it is refused; silence became −2^31"
            ),
        ),
        pytest.param(
            lambda: adaptive_threshold([[1.0]], float("inf")),
            CodingError,
            "k must be in the range of float32, not inf",
            marks=tried(8, "an infinite threshold factor", "it is refused"),
        ),
        pytest.param(
            lambda: int8_absmax([1e300]),
            NumericError,
            r"values to quantise must be finite in float32, not 1e\+300",
            marks=tried(8, "float64 values beyond float32, quantised", "the value itself is named"),
        ),
        pytest.param(
            lambda: int8_absmax(np.array([1 + 2j])),
            CodingError,
            "x must be real numbers, not complex128",
            marks=tried(8, "complex values, quantised", "they are refused; their imaginary part was dropped"),
        ),
        pytest.param(
            lambda: int8_absmax([1.0, 2.0], scale=[[1.0], [2.0]]),
            CodingError,
            r"scale must be of a shape that broadcasts to \(2,\), not \(2, 1\)",
            marks=tried(
                8, "a scale of more axes than the values", "it is refused; the counts took its shape"
            ),
        ),
        pytest.param(
            lambda: int8_absmax([1.0], scale=1e-60),
            CodingError,
            r"scale must be greater than 0, not 0\.0",
            marks=tried(8, "a scale that float32 rounds to 0", "it is refused"),
        ),
    ],
)
def test_numbers_that_float32_does_not_have(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        call()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("x", "counts", "threshold"),
    [
        pytest.param(
            np.float32([[3e38, -3e38]]),
            [[127, -127]],
            1e4,
            marks=tried(
                8, "activations whose sum is beyond float32", "the threshold is at its limit, no warning"
            ),
        ),
        pytest.param(
            np.full((1, 4), 65504, np.float16),
            [[7, 7, 7, 7]],
            1e4,
            marks=tried(
                8, "float16 activations whose sum is beyond float16", "the threshold is at its limit"
            ),
        ),
        pytest.param(
            np.float32([[1e-45, 0]]),
            [[0, 0]],
            1e-5,
            marks=tried(8, "subnormal activations", "all counts are 0"),
        ),
        pytest.param(
            np.zeros((1, 3)),
            [[0, 0, 0]],
            1e-5,
            marks=tried(8, "a row of zeros, quantised", "all counts are 0"),
        ),
        pytest.param(
            torch.full((1, 4), 65504, dtype=torch.float16),
            [[7, 7, 7, 7]],
            1e4,
            marks=tried(8, "a float16 tensor whose sum is beyond float16", "the threshold is at its limit"),
        ),
    ],
)
def test_extremes_of_activations(x: Any, counts: list[list[int]], threshold: float) -> None:
    quantised = adaptive_threshold(x, window=7)
    assert quantised.counts.tolist() == counts
    assert quantised.scale.reshape(-1).tolist() == [np.float32(threshold)]


@pytest.mark.filterwarnings("error")
def test_quotients_beyond_float32_saturate() -> None:
    quantised = int8_absmax(np.float32([3e38, -3e38, 0]), scale=1e-3)
    assert (quantised.counts.tolist(), quantised.clipped) == ([127, -127, 0], 2)
    quantised = quantize_weight(np.float32([[3e38, 1.0]]), scale=np.float32([[1e-3]]))
    assert (quantised.counts.tolist(), quantised.clipped) == ([[127, 127]], 2)


@given(
    hnp.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.floats(1e-30, 1e30),
    st.integers(1, 31),
)
def test_saturated_counts_stay_in_their_window(x: np.ndarray, k: float, window: int) -> None:
    quantised = adaptive_threshold(x, k, window)
    limit = 2**window - 1
    exact = np.round(x / quantised.scale).astype(np.float64)
    assert quantised.counts.tolist() == np.clip(exact, -limit, limit).astype(np.int64).tolist()
    assert quantised.clipped == np.count_nonzero(np.abs(exact) > limit)


def test_integer_array_takes_the_whole_range() -> None:
    assert integer_array(np.array([LARGEST], np.uint64)).tolist() == [LARGEST]
