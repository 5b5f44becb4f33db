"""Numbers to encode: from a file they keep their structure, or are refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.tried import tried
from typer.testing import CliRunner, Result

from spikesim.cli.app import app
from spikesim.spikes.encode import encode


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["encode", *map(str, words)], env={"COLUMNS": "160"})


def refused(*words: str | Path) -> str:
    result = run(*words)
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    return line


ARRAYS = {
    "of one number without a dimension": (np.array(3), "not one number"),
    "without a number": (np.zeros((2, 0), np.int8), "not none"),
    "of records": (np.zeros(3, [("a", "i8"), ("b", "f4")]), "not of records ("),
    "of truth values": (np.ones(3, bool), "not of truth values ('bool')"),
    "of complex numbers": (np.ones(3, complex), "not of complex numbers"),
    "of real numbers, without a way to make integers of them": (np.ones(3), "must be integers"),
    "with numbers that are none": (np.array([1, np.nan]), "must be integers"),
}


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(
            array, message, id=what, marks=tried(5, f"`encode` of an array {what}", "it is refused by name")
        )
        for what, (array, message) in ARRAYS.items()
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    assert message in refused(tmp_path / "x.npy")


@tried(5, "`encode --int8` and `--threshold-k` of NaN and infinity", "they are refused as not finite")
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("words", [["--int8"], ["--threshold-k", "3"]])
def test_numbers_that_are_not_finite_are_refused(number: float, words: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[1.0, number]]))
    assert "must be finite" in refused(tmp_path / "x.npy", *words)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(
            np.arange(6, dtype=">i2").reshape(2, 3),
            marks=tried(5, "`encode` of big-endian integers", "the train is that of their values"),
        ),
        pytest.param(
            np.asfortranarray(np.arange(6).reshape(2, 3)),
            marks=tried(5, "`encode` of an array in Fortran order", "the train has its shape and order"),
        ),
        pytest.param(
            np.arange(24).reshape(2, 3, 4),
            marks=tried(5, "`encode` of three dimensions", "the train keeps them"),
        ),
    ],
)
def test_a_train_keeps_the_structure(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    result = run(tmp_path / "x.npy", "-o", tmp_path / "out.npz")
    assert result.exit_code == 0, result.output
    expected = encode(np.ascontiguousarray(array).astype(np.int64))
    with np.load(tmp_path / "out.npz") as saved:
        assert tuple(saved["shape"]) == array.shape
        np.testing.assert_array_equal(saved["bits"], expected.bits)
        np.testing.assert_array_equal(saved["signs"], expected.signs)


@tried(5, "`encode` of 16-bit floats and of subnormal numbers", "the integers are those of their values")
def test_small_floats_are_what_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[1, -2, 0, 1e-7]], np.float16))
    result = run(tmp_path / "x.npy", "--int8", "-o", tmp_path / "out.npz")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "out.npz") as saved:
        np.testing.assert_array_equal(saved["bits"], encode(np.array([[64, -127, 0, 0]])).bits)


@tried(12, "a number of 5,000 digits, and a name that is too long, to encode", "it is shown, shortened")
def test_long_words_are_shortened() -> None:
    assert "numbers must fit 64 bits" in refused("9" * 300, "1")
    for word in ("9" * 5000, "x" * 5000, "\x1b[31m"):
        line = refused(word)
        assert len(line) < 300
        assert "\x1b" not in line


@tried(12, "a pipe to encode", "it is refused at once")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    assert refused(tmp_path / "x.npy").endswith("a regular file, not a pipe")
