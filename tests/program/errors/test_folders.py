"""A mapped folder that somebody edited: one sentence and exit status 1, whichever file and field it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.programs import TINY
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.run.tokens import InputRequest

LAYER = "programs/layer_00"
PREFIX = "spikesim: program layer_00, instruction"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    request = InputRequest(random_tokens=12, sequence_length=6)
    map_model(TINY, output=folder, hardware=HardwareConfig(), request=request)
    return folder


@pytest.fixture
def folder(mapped: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(mapped, tmp_path / "copy"))


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def edit_program(folder: Path, change: Callable[[dict[str, Any], list[dict[str, Any]]], None]) -> None:
    """`change(text, instructions)` edits the program of layer 0."""

    def both(text: dict[str, Any]) -> None:
        change(text, [i for section in text["sections"] for i in section["instructions"]])

    edit_json(folder / f"{LAYER}.json", both)


def edit_numbers(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """`change(arrays)` edits the numbers of layer 0."""
    path = folder / f"{LAYER}.safetensors"
    arrays = dict(load_file(path))
    change(arrays)
    save_file(arrays, path)


def refused(folder: Path) -> str:
    """The one sentence with which `spikesim simulate` ends with status 1."""
    result = CliRunner().invoke(app, ["simulate", str(folder), "-o", str(folder.parent / "out")])
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return one_sentence(result.stderr)


def one_sentence(text: str) -> str:
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines, "no sentence at all"
    assert lines[0].startswith("spikesim: ")
    assert "nothing was written" in "".join(lines[1:]) or len(lines) == 1
    return lines[0]


def multiply(instructions: list[dict[str, Any]]) -> dict[str, Any]:
    """The first multiplication of the layer: its norm."""
    return next(i for i in instructions if i["op"] == "multiply")


# The eight edits of one view, each in a process of its own: some used to end it

VIEW_EDITS: dict[str, tuple[Callable[[dict[str, Any], list[dict[str, Any]]], None], str]] = {
    "offset beyond": (
        lambda _, all_: multiply(all_)["a"].update(offset=10**6),
        "a must be inside the 64 words of h",
    ),
    "offset before": (
        lambda _, all_: multiply(all_)["a"].update(offset=-500_000),
        "a.offset must be 0 … 16777216, not -500000",
    ),
    "length": (
        lambda _, all_: multiply(all_)["a"].update(length=10**7),
        "a must be inside the 64 words of h",
    ),
    "vector too small": (
        lambda text, _: text["vectors"].update(attn_norm=8),
        "inside the 8 words of attn_norm",
    ),
    "stride": (
        lambda _, all_: next(i for i in all_ if i["op"] == "rotate")["a"].update(stride=10**7),
        "a must be inside the 64 words of attn.q_norm",
    ),
    "name": (
        lambda _, all_: multiply(all_)["a"].update(name="nowhere"),
        "a.name must be a vector that the program declares, not nowhere",
    ),
    "write beyond": (
        lambda _, all_: multiply(all_)["dst"].update(offset=10**6),
        "dst must be inside the 64 words of attn_norm",
    ),
    "matrix": (
        lambda _, all_: next(i for i in all_ if i["op"] == "gather").update(name="nothing"),
        "name must be a matrix of the program, not nothing",
    ),
}


@pytest.mark.parametrize("edit", VIEW_EDITS)
def test_an_edited_view_is_one_sentence(edit: str, folder: Path) -> None:
    change, sentence = VIEW_EDITS[edit]
    edit_program(folder, change)
    command = "from spikesim.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "simulate", str(folder), "-o", str(folder.parent / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = one_sentence(done.stderr)
    assert said.startswith(PREFIX)
    assert sentence in said
    assert not (folder.parent / "out").exists()


# Numbers

MATRIX, CONSTANT = "matrix.attn.qkv", "constant.attn_norm.gain"
NUMBER_EDITS: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "constant gone": (
        lambda a: a.pop(CONSTANT),
        "b must be a constant, an input or written by an instruction",
    ),
    "constant float": (
        lambda a: a.update({CONSTANT: a[CONSTANT].astype(np.float32)}),
        "constant attn_norm.gain must be int32[64] without gaps, not float32[64]",
    ),
    "constant short": (
        lambda a: a.update({CONSTANT: a[CONSTANT][:-1]}),
        "int32[64] without gaps, not int32[63]",
    ),
    "constant 2d": (
        lambda a: a.update({CONSTANT: a[CONSTANT][None]}),
        "int32[64] without gaps, not int32[1, 64]",
    ),
    "matrix gone": (lambda a: a.pop(MATRIX), "name must be a matrix of the program, not attn.qkv"),
    "matrix float": (
        lambda a: a.update({MATRIX: a[MATRIX].astype(np.float32)}),
        "matrix attn.qkv must be int8[outputs, channels] without gaps, not float32[128, 64]",
    ),
    "matrix uint8": (lambda a: a.update({MATRIX: a[MATRIX].view(np.uint8)}), "not uint8[128, 64]"),
    "matrix int32": (lambda a: a.update({MATRIX: a[MATRIX].astype(np.int32)}), "not int32[128, 64]"),
    "matrix cut": (
        lambda a: a.update({MATRIX: a[MATRIX][:-1].copy()}),
        "dst must be 1 × 127 words, not 1 × 128",
    ),
    "matrix narrow": (
        lambda a: a.update({MATRIX: a[MATRIX][:, :-1].copy()}),
        "counts must be 1 × 63 words, not 1 × 64",
    ),
    "matrix flat": (lambda a: a.update({MATRIX: a[MATRIX].reshape(-1)}), "not int8[8192]"),
    "extra matrix": (
        lambda a: a.update({"matrix.more": np.ones((2, 2), np.int8)}),
        "matrix more must be the operand of a gather, not unused",
    ),
    "extra constant": (
        lambda a: a.update({"constant.more": np.ones(2, np.int32)}),
        "constant more must be a vector of the program, not unknown",
    ),
    "extra array": (
        lambda a: a.update({"more": np.ones(2, np.int32)}),
        "must be constants or matrices, not more",
    ),
}


@pytest.mark.parametrize("edit", NUMBER_EDITS)
def test_edited_numbers_are_one_sentence(edit: str, folder: Path) -> None:
    change, sentence = NUMBER_EDITS[edit]
    edit_numbers(folder, change)
    assert sentence in refused(folder)


# Texts


def test_a_text_that_is_no_program_is_one_sentence(folder: Path) -> None:
    """What is wrong is named by its place in the file."""
    edit_program(folder, lambda _, all_: multiply(all_).update(shift="far"))
    assert "sections.0.instructions.3.multiply.shift" in refused(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.update(name="layer_01"), "must be named layer_00, not layer_01"),
        (lambda t: t.update(output="h_mid.max_abs"), "vector h_mid.max_abs must have 64 words, not 1"),
        (
            lambda t: t.update(inputs=["h", "cos"]),
            "sin must be a constant, an input or written by an instruction",
        ),
        (lambda t: t["vectors"].update(h=65), "vector h must have 64 words, not 65"),
        (lambda t: t["vectors"].update(cos=9), "input cos must be int32[6, 2, 9], not int32[6, 2, 8]"),
        (
            lambda t: t["inputs"].append("idle") or t["vectors"].update(idle=3),
            "inputs must be h, cos, sin, not h, cos",
        ),
    ],
)
def test_an_edited_text_is_one_sentence(change: Callable[[Any], object], sentence: str, folder: Path) -> None:
    edit_json(folder / f"{LAYER}.json", change)  # type: ignore[arg-type]
    assert sentence in refused(folder)


def test_angles_and_logits_of_another_name_or_width_are_one_sentence(folder: Path, mapped: Path) -> None:
    path = folder / "programs" / "position.json"
    text = path.read_text(encoding="utf-8").replace('"name": "cos"', '"name": "cosine"')
    path.write_text(text.replace('"cos": 8', '"cosine": 8').replace('"output": "cos"', '"output": "cosine"'))
    assert "vectors must be cos and sin, not" in refused(folder)
    shutil.copy(mapped / "programs" / "position.json", path)
    edit_json(folder / "programs" / "head.json", lambda text: text.update(output="head.counts"))
    assert "program head: vector head.counts must have 256 words, not 64" in refused(folder)


# What lies beside the programs


def _save(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "programs" / name, array)


def _change_file(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / name, change)  # type: ignore[arg-type]


OTHER_EDITS: dict[str, tuple[Callable[[Path], object], str]] = {
    "embedding float": (
        _save("embedding.npy", np.zeros((256, 64), np.float32)),
        "embedding.npy in",
    ),
    "embedding narrow": (_save("embedding.npy", np.zeros((256, 63), np.int16)), "not int16[256, 63]"),
    "embedding short": (_save("embedding.npy", np.zeros((255, 64), np.int16)), "not int16[255, 64]"),
    "embedding flat": (_save("embedding.npy", np.zeros(16384, np.int16)), "must be int16 or int32[256, 64]"),
    "embedding empty file": (
        lambda f: (f / "programs" / "embedding.npy").write_bytes(b""),
        "must be a folder that spikesim map wrote",
    ),
    "embedding gone": (
        lambda f: (f / "programs" / "embedding.npy").unlink(),
        "must be a folder that spikesim map",
    ),
    "tokens float": (
        _save("tokens.npy", np.zeros((2, 6))),
        "must be int64[sequences, tokens], not float64[2, 6]",
    ),
    "tokens flat": (_save("tokens.npy", np.zeros(6, np.int64)), "not int64[6]"),
    "tokens empty": (_save("tokens.npy", np.zeros((0, 6), np.int64)), "not int64[0, 6]"),
    "tokens negative": (_save("tokens.npy", np.full((2, 6), -1)), "must be in 0 … 255, not -1"),
    "tokens beyond": (_save("tokens.npy", np.full((2, 6), 256)), "must be in 0 … 255, not 256"),
    "tokens empty file": (lambda f: (f / "programs" / "tokens.npy").write_bytes(b""), "cannot be read"),
    "origin kind": (_change_file("programs/tokens.json", lambda o: o.update(kind="dream")), "tokens.json in"),
    "origin extra": (_change_file("programs/tokens.json", lambda o: o.update(colour=1)), "colour"),
    "origin list": (lambda f: (f / "programs" / "tokens.json").write_text("[]"), "tokens.json in"),
    "mapping list": (
        lambda f: (f / "mapping.json").write_text("[]"),
        "must be a folder that spikesim map wrote",
    ),
    "mapping without model": (_change_file("mapping.json", lambda m: m.pop("model")), "model is missing"),
    "vocabulary": (_change_file("mapping.json", lambda m: m["model"].update(vocab_size=-1)), "vocab_size"),
    "hidden size": (
        _change_file("mapping.json", lambda m: m["model"].update(hidden_size=32)),
        "int32[256, 32]",
    ),
    "layers": (
        _change_file("mapping.json", lambda m: m["model"]["layer_kinds"].append("full")),
        "program layer_04",
    ),
}


@pytest.mark.parametrize("edit", OTHER_EDITS)
def test_edited_files_beside_the_programs_are_one_sentence(edit: str, folder: Path) -> None:
    change, sentence = OTHER_EDITS[edit]
    change(folder)
    assert sentence in refused(folder)


def test_the_folder_as_it_was_written_runs(folder: Path) -> None:
    result = CliRunner().invoke(app, ["simulate", str(folder), "-o", str(folder.parent / "out")])
    assert result.exit_code == 0, result.output
