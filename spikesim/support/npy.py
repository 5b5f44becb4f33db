"""`read_npy`, `read_npz`: arrays of plain numbers; what a header says is checked before memory is asked for."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.support.reading import MEBIBYTE, Failure, open_regular
from spikesim.support.shown import shown

MAGIC = b"\x93NUMPY"
"""The first bytes of a `.npy` file, whatever it is called."""

_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06")
_LIMIT = 1024 * MEBIBYTE
_SHOWN_NAMES = 5

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
    with open_regular(path, what, error, limit=_LIMIT) as file:
        head = file.read(16)
        if not head.startswith(MAGIC):
            raise error(f"{path} must be {what}, not {_foreign(head)}")
        return _array(file, str(path), what, error, kinds)


def read_npz(
    path: Path, error: Failure, *, arrays: Mapping[str, tuple[str, str]], needed: str
) -> dict[str, NDArray[Any]]:
    """Those arrays of an archive that `arrays` names, each with what it must be and its kinds, as of `read_npy`.

    Others are passed over. Raises `error`, in one sentence, for an archive without the one that is `needed`, and for
    what `read_npy` refuses; no member may unpack to more than 1 GiB.
    """
    what = f"a .npz archive of {' and '.join(arrays)}"
    found: dict[str, NDArray[Any]] = {}
    with open_regular(path, what, error, limit=_LIMIT) as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if f"{needed}.npy" not in names:
            held = ", ".join(shown(name.removesuffix(".npy")) for name in names[:_SHOWN_NAMES])
            more = ", …" if len(names) > _SHOWN_NAMES else ""
            raise error(f"{path} must hold an array {needed}, not {f'{held}{more}' if names else 'nothing'}")
        for name, (must_be, kinds) in arrays.items():
            if f"{name}.npy" not in names:
                continue
            with archive.open(f"{name}.npy") as member:
                content = member.read(_LIMIT + 1)
            where = f"{name} of {path}"
            if len(content) > _LIMIT:
                raise error(f"{where} must be {must_be} of at most {_LIMIT:,} bytes, not of more")
            if not content.startswith(MAGIC):
                raise error(f"{where} must be {must_be}, not {_foreign(content[:16])}")
            found[name] = _array(io.BytesIO(content), where, must_be, error, kinds)
    return found


def _array(file: IO[bytes], where: str, what: str, error: Failure, kinds: str) -> NDArray[Any]:
    """The array of an open file."""
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a header is of Python 2
        _check_header(file, where, what, error, kinds)
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-untyped-call]
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")


def is_npy(path: Path, what: str, error: Failure) -> bool:
    """Whether a file holds an array, by its first bytes. Raises `error` for what cannot be read."""
    with open_regular(path, what, error) as file:
        return file.read(len(MAGIC)) == MAGIC


def is_npz(path: Path, what: str, error: Failure) -> bool:
    """Whether a file is an archive, by its first bytes. Raises `error` for what cannot be read."""
    with open_regular(path, what, error) as file:
        return file.read(4) in _ARCHIVE


def _check_header(file: IO[bytes], where: str, what: str, error: Failure, kinds: str) -> None:
    header = _HEADERS.get(np.lib.format.read_magic(file))  # type: ignore[no-untyped-call]
    if header is None:
        raise error(f"{where} must be {what}, not of a later version of the .npy format")
    try:
        shape, _, dtype = header(file)  # type: ignore[no-untyped-call]
    except MemoryError:  # how Python's parser says that what it reads is nested too deeply
        raise error(f"{where} must be {what}, not one with a header nested so deeply") from None
    if dtype.kind not in kinds or dtype.subdtype is not None:
        raise error(
            f"{where} must be {what}, not of {_KINDS.get(dtype.kind, 'values')} ({shown(str(dtype))})"
        )
    claimed, start = math.prod(shape) * dtype.itemsize, file.tell()
    held = file.seek(0, 2) - start
    if claimed != held or min(shape, default=0) < 0:
        raise error(
            f"{where} must hold the array of shape {shown(shape)} that its header claims, not {held:,} bytes"
        )


def _foreign(head: bytes) -> str:
    if head.startswith(_ARCHIVE):
        return "a zip or .npz archive; save the one array that is meant with numpy.save"
    if head.startswith(b"\x1f\x8b"):
        return "compressed with gzip"
    if head.startswith(b"\x80"):
        return "a pickle"
    return f"a file that begins with {shown(head)}" if head else "an empty file"
