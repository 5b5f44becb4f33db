"""Memory images in the format of `$readmemh`: the program, constants in vector memory, weights in row memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.layout import CoreLayout, OperandLayout
from spikesim.program import Program
from spikesim.rtl.assemble import Executable
from spikesim.timing import ceil_div


def program_image(executable: Executable) -> Iterator[str]:
    """One line of 128 hexadecimal digits per hardware instruction."""
    for instruction in executable.instructions:
        yield f"{instruction.word():0128x}"


def vector_image(programs: Sequence[Program], layout: CoreLayout) -> NDArray[np.uint32]:
    """uint32[vector_words]: constants and literals where the layout has them, else 0."""
    words = np.zeros(layout.vector_words, np.uint32)
    for address, literal in layout.literals.items():
        words[address] = literal & 0xFFFFFFFF
    for program, own in zip(programs, layout.programs, strict=True):
        for name, constant in program.constants.items():
            first = own.vectors[name]
            words[first : first + constant.size] = constant.reshape(-1).view(np.uint32)
    return words


def row_images(programs: Sequence[Program], layout: CoreLayout, *, ways: int, lanes: int) -> NDArray[np.int8]:
    """int8[ways, row_words, lanes]: the matrices in every bank; caches start empty."""
    rows = np.zeros((ways, layout.row_words, lanes), np.int8)
    for program, own in zip(programs, layout.programs, strict=True):
        for name, matrix in program.matrices.items():
            place_matrix(rows, np.asarray(matrix), own.matrices[name])
    return rows


def place_matrix(rows: NDArray[np.int8], matrix: NDArray[np.int8], operand: OperandLayout) -> None:
    """matrix: int8[outputs, channels]; channel i in bank i mod ways, output j in lane j mod lanes of its chunk."""
    ways, _, lanes = rows.shape
    outputs, channels = matrix.shape
    chunks, height = ceil_div(outputs, lanes), ceil_div(channels, ways)
    padded = np.zeros((chunks * lanes, height * ways), np.int8)
    padded[:outputs, :channels] = matrix
    blocks = padded.reshape(chunks, lanes, height, ways).transpose(3, 0, 2, 1)
    rows[:, operand.base : operand.base + chunks * height] = blocks.reshape(ways, chunks * height, lanes)


def row_lines(bank: NDArray[np.int8]) -> str:
    """bank: int8[rows, lanes] -> a line per row, lane 0 in the lowest digits."""
    width = 2 * bank.shape[1]
    digits = np.ascontiguousarray(bank[:, ::-1]).tobytes().hex()
    return "".join(digits[i : i + width] + "\n" for i in range(0, len(digits), width))


def write_images(
    folder: Path,
    programs: Sequence[Program],
    layout: CoreLayout,
    executable: Executable,
    *,
    ways: int,
    lanes: int,
) -> dict[str, str]:
    """Writes all images into `folder`; returns the file of every memory's image name."""
    files = {"program": "program.hex", "vector": "vector.hex"}
    (folder / files["program"]).write_text("\n".join(program_image(executable)) + "\n", encoding="ascii")
    words = vector_image(programs, layout)
    (folder / files["vector"]).write_text("".join(f"{word:08x}\n" for word in words), encoding="ascii")
    rows = row_images(programs, layout, ways=ways, lanes=lanes)
    for bank in range(ways):
        name = f"row_{bank:02d}"
        files[name] = f"{name}.hex"
        (folder / files[name]).write_text(row_lines(rows[bank]), encoding="ascii")
    return files
