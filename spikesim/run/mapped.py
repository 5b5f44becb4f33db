"""What `spikesim map` leaves for a later run: model, hardware, embedding, programs; read and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from spikesim.errors import CheckpointError, ProgramError
from spikesim.hardware import HardwareConfig
from spikesim.program import Program
from spikesim.program.file import load_program
from spikesim.results.report import ModelSummary

PROGRAM_FOLDER = "programs"
MAPPING_FILE = "mapping.json"
EMBEDDING_FILE = "embedding.npy"


def read_mapping(folder: Path) -> tuple[ModelSummary, HardwareConfig, NDArray[Any]]:
    """The model, the hardware and the embedding, integer[vocab, hidden], of what `map_model` wrote.

    Raises CheckpointError if it did not write it.
    """
    try:
        mapping = json.loads((folder / MAPPING_FILE).read_text(encoding="utf-8"))
        summary = ModelSummary.model_validate(mapping["model"])
        mapped = HardwareConfig.model_validate(mapping["hardware"])
        table = np.load(folder / PROGRAM_FOLDER / EMBEDDING_FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} must be a folder that spikesim map wrote: {_reason(error)}"
        ) from None
    shape = (summary.vocab_size, summary.hidden_size)
    if not isinstance(table, np.ndarray) or table.dtype not in (np.int16, np.int32) or table.shape != shape:
        kind = f"{table.dtype}{list(table.shape)}" if isinstance(table, np.ndarray) else "an archive"
        raise CheckpointError(
            f"{EMBEDDING_FILE} in {folder / PROGRAM_FOLDER} must be int16 or int32{list(shape)}, not {kind}"
        )
    return summary, mapped, table


def mapped_program(folder: Path, name: str, summary: ModelSummary) -> Program:
    """A program of the mapped model, which takes and gives words as its place in the model asks.

    Raises ProgramError or CheckpointError if it does not.
    """
    program = load_program(folder / PROGRAM_FOLDER, name)
    text, hidden = program.text, summary.hidden_size
    inputs, gives = {
        "position": ((), None),
        "head": (("h",), summary.vocab_size),
    }.get(name, (("h", "cos", "sin"), hidden))
    if sorted(text.inputs) != sorted(inputs):
        wanted = ", ".join(inputs) or "none"
        raise ProgramError(f"program {name}: inputs must be {wanted}, not {', '.join(text.inputs) or 'none'}")
    checked = {"h": hidden} if inputs else {}
    checked |= {text.output: gives} if gives is not None else {}
    for vector, words in checked.items():
        if text.vectors[vector] != words:
            raise ProgramError(
                f"program {name}: vector {vector} must have {words} words, not {text.vectors[vector]}"
            )
    if not inputs and not {"cos", "sin"} <= text.vectors.keys():
        raise ProgramError(f"program {name}: vectors must be cos and sin, not {', '.join(text.vectors)}")
    return program


def _reason(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
