"""`read_npy`: one array of plain numbers; what its header says is checked before memory is asked for."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikesim.support.reading import MEBIBYTE, Failure, open_regular
from spikesim.support.shown import shown

MAGIC = b"\x93NUMPY"
"""The first bytes of a `.npy` file, whatever it is called."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Version 3 is written only for records with names that are not Latin."""

_KINDS = {
    "b": "truth values",
    "c": "complex numbers",
    "f": "real numbers",
    "O": "Python objects",
    "S": "text",
    "U": "text",
    "M": "dates",
    "m": "times",
    "V": "records",
}
"""What a reader calls values of a `dtype.kind`."""


def read_npy(path: Path, what: str, error: Failure, *, kinds: str = "iuf") -> NDArray[Any]:
    """The array in native byte order and C order, of the shape and width that the file has.

    `kinds`: the `dtype.kind` it may have, integers ("iu") and real numbers ("f"). Raises `error`, in one sentence, for
    other values, for pickles and archives, and for a header that claims more or less than the file holds.
    """
    with open_regular(path, what, error, limit=1024 * MEBIBYTE) as file:
        head = file.read(16)
        if not head.startswith(MAGIC):
            raise error(f"{path} must be {what}, not {_foreign(head)}")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a header is of Python 2
            _check_header(file, path, what, error, kinds)
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-untyped-call]
        return np.asarray(array, array.dtype.newbyteorder("="), order="C")


def is_npy(path: Path, what: str, error: Failure) -> bool:
    """Whether a file holds an array, by its first bytes. Raises `error` for what cannot be read."""
    with open_regular(path, what, error) as file:
        return file.read(len(MAGIC)) == MAGIC


def _check_header(file: BinaryIO, path: Path, what: str, error: Failure, kinds: str) -> None:
    header = _HEADERS.get(np.lib.format.read_magic(file))  # type: ignore[no-untyped-call]
    if header is None:
        raise error(f"{path} must be {what}, not of a later version of the .npy format")
    try:
        shape, _, dtype = header(file)  # type: ignore[no-untyped-call]
    except MemoryError:  # how Python's parser says that what it reads is nested too deeply
        raise error(f"{path} must be {what}, not one with a header nested so deeply") from None
    if dtype.kind not in kinds or dtype.subdtype is not None:
        raise error(f"{path} must be {what}, not of {_KINDS.get(dtype.kind, 'values')} ({shown(str(dtype))})")
    claimed, start = math.prod(shape) * dtype.itemsize, file.tell()
    held = file.seek(0, 2) - start
    if claimed != held or min(shape, default=0) < 0:
        raise error(
            f"{path} must hold the array of shape {shown(shape)} that its header claims, not {held:,} bytes"
        )


def _foreign(head: bytes) -> str:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "a zip or .npz archive; save the one array that is meant with numpy.save"
    if head.startswith(b"\x1f\x8b"):
        return "compressed with gzip"
    if head.startswith(b"\x80"):
        return "a pickle"
    return f"a file that begins with {shown(head)}" if head else "an empty file"
