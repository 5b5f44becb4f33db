"""JSON files of other people, and safetensors: what is refused before it is used."""

from pathlib import Path

import numpy as np
import pytest
from helpers.tried import tried
from safetensors.numpy import save_file

from spikesim.errors import CheckpointError
from spikesim.support.json_file import read_json
from spikesim.support.nearest import named, nearest
from spikesim.support.tensor_file import open_tensors


def read(path: Path, text: str) -> object:
    path.write_text(text, encoding="utf-8")
    return read_json(path, "a list of settings", CheckpointError)


def test_what_json_can_say(tmp_path):
    text = '{"a": [1, -2.5e3, true, null, "\\u00e9"], "b": {"a": 1}, "c": 1e-400}'
    assert read(tmp_path / "x", text) == {"a": [1, -2500.0, True, None, "é"], "b": {"a": 1}, "c": 0.0}


@tried(
    5,
    "a name that stands twice in a JSON object, at any depth",
    "it is refused by name, neither value is taken",
)
@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 1}', '[{"c": {"a": 1, "a": 2}}]'])
def test_a_name_twice(text, tmp_path):
    with pytest.raises(CheckpointError, match=r"must be a list of settings \('a' stands in it twice\)"):
        read(tmp_path / "x", text)


@tried(12, "1e400, NaN, Infinity or 5,000 digits in a JSON file", "the number is refused")
@pytest.mark.parametrize("number", ["1e400", "-1e999999", "NaN", "-Infinity", "9" * 5000, "-" + "9" * 5000])
def test_numbers_beyond_range(number, tmp_path):
    with pytest.raises(CheckpointError, match=r"x must be a list of settings \(.*number") as caught:
        read(tmp_path / "x", f'{{"a": [{number}]}}')
    assert len(str(caught.value)) < 300


@tried(12, "JSON of a million values", "it is refused by their number")
def test_many_values(tmp_path):
    with pytest.raises(CheckpointError, match="must be a list of settings of at most 500,000 values"):
        read(tmp_path / "x", "[" + "0," * 1_000_000 + "0]")


@tried(12, "JSON of 100,000 levels", "it is refused as nested so deeply")
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_nesting(text, tmp_path):
    with pytest.raises(CheckpointError, match="must be a list of settings, not nested so deeply"):
        read(tmp_path / "x", text)


def test_a_tensor_file_is_opened(tmp_path):
    save_file({"a": np.arange(3)}, tmp_path / "x")
    with open_tensors(tmp_path / "x", "numpy", "numbers", CheckpointError) as file:
        assert file.get_tensor("a").tolist() == [0, 1, 2]


@tried(12, "a safetensors header of 16 MiB that says nothing", "it is refused by its size")
def test_a_long_header(tmp_path):
    length = 2**24 + 1
    (tmp_path / "x").write_bytes(length.to_bytes(8, "little") + b"{}".ljust(length))
    with pytest.raises(CheckpointError, match="with a header of at most 16,777,216 bytes, not 16,777,217"):
        open_tensors(tmp_path / "x", "numpy", "numbers", CheckpointError)


def test_names_in_sentences():
    assert named("attn.rope_theta") == "attn.rope_theta"
    assert named("a\x1b") == r"'a\x1b'"
    assert named(7) == "7"
    assert nearest("hiden", ["hidden", "size"], ["hide"]) == "did you mean hidden?"
    assert nearest("hide", ["size"], ["hidden"]) == "did you mean hidden?"
    assert nearest("zzz", [f"name{n}" for n in range(20)]).endswith("name11 and 8 more")
