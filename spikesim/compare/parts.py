"""Which part of the core a cell or memory belongs to, by its place in the hierarchy."""

from __future__ import annotations

import re

ARRAY = "array"
OFFSET = "array offset"
"""What all lanes' sums lack in the same way: one accumulator for any number of lanes."""
ENCODER = "encoder"
ADDRESSING = "row addressing, drain"
UPDATE = "state update, stores"
POINTWISE = "pointwise"
CONTROL = "control, host"

ROW_MEMORY = "row memory"
STATE_MEMORY = "state memory"
VECTOR_MEMORY = "vector memory"
PROGRAM_MEMORY = "program memory"
ENCODER_MEMORY = "encoder memory"
UPDATE_MEMORY = "state encoder memory"


def part_of(path: str, *, lists_serve_gathers: bool) -> str:
    """The part that the unit at `path` (instances joined by dots) belongs to.

    `lists_serve_gathers`: the row lists are the encoder of gathers; else they serve scatters alone.
    """
    names = path.split(".")
    if names[0] != "array":
        return POINTWISE if names[0] == "pointwise" else CONTROL
    unit = re.sub(r"_\d+$", "", names[1]) if len(names) > 1 else ""
    if unit == "sum":
        return ARRAY
    if unit == "sum_offset":
        return OFFSET
    if unit in ("planes", "window", "counts", "rows", "loader"):
        return ENCODER
    if unit == "list":
        return ENCODER if lists_serve_gathers else UPDATE
    if unit in ("state", "scatter", "sweep", "store"):
        return UPDATE
    return ADDRESSING


def memory_of(path: str, image: str, *, lists_serve_gathers: bool) -> str:
    """The part that the memory instance at `path`, with the name of its image or "none", belongs to."""
    for prefix, part in (
        ("row_", ROW_MEMORY),
        ("state_", STATE_MEMORY),
        ("vector_", VECTOR_MEMORY),
        ("program", PROGRAM_MEMORY),
    ):
        if image.startswith(prefix):
            return part
    inside = part_of(path.rpartition(".")[0], lists_serve_gathers=lists_serve_gathers)
    return ENCODER_MEMORY if inside == ENCODER else UPDATE_MEMORY
