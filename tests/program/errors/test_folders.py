"""A mapped folder that somebody edited: one sentence and exit status 1, whichever file and field it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.programs import TINY
from helpers.tried import tried
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from spikesim.cli.app import app
from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.program.compiled import open_compiled
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
        (
            lambda t: t["outputs"][0].update(name="h_mid.max_abs"),
            "program layer_01: input h must be linked to an output of an earlier program, not layer_00.h_out",
        ),
        (lambda t: t["inputs"].pop(), "links must be to inputs of the programs, not layer_00.sin"),
        (lambda t: t["vectors"].update(h=65), "shape of h must be 65 words, not 64"),
        (lambda t: t["vectors"].update(cos=9), "shape of cos must be 9 words, not 8"),
        (lambda t: t["inputs"][1].update(shape=[9]), "words of cos must be 8, as position.cos has, not 9"),
        (
            lambda t: t["inputs"][1]["format"].update(fraction=14),
            "format of cos must be 17 bits, 15 of them a fraction, as position.cos has, not 17 bits, 14 of them",
        ),
        (
            lambda t: t["outputs"][0]["format"].update(bits=16),
            "format of h must be 16 bits, 12 of them a fraction, as layer_00.h_out has",
        ),
        (
            lambda t: t["inputs"].append({**t["inputs"][1], "name": "idle"}),
            "program layer_00: input idle must be linked to something, not missing",
        ),
        (lambda t: t["requires"].update(accumulator_bits=9), "requires.accumulator_bits must be at least 21"),
        (lambda t: t.update(name="../layer_00"), "name: String should match pattern"),
        (lambda t: t.update(kind="moba"), "kind: Extra inputs are not permitted"),
    ],
)
def test_an_edited_text_is_one_sentence(change: Callable[[Any], object], sentence: str, folder: Path) -> None:
    edit_json(folder / f"{LAYER}.json", change)  # type: ignore[arg-type]
    assert sentence in refused(folder)


def test_angles_and_logits_of_another_name_or_width_are_one_sentence(folder: Path, mapped: Path) -> None:
    path = folder / "programs" / "position.json"
    text = path.read_text(encoding="utf-8").replace('"name": "cos"', '"name": "cosine"')
    path.write_text(text.replace('"cos": 8', '"cosine": 8'))
    assert "input cos must be linked to an output of an earlier program, not position.cos" in refused(folder)
    shutil.copy(mapped / "programs" / "position.json", path)
    edit_json(
        folder / "programs" / "head.json",
        lambda text: text["outputs"][0].update(name="head.counts", shape=[64]),
    )
    assert (
        "program head: the result must be head.head.counts, the first output of the last program, not head.logits"
        in refused(folder)
    )


# What lies beside the programs


def _save(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "programs" / name, array)


def _save_table(array: np.ndarray, key: str = "table") -> Callable[[Path], None]:
    return lambda folder: save_file({key: array}, folder / "programs" / "host.safetensors")


def _change_file(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / name, change)  # type: ignore[arg-type]


def _change_compiled(change: Callable[[Any], object]) -> Callable[[Path], None]:
    return _change_file("compiled.json", change)


def _as_version_1(folder: Path) -> None:
    """What an earlier version left: no compiled.json, and the model in mapping.json."""
    content = json.loads((folder / "compiled.json").read_text(encoding="utf-8"))
    (folder / "compiled.json").unlink()
    old = {"model": content["model"], "hardware": content["hardware"], "stream_fraction": 12, "programs": []}
    (folder / "mapping.json").write_text(json.dumps(old), encoding="utf-8")


OTHER_EDITS: dict[str, tuple[Callable[[Path], object], str]] = {
    "table float": (_save_table(np.zeros((256, 64), np.float32)), "not float32[256, 64]"),
    "table narrow": (_save_table(np.zeros((256, 63), np.int16)), "not int16[256, 63]"),
    "table short": (_save_table(np.zeros((255, 64), np.int16)), "not int16[255, 64]"),
    "table flat": (_save_table(np.zeros(16384, np.int16)), "must be int16 or int32[256, 64]"),
    "table of another name": (
        _save_table(np.zeros((256, 64), np.int16), "rows"),
        "must be the table that spikesim map wrote",
    ),
    "table empty file": (
        lambda f: (f / "programs" / "host.safetensors").write_bytes(b""),
        "must be the table that spikesim map wrote",
    ),
    "table gone": (
        lambda f: (f / "programs" / "host.safetensors").unlink(),
        "host.safetensors cannot be read",
    ),
    "tokens float": (
        _save("tokens.npy", np.zeros((2, 6))),
        "must be int64[sequences, tokens], not of real numbers ('float64')",
    ),
    "tokens flat": (_save("tokens.npy", np.zeros(6, np.int64)), "not int64[6]"),
    "tokens empty": (_save("tokens.npy", np.zeros((0, 6), np.int64)), "not int64[0, 6]"),
    "tokens negative": (_save("tokens.npy", np.full((2, 6), -1)), "must be in 0 … 255, not -1"),
    "tokens beyond": (_save("tokens.npy", np.full((2, 6), 256)), "must be in 0 … 255, not 256"),
    "tokens empty file": (lambda f: (f / "programs" / "tokens.npy").write_bytes(b""), "not an empty file"),
    "origin kind": (
        _change_file("programs/tokens.json", lambda o: o.update(kind="dream")),
        "tokens.json must say",
    ),
    "origin beyond": (
        _change_file("programs/tokens.json", lambda o: o.update(special={"12": "<bos>"})),
        "special tokens in",
    ),
    "origin extra": (_change_file("programs/tokens.json", lambda o: o.update(colour=1)), "colour"),
    "origin list": (lambda f: (f / "programs" / "tokens.json").write_text("[]"), "tokens.json must say"),
    "compiled list": (
        lambda f: (f / "compiled.json").write_text("[]"),
        "must be what spikesim map wrote",
    ),
    "compiled gone": (lambda f: (f / "compiled.json").unlink(), "spikesim map wrote: no compiled.json"),
    "compiled without model": (_change_compiled(lambda m: m.pop("model")), "model: Field required"),
    "vocabulary": (_change_compiled(lambda m: m["model"].update(vocab_size=-1)), "model.vocab_size"),
    "items": (_change_compiled(lambda m: m["host"].update(items=255)), "must be int16 or int32[255, 64]"),
    "another host": (_change_compiled(lambda m: m["host"].update(kind="camera")), "host: Input tag 'camera'"),
    "one program more": (
        _change_compiled(lambda m: m["programs"].append("layer_04")),
        "layer_04.json cannot be read",
    ),
    "a program twice": (
        _change_compiled(lambda m: m["programs"].append("head")),
        "program head: name must be its own",
    ),
    "a program less": (
        _change_compiled(lambda m: m["programs"].remove("layer_01")),
        "program layer_02: input h must be linked to an output of an earlier program, not layer_01.h_out",
    ),
    "programs in another order": (
        _change_compiled(lambda m: m["programs"].reverse()),
        "must be linked to an output of an earlier program",
    ),
    "a program elsewhere": (
        _change_compiled(lambda m: m["programs"].insert(0, "../x")),
        "programs.0: String",
    ),
    "a link less": (
        _change_compiled(lambda m: m["links"].pop(0)),
        "program layer_00: input h must be linked to something, not missing",
    ),
    "a link twice": (_change_compiled(lambda m: m["links"].append(m["links"][0])), "not several for one"),
    "a link to elsewhere": (
        _change_compiled(lambda m: m["links"][0].update(source={"program": "head", "port": "logits"})),
        "must be linked to an output of an earlier program, not head.logits",
    ),
    "another result": (
        _change_compiled(lambda m: m["output"].update(port="counts")),
        "the result must be head.logits, the first output of the last program, not head.counts",
    ),
    "a block less": (_change_compiled(lambda m: m["blocks"].pop()), "must have one for program head"),
    "unknown key": (_change_compiled(lambda m: m.update(colour=1)), "colour: Extra inputs are not permitted"),
    "a later version": (
        _change_compiled(lambda m: m.update(schema_version=4)),
        "must be a mapping of schema version 3, not 4; make it anew: spikesim map",
    ),
    "an earlier version": (
        _as_version_1,
        "must be a mapping of schema version 3, not 1; make it anew: spikesim map",
    ),
}


@pytest.mark.parametrize("edit", OTHER_EDITS)
def test_edited_files_beside_the_programs_are_one_sentence(edit: str, folder: Path) -> None:
    change, sentence = OTHER_EDITS[edit]
    change(folder)
    assert sentence in refused(folder)


FILES = [
    "compiled.json",
    "programs/layer_00.json",
    "programs/layer_00.safetensors",
    "programs/host.safetensors",
]


@tried(12, "a pipe in place of a file of a mapping", "it is refused, not waited for")
@pytest.mark.parametrize("name", FILES)
def test_pipes_are_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{name} must be " in refused(folder)


def test_a_pipe_in_place_of_an_earlier_mapping(folder: Path) -> None:
    (folder / "compiled.json").unlink()
    (folder / "mapping.json").unlink()
    os.mkfifo(folder / "mapping.json")
    assert "must hold config.json" in refused(folder) or "must be a folder" in refused(folder)


@tried(13, "a folder in place of a file of a mapping", "it is refused by its kind")
@pytest.mark.parametrize("name", FILES)
def test_folders_are_no_files(name: str, folder: Path) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert "a regular file, not a folder" in refused(folder)


@tried(12, "deep JSON in a mapping", "it is refused")
@pytest.mark.parametrize("name", FILES[:2])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900])
def test_deep_json(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    assert f"{name} must be " in refused(folder)


@tried(12, "numbers beyond a float or an integer in a mapping", "the first of them is named")
@pytest.mark.parametrize("name", FILES[:2])
@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "9" * 5000])
def test_numbers_beyond_range(name: str, number: str, folder: Path) -> None:
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace("64", number, 1))
    assert f"{name} must be " in refused(folder)


@tried(12, "a header bomb in place of the numbers of a mapping", "its size is refused before it is read")
@pytest.mark.parametrize("name", FILES[2:])
def test_header_bombs(name: str, folder: Path) -> None:
    (folder / name).write_bytes((2**60).to_bytes(8, "little") + b"{}")
    assert "with a header of at most 16,777,216 bytes" in refused(folder)


@tried(13, "a byte-order mark before the texts of a mapping", "it is no part of them")
def test_byte_order_marks(folder: Path) -> None:
    for name in FILES[:2]:
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert open_compiled(folder).program("layer_00").text.name == "layer_00"


@tried(13, "a mapping's text in UTF-16, cut short, or with a setting twice", "it is refused by name")
@pytest.mark.parametrize("name", FILES[:2])
def test_damaged_texts(name: str, folder: Path) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(text, encoding="utf-16")
    assert f"{name} must be UTF-8 text, not UTF-16" in refused(folder)
    (folder / name).write_text(text[: len(text) // 2], encoding="utf-8")
    assert f"{name} must be " in refused(folder)
    (folder / name).write_text(
        '{"schema_version": 2, "schema_version": 2,' + text.strip()[1:], encoding="utf-8"
    )
    assert f"{name} must be " in refused(folder)


def test_the_folder_as_it_was_written_runs(folder: Path) -> None:
    result = CliRunner().invoke(app, ["simulate", str(folder), "-o", str(folder.parent / "out")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["simulate", "verify", "rtl", "lava", "export", "compare"])
def test_every_command_says_how_to_make_an_old_mapping_anew(command: str, folder: Path) -> None:
    """With the model's own path and the folder, so that the command can be copied."""
    _as_version_1(folder)
    more = ["--target", "norse"] if command == "export" else []
    result = CliRunner().invoke(app, [command, str(folder), "-o", str(folder.parent / "out"), *more])
    assert result.exit_code == 1, result.output
    assert one_sentence(result.stderr).endswith(f"spikesim map {TINY} -o {folder} --force")
    assert not (folder.parent / "out" / "compiled.json").exists()


@tried(12, "a layer with a number below 0 in a mapping", "it is refused by its field")
def test_layer_number(folder: Path) -> None:
    edit_json(folder / "compiled.json", lambda value: value["blocks"][1].update(layer=-1))
    assert "blocks" in refused(folder)
