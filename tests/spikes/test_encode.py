"""Spike codings: golden vectors of the published code, exact round trips, packed size, and products by events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.places import VECTORS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikesim.errors import CodingError
from spikesim.spikes.digits import COUNT_CODINGS
from spikesim.spikes.encode import (
    CODINGS,
    INT8_PLANES,
    UNSIGNED_CODINGS,
    digits,
    encode,
    plane_weights,
    steps_for,
)
from spikesim.spikes.matmul import spike_matmul

CODING = np.load(VECTORS / "spike_coding.npz")
MATMUL = np.load(VECTORS / "spike_matmul.npz")

# Names in the vectors.
NAMES = {
    "binary": "binary",
    "ternary": "ternary",
    "bit_unsigned": "bitwise_unsigned",
    "bit_bidir": "bitwise",
    "bit_twos": "twos_complement",
}
PREFIXES = sorted(key.removesuffix("__spikes") for key in CODING.files if key.endswith("__spikes"))
PRODUCTS = sorted(
    key.removeprefix("mm__").removesuffix("__y")
    for key in MATMUL.files
    if key.startswith("mm__") and key.endswith("__y")
)

WEIGHTED = [coding for coding in CODINGS if coding not in COUNT_CODINGS]


def integers(coding: str, largest: int, shape: Any = None, dtype: Any = np.int64) -> st.SearchStrategy[Any]:
    low = 0 if coding in UNSIGNED_CODINGS else -largest
    shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9) if shape is None else shape
    return hnp.arrays(dtype, shape, elements=st.integers(low, largest))


codings = st.sampled_from(CODINGS)


# ---------------------------------------------------------------------------------------------- golden vectors


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int16])
def test_golden_vectors(prefix: str, dtype: type) -> None:
    name, tensor = prefix.split("__")
    name, _, given_steps = name.partition("_T")
    train = encode(
        CODING[f"x_{tensor}"].astype(dtype), NAMES[name], int(given_steps) if given_steps else None
    )
    assert np.array_equal(train.dense(), CODING[f"{prefix}__spikes"])
    assert train.dense().dtype == np.int8
    decoded = CODING[f"{prefix}__decoded"]
    if name == "bit_twos":  # stored in the unsigned reading
        decoded = decoded - (CODING[f"{prefix}__spikes"][0].astype(np.int64) << train.steps)
    assert np.array_equal(train.decode(), decoded)
    if not given_steps:
        assert train.steps == CODING[f"{prefix}__T"]
        assert train.firing_rate == pytest.approx(float(CODING[f"{prefix}__firing_rate"]), rel=1e-6)


@pytest.mark.parametrize("name", PRODUCTS)
def test_golden_products(name: str) -> None:
    coding = NAMES[name.split("__", maxsplit=1)[0]]
    spikes, weights = MATMUL[f"zp__{name}__spikes"], MATMUL[f"mm__{name}__w"]
    # The integers that were encoded after the published helper had shifted them.
    shifted = MATMUL[f"zp__{name}__decoded"].astype(np.int64)
    unsigned_part = 0
    if coding == "twos_complement":
        shifted = shifted - (spikes[0].astype(np.int64) << len(spikes))
        unsigned_part = (spikes[0].astype(np.int64) << len(spikes)) @ weights
    train = encode(shifted, coding, len(spikes))
    assert np.array_equal(train.dense(), spikes)
    assert np.array_equal(spike_matmul(train, weights) + unsigned_part, MATMUL[f"mm__{name}__y"])


@pytest.mark.parametrize("name", ["u4", "s4"])
def test_golden_products_with_weight_planes(name: str) -> None:
    x, w = (
        MATMUL[f"mmw__{name}__{part}"] + MATMUL[f"mmw__{name}__{part}_zero"].astype(np.int64) for part in "xw"
    )
    planes = encode(w, "bitwise_unsigned")
    assert np.array_equal(planes.dense(), MATMUL[f"mmw__{name}__w_planes"])
    train = encode(x, "bitwise_unsigned")
    product = sum(
        weight * spike_matmul(train, plane)
        for weight, plane in zip(planes.weights, planes.planes(), strict=True)
    )
    assert np.array_equal(product, MATMUL[f"mmw__{name}__y"])


# ------------------------------------------------------------------------------------------------- definitions


@given(st.data(), codings)
def test_digits_add_up_and_round_trip(data: st.DataObject, coding: str) -> None:
    counts = data.draw(integers(coding, 127))
    planes = digits(counts, coding)
    assert planes.shape == (INT8_PLANES[coding], *counts.shape)
    assert np.array_equal(
        np.tensordot(plane_weights(coding, len(planes)), planes.astype(np.int64), 1), counts
    )
    train = encode(counts, coding)
    assert np.array_equal(train.decode(), counts)


@given(st.data(), codings)
def test_wide_integers_round_trip(data: st.DataObject, coding: str) -> None:
    counts = data.draw(integers(coding, 300 if coding in COUNT_CODINGS else (1 << 61) - 1))
    train = encode(counts, coding)
    assert np.array_equal(train.decode(), counts)
    assert train.n_spikes == np.abs(train.dense().astype(np.int64)).sum()


@given(
    st.data(),
    codings,
    st.integers(1, 12),
    st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int64]),
)
def test_dense_spikes_are_the_digits(data: st.DataObject, coding: str, steps: int, dtype: type) -> None:
    info = np.iinfo(dtype)
    low = 0 if coding in UNSIGNED_CODINGS else max(info.min, -1000)
    shape = hnp.array_shapes(min_dims=1, max_dims=2, max_side=80)
    counts = data.draw(hnp.arrays(dtype, shape, elements=st.integers(low, min(info.max, 1000))))
    train = encode(counts, coding, steps)
    expected = digits(counts, coding, steps)
    if coding not in COUNT_CODINGS:
        expected = expected[::-1]  # most significant first
    if coding == "twos_complement":
        expected = np.abs(expected)  # the sign is in the weight of the step
    assert np.array_equal(train.dense(), expected)
    weighted = train.weights.reshape(-1, *[1] * counts.ndim) * expected
    assert np.array_equal(train.decode(), weighted.sum(axis=0))
    assert train.n_spikes == np.count_nonzero(expected)
    assert train.firing_rate == pytest.approx(np.count_nonzero(expected) / expected.size)


def test_every_byte_in_every_coding() -> None:
    for coding in CODINGS:
        for dtype in (np.int8, np.uint8):
            counts = np.arange(256, dtype=np.uint8).view(dtype)
            if coding in UNSIGNED_CODINGS:
                counts = counts[counts >= 0]
            for steps in (None, 9, 10):
                train = encode(counts, coding, steps)
                if steps is None or coding not in COUNT_CODINGS:
                    assert np.array_equal(train.decode(), counts)
                assert np.array_equal(
                    train.dense(), encode(counts.astype(np.int64) * 1, coding, train.steps).dense()
                )


@given(st.integers(-(1 << 40), 1 << 40))
def test_signed_digits_are_non_adjacent_and_fewest(value: int) -> None:
    dense = encode([value], "signed_digit").dense()[:, 0]
    assert not (dense[1:] * dense[:-1]).any()
    assert np.abs(dense).sum() <= bin(abs(value)).count("1")
    assert len(dense) == 1 or dense[0] != 0  # no plane more than needed


def test_signed_digits_are_minimal() -> None:
    """No sum of powers of two with coefficients −1, 0, 1 has fewer terms: compared with a search."""
    reached = {0: 0}
    for terms in range(1, 5):
        for value in [value for value, used in reached.items() if used == terms - 1]:
            for power in range(10):
                for term in (1 << power, -(1 << power)):
                    reached.setdefault(value + term, terms)
    values = np.arange(-128, 129)
    spikes = np.abs(encode(values, "signed_digit").dense()).sum(axis=0)
    assert spikes.tolist() == [reached[value] for value in values.tolist()]


@pytest.mark.parametrize(
    ("coding", "largest", "steps"),
    [
        ("binary", 0, 0),
        ("ternary", 5, 5),
        ("bitwise_unsigned", 0, 1),
        ("bitwise", 127, 7),
        ("bitwise", 128, 8),
        ("twos_complement", 0, 2),
        ("twos_complement", 128, 9),
        ("signed_digit", 5, 3),
        ("signed_digit", 6, 4),
        ("signed_digit", 127, 8),
        ("signed_digit", 170, 8),
        ("signed_digit", 171, 9),
    ],
)
def test_steps_from_the_data(coding: str, largest: int, steps: int) -> None:
    assert steps_for(largest, coding) == steps
    assert encode([0, largest], coding).steps == steps


# ---------------------------------------------------------------------------------------------- events, memory


@given(st.data(), codings, st.integers(1, 10) | st.none())
def test_events_are_the_dense_spikes(data: st.DataObject, coding: str, steps: int | None) -> None:
    counts = data.draw(integers(coding, 200))
    train = encode(counts, coding, steps)
    events = train.events()
    assert len(events) == train.n_spikes
    order = events.step.astype(np.int64) * max(1, counts.size) + events.index
    assert (np.diff(order) > 0).all()
    dense = np.zeros((train.steps, counts.size), np.int64)
    dense[events.step, events.index] = events.sign * np.sign(train.weights)[events.step]
    assert np.array_equal(dense.reshape(train.steps, *counts.shape), train.dense())


@given(st.data(), codings)
def test_gather_by_events_is_the_matrix_product(data: st.DataObject, coding: str) -> None:
    rows, inputs, outputs = (data.draw(st.integers(1, side)) for side in (4, 70, 5))
    counts = data.draw(integers(coding, 127, (rows, inputs), np.int8))
    weights = data.draw(hnp.arrays(np.int8, (inputs, outputs)))
    train = encode(counts, coding)
    events = train.events()
    acc = np.zeros((rows, outputs), np.int64)
    token, channel = np.divmod(events.index, inputs)
    step = np.abs(train.weights)[events.step] * events.sign
    np.add.at(acc, token, step[:, None] * weights[channel].astype(np.int64))
    expected = counts.astype(np.int64) @ weights.astype(np.int64)
    assert np.array_equal(acc, expected)
    assert np.array_equal(spike_matmul(train, weights), expected)


def test_spike_matmul_is_exact_beyond_float64() -> None:
    weights = np.array([[(1 << 53) + 1], [-3]])
    counts = np.array([[1, 1], [3, -5]])
    assert np.array_equal(spike_matmul(encode(counts, "signed_digit"), weights), counts @ weights)


@pytest.mark.parametrize("size", [1 << 16, 200_003])
@pytest.mark.parametrize(
    ("coding", "steps", "bytes_per_value"),
    [
        ("bitwise", 7, 1.0),
        ("bitwise_unsigned", 7, 0.875),
        ("twos_complement", 8, 1.0),
        ("signed_digit", 8, 1.5),
        ("ternary", 127, 1.0),
        ("binary", 127, 0.875),
    ],
)
def test_trains_are_packed(coding: str, steps: int, bytes_per_value: float, size: int) -> None:
    counts = np.arange(size, dtype=np.int64) % 128
    train = encode(counts, coding)
    assert train.steps == steps
    words = -(-size // 64)
    assert train.nbytes == bytes_per_value * 64 * words
    assert np.array_equal(train.decode(), counts)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_arrays_of_many_blocks(coding: str, dtype: type) -> None:
    """Sizes beyond what the packing handles in one go, with a rest; int32 values beyond a byte."""
    largest = 127 if dtype is np.int8 else 1000
    low = 0 if coding in UNSIGNED_CODINGS else -largest
    counts = np.random.default_rng(2).integers(low, largest + 1, 40_000 + 37, dtype=dtype)
    train = encode(counts, coding)
    assert np.array_equal(train.decode(), counts)
    if coding in WEIGHTED:
        assert train.n_spikes == np.count_nonzero(digits(counts, coding, train.steps))


def test_trains_cannot_be_changed() -> None:
    train = encode([1, -2], "signed_digit")
    with pytest.raises(ValueError, match="read-only"):
        train.bits[0] = 0
    with pytest.raises(AttributeError):
        train.steps = 3  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("coding", CODINGS)
def test_kinds_and_layouts_of_input_agree(coding: str) -> None:
    counts = np.random.default_rng(1).integers(0, 128, (5, 33, 3), dtype=np.int8)
    want = encode(counts, coding)
    others = [
        torch.from_numpy(counts),
        torch.from_numpy(counts).long(),
        np.asfortranarray(counts),
        np.repeat(counts, 2, axis=1)[:, ::2],
        counts.tolist(),
        counts.astype(">i4"),
        counts.astype(np.uint64),
    ]
    for other in others:
        got = encode(other, coding)
        assert (got.shape, got.steps) == (want.shape, want.steps)
        assert np.array_equal(got.bits, want.bits)
        assert np.array_equal(got.signs, want.signs)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), ()])
def test_empty_and_scalar_input(coding: str, shape: tuple[int, ...]) -> None:
    train = encode(np.zeros(shape, np.int8), coding)
    assert train.steps == steps_for(0, coding)
    assert train.dense().shape == (train.steps, *shape)
    assert train.decode().shape == shape
    assert (train.n_spikes, train.firing_rate, len(train.events())) == (0, 0.0, 0)


def test_booleans_are_zeros_and_ones() -> None:
    assert encode(np.array([True, False]), "bitwise").decode().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("counts", "coding", "steps", "message"),
    [
        ([1], "morse", None, "coding must be one of binary, .*, not 'morse'"),
        ([1.5], "bitwise", None, "counts must be integers, not float64"),
        (
            torch.tensor([1.0], dtype=torch.bfloat16),
            "bitwise",
            None,
            r"counts must be integers, not torch\.bfloat16",
        ),
        ([3, -4], "binary", None, "counts of the binary coding must be 0 or more, not -4"),
        (
            np.int8([-4]),
            "bitwise_unsigned",
            None,
            "counts of the bitwise_unsigned coding must be 0 or more, not -4",
        ),
        (
            [1 << 62],
            "signed_digit",
            None,
            r"counts must be smaller than 2\^62 in magnitude, not 4611686018427387904",
        ),
        (
            [-(1 << 63)],
            "bitwise",
            None,
            r"counts must be smaller than 2\^62 in magnitude, not 9223372036854775808",
        ),
        ([1 << 64], "bitwise", None, "counts must be integers, not object"),
        ([1], "bitwise", 0, "steps of the bitwise coding must be in 1 … 62, not 0"),
        ([1], "bitwise", 63, "steps of the bitwise coding must be in 1 … 62, not 63"),
        ([1], "ternary", -1, "steps of the ternary coding must be 0 or more, not -1"),
        ([1], "bitwise", 2.5, "steps of the bitwise coding must be an integer, not 2.5"),
    ],
)
def test_illegal_input(counts: Any, coding: str, steps: Any, message: str) -> None:
    with pytest.raises(CodingError, match=rf"^{message}$"):
        encode(counts, coding, steps)


def test_illegal_digits() -> None:
    with pytest.raises(CodingError, match=r"^counts of the binary coding must be 0 or more, not -1$"):
        digits([-1], "binary")


@pytest.mark.parametrize("weights", [np.zeros((3, 2), int), np.zeros(2, int)])
def test_illegal_matrix(weights: Any) -> None:
    with pytest.raises(CodingError, match=r"^weights must be of shape \[2, outputs\], not "):
        spike_matmul(encode([[1, 2]], "bitwise"), weights)
