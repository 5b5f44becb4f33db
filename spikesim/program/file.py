"""Programs on disk: `<name>.json` is the text, `<name>.safetensors` the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spikesim.errors import CheckpointError, HardwareError
from spikesim.program import Program, ProgramText
from spikesim.program.verifier import verify_program, verify_requirements

_CONSTANT, _MATRIX = "constant.", "matrix."


def save_program(program: Program, folder: Path) -> None:
    """Writes both files of a program into `folder`, which exists."""
    name = program.text.name
    (folder / f"{name}.json").write_text(
        program.text.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8"
    )
    arrays: dict[str, np.ndarray] = {_CONSTANT + key: value for key, value in program.constants.items()}
    arrays |= {_MATRIX + key: value for key, value in program.matrices.items()}
    save_file(arrays, folder / f"{name}.safetensors")


def load_text(folder: Path, name: str) -> ProgramText:
    """Reads the text of a program alone. Raises CheckpointError if it is missing or damaged."""
    try:
        text = ProgramText.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError, HardwareError) as error:
        raise _damaged(name, folder, error) from None
    if text.name != name:
        raise CheckpointError(f"program {name} in {folder} must be named {name}, not {text.name}")
    return text


def load_program(folder: Path, name: str) -> Program:
    """Reads a program back and verifies it.

    Raises CheckpointError if a file is missing or damaged, ProgramError if what they say is no sound program.
    """
    text = load_text(folder, name)
    try:
        arrays = _load_arrays(folder / f"{name}.safetensors")
    except (OSError, SafetensorError) as error:
        raise _damaged(name, folder, error) from None
    constants, matrices = {}, {}
    for key, array in arrays.items():
        if key.startswith(_CONSTANT):
            constants[key.removeprefix(_CONSTANT)] = np.array(array)
        elif key.startswith(_MATRIX):
            matrices[key.removeprefix(_MATRIX)] = array
        else:
            raise CheckpointError(
                f"numbers of program {name} in {folder} must be constants or matrices, not {key}"
            )
    program = Program(text=text, constants=constants, matrices=matrices)
    verify_program(program)
    verify_requirements(program)
    return program


def _load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file by name, opened for one at a time: what has been read of an open file takes memory twice."""
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
    arrays = {}
    for name in names:
        with safe_open(path, framework="numpy") as file:
            arrays[name] = file.get_tensor(name)
    return arrays


def _damaged(name: str, folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"program {name} in {folder} must be as spikesim map wrote it: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """What is wrong with a file, in one line; of a text, the first field that is."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
