"""Programs on disk: `<name>.json` is the text, `<name>.safetensors` the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from spikesim.errors import CheckpointError
from spikesim.program import Program, ProgramText

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


def load_program(folder: Path, name: str) -> Program:
    """Reads a program back. Raises CheckpointError if a file is missing, damaged or does not fit its text."""
    try:
        text = ProgramText.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / f"{name}.safetensors")
    except (OSError, UnicodeDecodeError, ValidationError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(
            f"program {name} in {folder} must be as spikesim map wrote it: {first}"
        ) from None
    constants = {
        key.removeprefix(_CONSTANT): np.array(value)
        for key, value in arrays.items()
        if key.startswith(_CONSTANT)
    }
    matrices = {key.removeprefix(_MATRIX): value for key, value in arrays.items() if key.startswith(_MATRIX)}
    for key, words in constants.items():
        if words.dtype != np.int32 or text.vectors.get(key) != words.size:
            raise CheckpointError(
                f"program {name} in {folder}: constant {key} must be as its text says; map the model again"
            )
    return Program(text=text, constants=constants, matrices=matrices)
