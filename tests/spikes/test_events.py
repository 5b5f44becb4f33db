"""Event statistics against a slow reference that follows the definitions word by word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.played import plane_order_cycles, window_order_cycles, window_order_reads
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikesim.errors import CodingError
from spikesim.spikes.digits import COUNT_CODINGS
from spikesim.spikes.encode import CODINGS, INT8_PLANES, UNSIGNED_CODINGS, digits, encode
from spikesim.spikes.events import EventStatistics, event_statistics


def reference(
    counts: Any, ways: int, coding: str, skew: int = 0, scan: int | None = None, row_planes: int = 8
) -> dict[str, Any]:
    planes = digits(counts, coding) != 0
    rows, channels = counts.shape
    result: dict[str, Any] = {name: [] for name in ROW_FIELDS}
    for row in range(rows):
        in_bank = np.zeros((len(planes), ways), int)
        active = np.zeros(ways, int)
        for channel in range(channels):
            in_bank[:, channel % ways] += planes[:, row, channel]
            active[channel % ways] += counts[row, channel] != 0
        result["events"].append(in_bank.sum())
        result["active_rows"].append(active.sum())
        result["busiest_bank_active"].append(active.max())
        result["row_order_cycles"].append(in_bank.sum(axis=0).max())
        if coding in COUNT_CODINGS:
            played = result["row_order_cycles"][-1]
        else:
            played = plane_order_cycles(planes[:, row], ways, skew=skew, scan=scan or max(1, channels))
        result["plane_order_cycles"].append(played)
        if coding in COUNT_CODINGS:
            windowed, reads = result["row_order_cycles"][-1], active.sum()
        else:
            windowed = window_order_cycles(planes[:, row], ways, row_planes=row_planes)
            reads = window_order_reads(planes[:, row], ways, row_planes=row_planes)
        result["window_order_cycles"].append(windowed)
        result["window_order_reads"].append(reads)
    result["events_per_plane"] = planes.sum(axis=(1, 2))
    return result


ROW_FIELDS = (
    "events",
    "active_rows",
    "busiest_bank_active",
    "plane_order_cycles",
    "row_order_cycles",
    "window_order_cycles",
    "window_order_reads",
)


def check(stats: EventStatistics, counts: Any, **how: Any) -> None:
    expected = reference(counts, stats.ways, stats.coding, **how)
    for name in ROW_FIELDS:
        assert getattr(stats, name).dtype == np.int32
        assert getattr(stats, name).tolist() == [int(value) for value in expected[name]], name
    assert stats.events_per_plane.dtype == np.int64
    assert stats.events_per_plane.tolist() == expected["events_per_plane"].tolist()
    assert len(stats.events_per_plane) == INT8_PLANES[stats.coding]


@given(st.data(), st.sampled_from(CODINGS), st.integers(1, 20))
def test_statistics_follow_the_definitions(data: st.DataObject, coding: str, ways: int) -> None:
    shape = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 70)))
    largest = data.draw(st.sampled_from([1, 3, 16, 127]))
    low = 0 if coding in UNSIGNED_CODINGS else -largest
    counts = data.draw(hnp.arrays(np.int8, shape, elements=st.integers(low, largest), fill=st.just(0)))
    how = {"skew": data.draw(st.integers(0, 1)), "scan": data.draw(st.sampled_from([None, 1, 2, 3, 8]))}
    how["row_planes"] = data.draw(st.integers(1, 8))
    check(event_statistics(counts, ways, coding, **how), counts, **how)


@given(st.data(), st.sampled_from([0, 1]))
def test_counts_beyond_a_length_are_no_words(data: st.DataObject, skew: int) -> None:
    counts = data.draw(hnp.arrays(np.int8, (3, 20), elements=st.integers(-3, 3)))
    lengths = np.array(data.draw(st.lists(st.integers(0, 20), min_size=3, max_size=3)))
    counts[np.arange(20) >= lengths[:, None]] = 0
    stats = event_statistics(counts, 2, "bitwise", skew=skew, scan=2, lengths=lengths)
    for row, length in enumerate(lengths):
        one = event_statistics(counts[row : row + 1, :length], 2, "bitwise", skew=skew, scan=2)
        assert stats.plane_order_cycles[row] == one.plane_order_cycles[0]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("ways", [1, 3, 16])
def test_long_rows(coding: str, ways: int) -> None:
    """More rows of a bank, and events of a plane, than inner counters hold (255, 511); extremes among them."""
    counts = np.random.default_rng(ways).integers(-127, 128, (4, 600 * ways + 5), dtype=np.int8)
    counts[1], counts[2] = 127, 85
    if coding in UNSIGNED_CODINGS:
        counts = np.abs(counts)
    check(event_statistics(counts, ways, coding, row_planes=4), counts, row_planes=4)


@pytest.mark.parametrize("coding", CODINGS)
def test_every_value_alone(coding: str) -> None:
    low, high = (0 if coding in UNSIGNED_CODINGS else -127), (255 if coding == "bitwise_unsigned" else 127)
    counts = np.arange(low, high + 1).reshape(-1, 1)
    check(event_statistics(counts, 1, coding), counts)


@given(st.data(), st.sampled_from(CODINGS))
def test_totals_agree_with_the_spike_train(data: st.DataObject, coding: str) -> None:
    counts = data.draw(
        hnp.arrays(np.int8, (3, 40), elements=st.integers(0 if coding in UNSIGNED_CODINGS else -127, 127))
    )
    stats = event_statistics(counts, 4, coding)
    train = encode(counts, coding, INT8_PLANES[coding])
    events = train.events()
    assert stats.events.sum() == stats.events_per_plane.sum() == train.n_spikes
    assert stats.events.tolist() == np.bincount(events.index // 40, minlength=3).tolist()
    per_step = np.bincount(events.step, minlength=train.steps)
    assert (
        stats.events_per_plane.tolist()
        == (per_step if coding in ("binary", "ternary") else per_step[::-1]).tolist()
    )


def test_many_rows_are_split_over_threads() -> None:
    counts = np.random.default_rng(0).integers(-3, 4, (1000, 24), dtype=np.int8)
    whole = event_statistics(counts, 4, "bitwise")
    for row in (0, 1, 499, 999):
        one = event_statistics(counts[row : row + 1], 4, "bitwise")
        for name in ROW_FIELDS:
            assert getattr(whole, name)[row] == getattr(one, name)[0]


@pytest.mark.parametrize("coding", CODINGS)
def test_kinds_and_layouts_of_input_agree(coding: str) -> None:
    counts = np.random.default_rng(1).integers(0, 128, (5, 33), dtype=np.int8)
    want = event_statistics(counts, 4, coding)
    strided = np.repeat(counts, 2, axis=1)[:, ::2]
    for other in (
        torch.from_numpy(counts),
        counts.astype(np.int32),
        np.asfortranarray(counts),
        strided,
        counts.tolist(),
    ):
        got = event_statistics(other, 4, coding)
        for name in (*ROW_FIELDS, "events_per_plane"):
            assert np.array_equal(getattr(got, name), getattr(want, name))


@pytest.mark.parametrize(
    ("counts", "ways", "coding", "message"),
    [
        ([[1]], 0, "bitwise", "ways must be 1 or more, not 0"),
        ([1], 1, "bitwise", r"counts must be of shape \[rows_m, channels\], not \(1,\)"),
        ([[-128]], 1, "bitwise", "counts of the bitwise coding must be in -127 … 127, not -128"),
        (np.int8([[-128]]), 1, "ternary", "counts of the ternary coding must be in -127 … 127, not -128"),
        ([[128]], 1, "signed_digit", "counts of the signed_digit coding must be in -127 … 127, not 128"),
        ([[1 << 40]], 1, "bitwise", "counts of the bitwise coding must be in -127 … 127, not 1099511627776"),
        ([[-1]], 1, "bitwise_unsigned", "counts of the bitwise_unsigned coding must be in 0 … 255, not -1"),
        ([[256]], 1, "bitwise_unsigned", "counts of the bitwise_unsigned coding must be in 0 … 255, not 256"),
        ([[-1]], 1, "binary", "counts of the binary coding must be in 0 … 127, not -1"),
        ([[0.5]], 1, "bitwise", "counts must be integers, not float64"),
        ([[1]], 1, "morse", "coding must be one of .*, not 'morse'"),
    ],
)
def test_illegal_input(counts: Any, ways: int, coding: str, message: str) -> None:
    with pytest.raises(CodingError, match=f"^{message}$"):
        event_statistics(counts, ways, coding)


def _odd(what: str, arguments: dict[str, Any], message: str) -> Any:
    row = tried(15, f"event_statistics with {what}", "it is refused before anything is counted")
    return pytest.param(arguments, message, marks=row, id=what)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        _odd(
            "fewer lengths than rows",
            {"lengths": np.array([37])},
            r"lengths must be of shape \(5,\), one for each row, not \(1,\)",
        ),
        _odd("a length beyond the channels", {"lengths": [38] * 5}, "lengths must be in 0 … 37, not 38"),
        _odd("a length below 0", {"lengths": [-1] * 5}, "lengths must be in 0 … 37, not -1"),
        _odd("a length that is no integer", {"lengths": [1.0] * 5}, "lengths must be integers, not float64"),
        _odd(
            "counts beyond their length",
            {"lengths": [36] * 5},
            "counts beyond the length of their row must be 0",
        ),
        _odd("words of no rows", {"scan": 0}, "scan must be 1 or more, not 0"),
        _odd("words of rows below 0", {"scan": -1}, "scan must be 1 or more, not -1"),
        _odd("half a row in a word", {"scan": 0.5}, r"scan must be an integer, not 0\.5"),
        _odd("a skew of two planes", {"skew": 2}, "skew must be 0 or 1, not 2"),
        _odd("a window of nine planes", {"row_planes": 9}, "row_planes must be from 1 to 8, not 9"),
        _odd("half a bank", {"ways": 0.5}, r"ways must be an integer, not 0\.5"),
        _odd("banks below 0", {"ways": -1}, "ways must be 1 or more, not -1"),
        _odd("no name of a coding", {"coding": ["bitwise"]}, r"coding must be one of .*, not \['bitwise'\]"),
    ],
)
def test_arguments_without_a_meaning(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CodingError, match=f"^{message}$"):
        event_statistics(np.ones((5, 37), np.int8), **{"ways": 2, "coding": "bitwise", **arguments})
    if "scan" not in arguments:  # which only `plane_order_cycles` knows
        with pytest.raises(CodingError, match=f"^{message}$"):
            event_statistics(np.ones((5, 37), np.int8), **{"ways": 2, "coding": "ternary", **arguments})


@pytest.mark.parametrize("coding", CODINGS)
@tried(
    15, "event_statistics with 2^70 banks, or words of 2^70 rows", "what as many as there are channels give"
)
def test_more_banks_and_longer_words_than_channels(coding: str) -> None:
    counts = np.random.default_rng(5).integers(0, 3, (4, 37), dtype=np.int8)
    many, enough = (event_statistics(counts, ways, coding, scan=2, skew=1) for ways in (2**70, 37))
    long, whole = (event_statistics(counts, 2, coding, scan=scan) for scan in (2**70, 19))
    for name in (*ROW_FIELDS, "events_per_plane"):
        assert np.array_equal(getattr(many, name), getattr(enough, name))
        assert np.array_equal(getattr(long, name), getattr(whole, name))
    assert many.ways == 2**70
