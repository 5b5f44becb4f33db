"""Memory images in the format of `$readmemh`: the program, constants in vector memory, weights in row memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CapacityError
from spikesim.program import Program
from spikesim.program.layout import CoreLayout, OperandLayout
from spikesim.rtl.assemble import Executable
from spikesim.rtl.vector import image_of, interleaved
from spikesim.support.arithmetic import ceil_div


def program_image(executable: Executable) -> Iterator[str]:
    """One line of 128 hexadecimal digits per hardware instruction."""
    for instruction in executable.instructions:
        yield f"{instruction.word():0128x}"


def vector_image(programs: Sequence[Program], layout: CoreLayout) -> NDArray[np.uint32]:
    """uint32[vector_words]: constants and literals where the layout has them, else 0.

    Raises CapacityError for a number that is no word of 32 bits, or that lies beyond the memory.
    """
    words = np.zeros(layout.vector_words, np.int64)
    for address, literal in layout.literals.items():
        _check(f"the literal at word {address}", np.asarray(literal), np.int32)
        _put(words, address, np.asarray([literal]), "literals")
    for program, own in zip(programs, layout.programs, strict=True):
        for name, constant in program.constants.items():
            owner = f"constant {name} of {program.text.name}"
            _check(owner, constant, np.int32)
            _put(words, own.vectors[name], constant.reshape(-1), owner)
    return words.astype(np.int32).view(np.uint32)


def row_images(programs: Sequence[Program], layout: CoreLayout, *, ways: int, lanes: int) -> NDArray[np.int8]:
    """int8[ways, row_words, lanes]: the matrices in every bank; caches start empty.

    Raises CapacityError for a weight that is no byte.
    """
    rows = np.zeros((ways, layout.row_words, lanes), np.int8)
    for program, own in zip(programs, layout.programs, strict=True):
        for name, matrix in program.matrices.items():
            _check(f"matrix {name} of {program.text.name}", matrix, np.int8)
            place_matrix(rows, np.asarray(matrix, np.int8), own.matrices[name])
    return rows


def _check(owner: str, numbers: NDArray[Any], kind: type[np.signedinteger[Any]]) -> None:
    """Raises CapacityError for what a memory of words of `kind` would not hold as it is."""
    info = np.iinfo(kind)
    numbers = np.asarray(numbers)
    if numbers.dtype == kind or numbers.size == 0:
        return
    exact = numbers.dtype.kind in "iu" or (numbers.dtype.kind in "fO" and bool((numbers % 1 == 0).all()))
    wrong = numbers[(numbers < info.min) | (numbers > info.max)] if exact else numbers[numbers % 1 != 0]
    if wrong.size:
        raise CapacityError(
            f"{owner} must be whole numbers in {info.min} … {info.max}, words of {info.bits} bits, not "
            f"{wrong.reshape(-1)[0]}"
        )


def _put(words: NDArray[np.int64], first: int, numbers: NDArray[Any], owner: str) -> None:
    """Writes numbers from a word on. Raises CapacityError if they end beyond the memory."""
    if not 0 <= first <= len(words) - numbers.size:
        raise CapacityError(
            f"{owner} must lie in words 0 … {len(words) - 1} of vector memory, not {first} … "
            f"{first + numbers.size - 1}"
        )
    words[first : first + numbers.size] = numbers


def place_matrix(rows: NDArray[np.int8], matrix: NDArray[np.int8], operand: OperandLayout) -> None:
    """matrix: int8[outputs, channels]; channel i in bank i mod ways, output j in lane j mod lanes of its chunk.

    Raises CapacityError if it would end beyond the banks.
    """
    ways, _, lanes = rows.shape
    outputs, channels = matrix.shape
    chunks, height = ceil_div(outputs, lanes), ceil_div(channels, ways)
    last = operand.base + chunks * height
    if operand.base < 0 or last > rows.shape[1]:
        raise CapacityError(
            f"a matrix must lie in rows 0 … {rows.shape[1] - 1} of its banks, not {operand.base} … {last - 1}"
        )
    padded = np.zeros((chunks * lanes, height * ways), np.int8)
    padded[:outputs, :channels] = matrix
    blocks = padded.reshape(chunks, lanes, height, ways).transpose(3, 0, 2, 1)
    rows[:, operand.base : last] = blocks.reshape(ways, chunks * height, lanes)


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
    vector_banks: int,
) -> dict[str, str]:
    """Writes all images into `folder`; returns the file of every memory's image name."""
    files = {"program": "program.hex"}
    (folder / files["program"]).write_text("\n".join(program_image(executable)) + "\n", encoding="ascii")
    words = vector_image(programs, layout)
    for bank, own in enumerate(interleaved(words, vector_banks)):
        files[image_of(bank)] = f"{image_of(bank)}.hex"
        text = "".join(f"{word:08x}\n" for word in own)
        (folder / files[image_of(bank)]).write_text(text, encoding="ascii")
    rows = row_images(programs, layout, ways=ways, lanes=lanes)
    for bank in range(ways):
        name = f"row_{bank:02d}"
        files[name] = f"{name}.hex"
        (folder / files[name]).write_text(row_lines(rows[bank]), encoding="ascii")
    return files
