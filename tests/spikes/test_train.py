"""A spike train of whatever fields is refused, or reads as its fields say: nothing reads beyond an array."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

import spikesim
from spikesim import SpikeTrain
from spikesim.cli.app import app
from spikesim.errors import CodingError
from spikesim.spikes.digits import COUNT_CODINGS
from spikesim.spikes.encode import CODINGS, encode
from spikesim.spikes.matmul import spike_matmul

SIGN_PLANES = {"bitwise": 1, "ternary": 1, "signed_digit": 2}


def fields(coding: str = "bitwise") -> dict[str, Any]:
    """Of a train of 70 elements in three steps, writable copies."""
    train = encode(np.arange(70) % 4, coding, 3)
    return {
        "coding": coding,
        "shape": train.shape,
        "steps": 3,
        "bits": train.bits.copy(),
        "signs": train.signs.copy(),
    }


def words(rows: int, columns: int = 2, value: int = 0, dtype: Any = np.uint64) -> Any:
    return np.full((rows, columns), value, dtype)


def refused(coding: str, what: str, change: dict[str, Any], message: str) -> Any:
    row = tried(15, f"a spike train with {what}", "it is refused when it is made")
    return pytest.param(coding, change, message, marks=row, id=what)


@pytest.mark.parametrize(
    ("coding", "change", "message"),
    [
        refused(
            "bitwise", "a coding nobody knows", {"coding": "morse"}, "coding must be one of .*, not 'morse'"
        ),
        refused(
            "bitwise",
            "a shape of more elements than its words",
            {"shape": (200,)},
            r"bits of this bitwise train must be uint64\[3, 4\], not uint64\[3, 2\]",
        ),
        refused(
            "bitwise",
            "a shape of 2^80 elements",
            {"shape": (2**40, 2**40)},
            "shape must be that of an array, not .*",
        ),
        refused(
            "bitwise", "a side below 0", {"shape": (-70,)}, "a side of the shape must be 0 or more, not -70"
        ),
        refused(
            "bitwise", "a side that is no integer", {"shape": (70.0,)}, r"a side of .* an integer, not 70\.0"
        ),
        refused(
            "bitwise", "a shape that is none", {"shape": 70}, "shape must be a tuple of integers, not 70"
        ),
        refused(
            "bitwise",
            "more steps than planes",
            {"steps": 4},
            r"bits of this bitwise train must be uint64\[4, 2\], not uint64\[3, 2\]",
        ),
        refused(
            "bitwise", "steps of none", {"steps": 0}, r"steps of the bitwise coding must be in 1 … 62, not 0"
        ),
        refused("bitwise", "a fraction of steps", {"steps": 2.5}, "steps of .* must be an integer, not 2.5"),
        refused(
            "bitwise",
            "bits of another type",
            {"bits": words(3, dtype=np.int64)},
            r"bits of this bitwise train must be uint64\[3, 2\], not int64\[3, 2\]",
        ),
        refused(
            "bitwise",
            "bits of another byte order",
            {"bits": words(3, dtype=">u8")},
            r"bits of this bitwise train must be uint64\[3, 2\], not >u8\[3, 2\]",
        ),
        refused("bitwise", "a list of bits", {"bits": [[0, 0]] * 3}, "bits of this bitwise train must be .*"),
        refused(
            "bitwise",
            "masked bits",
            {"bits": np.ma.array(words(3), mask=True)},
            "bits of this bitwise train must be .*, not <MaskedArray>",
        ),
        refused(
            "bitwise",
            "a spike in an unused bit",
            {"bits": words(3, value=2**63)},
            "bits of a train of 70 elements must be 0 in the unused bits of the last word",
        ),
        refused(
            "bitwise",
            "no plane of signs",
            {"signs": words(0)},
            r"signs of this bitwise train must be uint64\[1, 2\], not uint64\[0, 2\]",
        ),
        refused(
            "bitwise",
            "a plane of signs that is too short",
            {"signs": words(1, 1)},
            r"signs of this bitwise train must be uint64\[1, 2\], not uint64\[1, 1\]",
        ),
        refused(
            "bitwise",
            "a sign in an unused bit",
            {"signs": words(1, value=2**63)},
            "signs of a train of 70 elements must be 0 in the unused bits of the last word",
        ),
        refused(
            "twos_complement",
            "signs in a coding that has none",
            {"signs": words(1)},
            r"signs of this twos_complement train must be uint64\[0, 2\], not uint64\[1, 2\]",
        ),
        refused(
            "signed_digit",
            "too few planes of signs for its digits",
            {"signs": words(1)},
            r"signs of this signed_digit train must be uint64\[2, 2\], not uint64\[1, 2\]",
        ),
        refused(
            "signed_digit",
            "spikes of neighbouring signed digits",
            {"bits": words(3, value=1)},
            "of two neighbouring steps of a signed_digit train one must be without a spike",
        ),
        refused(
            "ternary",
            "counts of more spikes than steps",
            {"bits": words(3, value=1)},
            "counts of a ternary train of 3 steps must be at most 3, not 7",
        ),
        refused(
            "binary",
            "counts of 63 bits",
            {"bits": words(63), "steps": 2**62 - 1},
            r"bits of this binary train must be uint64\[62, 2\], not uint64\[63, 2\]",
        ),
        refused(
            "ternary",
            "no plane of counts",
            {"bits": words(0)},
            r"bits of this ternary train must be uint64\[1, 2\].*",
        ),
        refused(
            "ternary", "bits that are a number", {"bits": 0}, r"bits of this ternary train must be .*, not 0"
        ),
    ],
)
def test_fields_that_are_no_train(coding: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(CodingError, match=f"^{message}$"):
        SpikeTrain(**{**fields(coding), **change})


@tried(
    15,
    "a train of 10^8 words with one plane of signs of one word",
    "it is refused; events() ended the process",
)
def test_short_signs_of_a_large_train() -> None:
    bits = np.broadcast_to(np.uint64(1), (1, 10**8))
    with pytest.raises(
        CodingError, match=r"^signs of this bitwise train must be uint64\[1, 100000000\], not uint64\[1, 1\]$"
    ):
        SpikeTrain(coding="bitwise", shape=(64 * 10**8,), steps=1, bits=bits, signs=words(1, 1))


@tried(15, "spike trains of random fields", "what is not refused reads the same by every method")
@given(st.data(), st.sampled_from(CODINGS))
def test_random_fields_read_alike(data: st.DataObject, coding: str) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=70))
    size = int(np.prod(shape, dtype=int))
    steps = data.draw(st.integers(1, 9))
    rows = data.draw(st.integers(1, 4)) if coding in COUNT_CODINGS else steps
    minus = {"signed_digit": (steps + 1) // 2}.get(coding, SIGN_PLANES.get(coding, 0))
    used = data.draw(st.sampled_from([size, 64 * -(-size // 64)]))
    planes = []
    for count in (rows, minus):
        bits = data.draw(hnp.arrays(np.uint8, (count, used), elements=st.integers(0, 1)))
        packed = np.zeros((count, -(-size // 64) * 8), np.uint8)
        packed[:, : -(-used // 8)] = np.packbits(bits, axis=1, bitorder="little")
        planes.append(packed.view(np.uint64))
    try:
        train = SpikeTrain(coding=coding, shape=shape, steps=steps, bits=planes[0], signs=planes[1])
    except CodingError:
        return
    decoded = train.decode()
    dense = train.dense().astype(np.int64)
    weights = train.weights.reshape(-1, *[1] * len(shape))
    assert np.array_equal((dense * weights).sum(axis=0), decoded)
    assert train.n_spikes == np.abs(dense).sum() == len(train.events())
    events = train.events()
    found = np.zeros((steps, size), np.int64)
    found[events.step, events.index] = events.sign * np.sign(train.weights)[events.step]
    assert np.array_equal(found, dense.reshape(steps, size))
    if shape:
        matrix = np.arange(2 * shape[-1]).reshape(shape[-1], 2)
        assert np.array_equal(spike_matmul(train, matrix), decoded.astype(np.int64) @ matrix)


@pytest.mark.parametrize("coding", CODINGS)
def test_fields_of_a_train_make_it_again(coding: str) -> None:
    train = encode(np.arange(100).reshape(4, 25), coding)
    again = dataclasses.replace(train)
    for name in ("coding", "shape", "steps"):
        assert getattr(again, name) == getattr(train, name)
    assert np.array_equal(again.bits, train.bits)
    assert np.array_equal(again.signs, train.signs)
    assert np.array_equal(again.decode(), train.decode())


@tried(
    15, "a train that `spikesim encode -o` saved, made again from the fields of the file", "the same train"
)
def test_saved_train_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    done = CliRunner().invoke(app, ["encode", "3", "0", "7", "--coding", "signed_digit", "-o", str(path)])
    assert done.exit_code == 0, done.output
    with np.load(path) as saved:
        train = SpikeTrain(**saved)
    assert train.decode().tolist() == [3, 0, 7]
    assert (type(train.coding), train.shape, type(train.steps)) == (str, (3,), int)


@tried(
    15, "arrays changed after a train was made of them", "the train stays as it was, and so do their flags"
)
def test_train_has_arrays_of_its_own() -> None:
    given_fields = fields()
    train = SpikeTrain(**given_fields)
    before = train.decode()
    given_fields["bits"][:] = 2**64 - 1
    given_fields["signs"][:] = 2**64 - 1
    assert np.array_equal(train.decode(), before)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda train: pickle.loads(pickle.dumps(train))])
@tried(15, "copies and pickles of a spike train", "trains that are read-only as well")
def test_copies_are_trains(again: Any) -> None:
    train = encode([[3, -1]], "signed_digit")
    other = again(train)
    assert other.decode().tolist() == [[3, -1]]
    for array in (other.bits, other.signs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@tried(15, "a damaged pickle of a spike train", "it is refused like any other fields")
def test_damaged_pickle_is_refused() -> None:
    damaged = pickle.dumps(encode([2, 1])).replace(b"bitwise", b"morsing")
    with pytest.raises(CodingError, match=r"^coding must be one of .*, not 'morsing'$"):
        pickle.loads(damaged)


def test_non_contiguous_planes_are_copied_in_order() -> None:
    train = encode(np.arange(130) % 8)
    spread = np.repeat(train.bits, 2, axis=1)[:, ::2]
    again = SpikeTrain(coding="bitwise", shape=(130,), steps=3, bits=spread, signs=train.signs)
    assert again.bits.flags.c_contiguous
    assert np.array_equal(again.decode(), train.decode())


def test_train_of_no_elements_and_endless_steps() -> None:
    train = spikesim.encode(np.zeros((0, 3), int), "ternary", 2**61)
    assert train.dense().shape == (2**61, 0, 3)
    assert (train.n_spikes, train.firing_rate, len(train.events())) == (0, 0.0, 0)
