"""Arrays to files by plain writes, which a full disk refuses with an error.

The writers of safetensors and numpy do not: the one maps the file into memory, and a disk that is full when a page is
written ends the process (SIGBUS); the other's error says how many numbers were written, but not why no more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SAFETENSORS: Final = {
    "bool": "BOOL",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}
_ALIGNMENT = 8


def write_safetensors(
    path: Path, arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, str] | None = None
) -> None:
    """Write arrays[...] of numbers as a safetensors file, one after the other, none twice in memory.

    `kinds`: for arrays of bytes that are numbers of a type which numpy lacks, its name in the format ("BF16"), with
    the bytes of a number as the last dimension. Raises `OSError`, and `KeyError` for a type that the format lacks.
    """
    kinds = {} if kinds is None else kinds
    header: dict[str, Any] = {}
    # The widest numbers first, so that all are aligned, as the format's own writer has it.
    names = sorted(arrays, key=lambda name: (-_width(arrays[name], name in kinds), name))
    end = 0
    for name in names:
        array = arrays[name]
        shape = array.shape[:-1] if name in kinds else array.shape
        header[name] = {
            "dtype": kinds.get(name) or _SAFETENSORS[array.dtype.name],
            "shape": list(shape),
            "data_offsets": [end, end + array.nbytes],
        }
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            file.write(_bytes_of(arrays[name]))


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write one array as numpy's own format. Raises `OSError`."""
    header: Any = np.lib.format
    with path.open("wb") as file:
        header.write_array_header_1_0(file, header.header_data_from_array_1_0(_in_order(array)))
        file.write(_bytes_of(array))


def write_raw(path: Path, array: NDArray[Any]) -> None:
    """Write the numbers alone, as they are in memory. Raises `OSError`."""
    path.write_bytes(_bytes_of(array))


def _in_order(array: NDArray[Any]) -> NDArray[Any]:
    return np.require(array, requirements="C")  # unlike `ascontiguousarray`, keeps a number a number


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return _in_order(array).reshape(-1).view(np.uint8).data


def _width(array: NDArray[Any], is_bytes: bool) -> int:
    return array.shape[-1] if is_bytes else array.itemsize
