"""Token files and how they become sequences: rows stay rows, and what does not run is counted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.tried import tried

from spikesim.errors import TokenError
from spikesim.results.report import InputKind
from spikesim.run.texts import TextReader
from spikesim.run.tokens import InputRequest, Origin, Tokens, beside, calibration_tokens, evaluation_tokens

BYTES = TextReader(vocabulary=256)
KIND: InputKind = "tokens"


def run(path: Path, **request: int | None) -> Tokens:
    """What a model of 256 tokens runs for a token file."""
    return evaluation_tokens(InputRequest(tokens=path, **request), BYTES, None, length=4)  # type: ignore[arg-type]


def saved(folder: Path, array: object) -> Path:
    np.save(folder / "ids.npy", array)  # type: ignore[arg-type]
    return folder / "ids.npy"


def written(folder: Path, text: str) -> Path:
    (folder / "ids.txt").write_text(text, encoding="utf-8")
    return folder / "ids.txt"


@tried(5, "a token file [sequences, tokens]", "each row is a sequence, none is joined or cut")
def test_rows_are_sequences(tmp_path: Path) -> None:
    ids = np.arange(21).reshape(3, 7)
    found = run(saved(tmp_path, ids))
    assert found.ids.tolist() == ids.tolist()
    assert found.origin.is_rows
    assert found.note == ""
    assert run(tmp_path / "ids.npy", sequence_length=7).ids.tolist() == ids.tolist()


@tried(
    5, "another sequence length than that of the rows of a token file", "it is refused with the one they have"
)
def test_rows_are_not_cut_anew(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((3, 7), np.int64))
    with pytest.raises(
        TokenError, match=r"sequence length must be 7, as that of the sequences in .*ids\.npy, .* not 5"
    ):
        run(path, sequence_length=5)


@tried(
    5,
    "a token file of rows, and fewer tokens asked for",
    "whole rows run, and what is left of them is counted",
)
def test_rows_within_a_limit(tmp_path: Path) -> None:
    ids = np.arange(21).reshape(3, 7)
    found = run(saved(tmp_path, ids), max_tokens=17)
    assert found.ids.tolist() == ids[:2].tolist()
    assert found.origin.left_out == 3
    assert run(tmp_path / "ids.npy", max_tokens=5).ids.tolist() == [[0, 1, 2, 3, 4]]
    assert run(tmp_path / "ids.npy", max_tokens=10**30).ids.tolist() == ids.tolist()


@tried(5, "tokens at the end that fill no sequence", "they are counted and stated")
def test_what_fills_no_sequence_is_said(tmp_path: Path) -> None:
    found = run(saved(tmp_path, np.arange(11)))
    assert found.ids.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert found.origin.left_out == 3
    assert found.note == "The last 3 of 11 tokens fill no sequence of 4 and did not run."
    drawn = evaluation_tokens(InputRequest(random_tokens=10), BYTES, None, length=4)
    assert drawn.note.endswith("The last 2 of 10 tokens fill no sequence of 4 and did not run.")


@tried(5, "a token file in lines", "lines are no sequences, and the report says so")
def test_lines_are_no_sequences(tmp_path: Path) -> None:
    found = run(written(tmp_path, "1 2, 3\n4 5 6\n\n7,8\n"))
    assert found.ids.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert "The 3 lines of " in found.note
    assert "lines are not" in found.note
    assert run(written(tmp_path, "1\n2\n3\n4\n")).note == ""


SHAPES = {
    "of three dimensions": np.zeros((2, 2, 2), np.int64),
    "of one number without a dimension": np.array(3),
    "without a token": np.zeros((0, 4), np.int64),
}


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(array, id=what, marks=tried(5, f"a token file {what}", "its shape is refused by name"))
        for what, array in SHAPES.items()
    ],
)
def test_other_shapes_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(TokenError) as found:
        run(saved(tmp_path, array))
    assert f"not an array of shape {array.shape}" in str(found.value)


TYPES = {
    "of real numbers": (np.ones(4), "not of real numbers ('float64')"),
    "of truth values": (np.ones(4, bool), "not of truth values ('bool')"),
    "of time spans, which numpy counts among the integers": (np.ones(4, "m8[s]"), "not of times ("),
    "of records": (np.zeros(4, [("id", "i8")]), "not of records ("),
    "with 2⁶⁴ − 1": (np.array([2**64 - 1], np.uint64), "must be in 0 … 255, not 18446744073709551615"),
    "with −1": (np.array([-1], np.int8), "must be in 0 … 255, not -1"),
    "with a token beyond the vocabulary": (np.array([0, 256], ">u2"), "must be in 0 … 255, not 256"),
}


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(array, message, id=what, marks=tried(5, f"a token file {what}", "it is refused by name"))
        for what, (array, message) in TYPES.items()
    ],
)
def test_other_types_are_refused(array: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(TokenError) as found:
        run(saved(tmp_path, array))
    assert message in str(found.value)


@pytest.mark.parametrize("kind", ["u1", ">u2", "<i4", ">i8", "u8"])
def test_every_kind_of_integer_is_a_token(kind: str, tmp_path: Path) -> None:
    found = run(saved(tmp_path, np.arange(250, 256).astype(kind)), sequence_length=6)
    assert found.ids.tolist() == [[250, 251, 252, 253, 254, 255]]
    assert found.ids.dtype == np.int64


WORDS = {
    "1_000": "numbers with an underscore",
    "1.0": "real numbers",
    "1e2": "powers of ten",
    "0x10": "hexadecimal numbers",
    "٣": "digits of other scripts",
    "[1": "lists in JSON",
    "9" * 10_000: "a number of 10,000 digits",
    "\x1b[31m": "escape sequences",
}


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(
            word, id=what, marks=tried(13, f"{what} in a text of token ids", "the word is shown, shortened")
        )
        for word, what in WORDS.items()
    ],
)
def test_other_words_are_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(
        TokenError, match="must hold whole numbers, separated by white space or commas, not '"
    ) as found:
        run(written(tmp_path, f"1 2 {word} 3"))
    assert len(str(found.value)) < 400
    assert "\x1b" not in str(found.value)


@tried(5, "a token of 19 digits in a text", "it is outside the vocabulary, whatever 64 bits make of it")
def test_a_large_number_is_named_as_it_stands(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="must be in 0 … 255, not 9999999999999999999"):
        run(written(tmp_path, "1 9999999999999999999"))


@tried(
    13,
    "a byte-order mark before token ids, and UTF-16",
    "the first is no part of them, the second is refused by name",
)
def test_encodings_of_token_ids(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf1 2 3 4")
    assert run(path).ids.tolist() == [[1, 2, 3, 4]]
    path.write_bytes("1 2 3 4".encode("utf-16"))
    with pytest.raises(TokenError, match="not UTF-16"):
        run(path)


@tried(13, "an array under another name than .npy", "it is read as the array it is")
def test_an_array_is_known_by_its_content(tmp_path: Path) -> None:
    path = saved(tmp_path, np.arange(4)).rename(tmp_path / "ids.txt")
    assert run(path).ids.tolist() == [[0, 1, 2, 3]]


@tried(12, "a pipe in place of token ids, a text or calibration", "it is refused at once")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    evaluation = run(saved(tmp_path, np.arange(4)))
    for read in (
        lambda: run(path),
        lambda: evaluation_tokens(InputRequest(text=path), BYTES, None, length=4),
        lambda: calibration_tokens(path, None, BYTES, evaluation),
    ):
        with pytest.raises(TokenError, match="a regular file, not a pipe"):
            read()


@tried(5, "calibration from rows, from a run of tokens and from text", "the rules are those of the input")
def test_calibration_keeps_rows_too(tmp_path: Path) -> None:
    evaluation = run(saved(tmp_path, np.arange(4)))
    rows = np.arange(10).reshape(2, 5)
    np.save(tmp_path / "rows.npy", rows)
    found = calibration_tokens(tmp_path / "rows.npy", None, BYTES, evaluation)
    assert found.ids is not None
    assert (found.ids.tolist(), found.note) == (rows.tolist(), "ranges from rows.npy, 10 tokens")
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfabcdefg")
    found = calibration_tokens(tmp_path / "text.txt", None, BYTES, evaluation)
    assert found.ids is not None
    assert found.ids.tolist() == [[97, 98, 99, 100]]
    assert found.note == "ranges from text.txt, 4 tokens, the last 3 left out"
    np.save(tmp_path / "rows.npy", np.full((2, 5), 256))
    with pytest.raises(TokenError, match="not 256"):
        calibration_tokens(tmp_path / "rows.npy", None, BYTES, evaluation)


@tried(
    4,
    "held-out text that is a dead link, a folder or a pipe",
    "it is refused; random tokens do not take its place",
)
def test_companion_files_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "heldout.txt").symlink_to("gone")
    held_out = beside(tmp_path / "model.pt", "heldout.txt")
    with pytest.raises(TokenError, match=r"heldout\.txt cannot be read"):
        evaluation_tokens(InputRequest(), BYTES, held_out, length=4)
    assert beside(tmp_path / "model.pt", "calibration.txt") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"sequence_length": 0},
        {"max_tokens": 0},
        {"random_tokens": 0},
        {"random_tokens": 10**18},
        {"seed": -1},
        {"seed": 1.5},
        {"max_tokens": True},
        {"tokens": Path("a"), "text": Path("b")},
    ],
    ids=str,
)
@tried(
    15,
    "input requests with zero, negative, huge or no numbers, or several inputs",
    "they are refused by name",
)
def test_requests_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(TokenError, match="must be"):
        InputRequest(**wrong)  # type: ignore[arg-type]
    assert InputRequest(max_tokens=np.int32(3)).max_tokens == 3  # type: ignore[arg-type]


def test_an_origin_says_what_it_is_of() -> None:
    """Places of special tokens survive JSON, whose keys are text."""
    origin = Origin(kind=KIND, special={0: "<bos>", 9: "<eos>"})
    assert Origin.model_validate_json(origin.model_dump_json()) == origin
