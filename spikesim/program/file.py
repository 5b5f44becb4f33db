"""Programs on disk: `<name>.json` is the text, `<name>.safetensors` the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from spikesim.errors import CheckpointError, HardwareError
from spikesim.program import Program, ProgramText
from spikesim.program.verifier import verify_program, verify_requirements
from spikesim.support.array_files import write_safetensors
from spikesim.support.json_file import read_json
from spikesim.support.nearest import named
from spikesim.support.reading import MEBIBYTE, reading
from spikesim.support.tensor_file import open_tensors

_CONSTANT, _MATRIX = "constant.", "matrix."

_TEXT_LIMIT = 64 * MEBIBYTE

M = TypeVar("M", bound=BaseModel)


def save_program(program: Program, folder: Path) -> None:
    """Writes both files of a program into `folder`, which exists."""
    name = program.text.name
    (folder / f"{name}.json").write_text(
        program.text.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8"
    )
    arrays: dict[str, np.ndarray] = {_CONSTANT + key: value for key, value in program.constants.items()}
    arrays |= {_MATRIX + key: value for key, value in program.matrices.items()}
    write_safetensors(folder / f"{name}.safetensors", arrays)


def load_text(folder: Path, name: str) -> ProgramText:
    """Reads the text of a program alone. Raises CheckpointError if it is missing or damaged."""
    text = read_model(ProgramText, folder / f"{name}.json", f"program {name} as spikesim map wrote it")
    if text.name != name:
        raise CheckpointError(f"program {name} in {folder} must be named {name}, not {named(text.name)}")
    return text


def load_program(folder: Path, name: str) -> Program:
    """Reads a program back and verifies it.

    Raises CheckpointError if a file is missing or damaged, ProgramError if what they say is no sound program.
    """
    text = load_text(folder, name)
    arrays = _load_arrays(
        folder / f"{name}.safetensors", f"the numbers of program {name} as spikesim map wrote them"
    )
    constants, matrices = {}, {}
    for key, array in arrays.items():
        if key.startswith(_CONSTANT) and key.isprintable():
            constants[key.removeprefix(_CONSTANT)] = np.array(array)
        elif key.startswith(_MATRIX) and key.isprintable():
            matrices[key.removeprefix(_MATRIX)] = array
        else:
            raise CheckpointError(
                f"numbers of program {name} in {folder} must be constants or matrices, not {named(key)}"
            )
    program = Program(text=text, constants=constants, matrices=matrices)
    verify_program(program)
    verify_requirements(program)
    return program


def _load_arrays(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """All arrays of a file by name, opened for one at a time: what has been read of an open file takes memory twice."""
    names = list(open_tensors(path, "numpy", what, CheckpointError).keys())
    arrays = {}
    for name in names:
        with (
            open_tensors(path, "numpy", what, CheckpointError) as file,
            reading(path, what, CheckpointError),
        ):
            arrays[name] = file.get_tensor(name)
    return arrays


def read_model(kind: type[M], path: Path, what: str) -> M:
    """Read a JSON file into a model. Raises CheckpointError for anything that is not `what` it must be."""
    content = read_json(path, what, CheckpointError, limit=_TEXT_LIMIT)
    with reading(path, what, CheckpointError):
        try:
            return kind.model_validate(content)
        except (ValidationError, HardwareError) as error:
            raise CheckpointError(f"{path} must be {what} ({_reason(error)})") from None


def _reason(error: ValidationError | HardwareError) -> str:
    """What is wrong with a text, in one line: the first field that is."""
    if isinstance(error, HardwareError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(named, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
