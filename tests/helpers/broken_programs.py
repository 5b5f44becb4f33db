"""The sound program of `tests/program/errors/sound.json`, and what `broken.json` changes of it.

A change is a path and a value: [4, "dst", "offset"] is a field of instruction 4, ["vectors", "x"] one of the text,
["array", "gain"] a constant or matrix ("float32", "cut", "2d", "gone", "strided", or a name for a copy of it).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from helpers.places import CHECKOUT

from spikesim.program import Program, ProgramText

FOLDER = CHECKOUT / "tests" / "program" / "errors"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "broken.json").read_text(encoding="utf-8"))


def sound() -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Text, constants and matrices of the sound program."""
    made = json.loads((FOLDER / "sound.json").read_text(encoding="utf-8"))
    constants = {name: np.array(words, np.int32) for name, words in made["constants"].items()}
    matrices = {name: np.array(rows, np.int8) for name, rows in made["matrices"].items()}
    return made["text"], constants, matrices


def program(changes: list[list[Any]]) -> Program:
    """The sound program with these changes, each [path, value]."""
    text, constants, matrices = sound()
    for path, value in changes:
        if path[0] == "array":
            _change_array(constants if path[1] in constants else matrices, path[1], value)
        else:
            _change_text(text, path, value)
    return Program(text=ProgramText.model_validate(text), constants=constants, matrices=matrices)


def _change_text(text: dict[str, Any], path: list[Any], value: Any) -> None:
    node: Any = text
    if isinstance(path[0], int):
        node = [i for section in text["sections"] for i in section["instructions"]]
    for key in path[:-1]:
        node = node[key]
    if value == "absent":
        del node[path[-1]]
    else:
        node[path[-1]] = value


def _change_array(arrays: dict[str, np.ndarray], name: str, value: str) -> None:
    array = arrays[name]
    match value:
        case "gone":
            del arrays[name]
        case "cut":
            arrays[name] = array[:-1]
        case "2d":
            arrays[name] = array[None]
        case "strided":
            arrays[name] = np.repeat(array, 2, axis=-1)[..., ::2]
        case "float32" | "int64" | "uint8" | "int32":
            arrays[name] = array.astype(value)
        case _:
            arrays[value] = array
