"""Arrays of other people: what a header claims is checked before memory is asked for, and nothing else is an array."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tried import tried

from spikesim.errors import TokenError
from spikesim.support.npy import read_npy

WHAT = "a .npy file of numbers"


def refused(path: Path) -> str:
    with pytest.raises(TokenError) as found:
        read_npy(path, WHAT, TokenError)
    message = str(found.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500
    return message


def with_header(header: str, content: bytes = b"\0" * 64, version: bytes = b"\x01\x00") -> bytes:
    """A .npy file with this text for a header."""
    padded = header.encode("latin-1") + b"\n"
    return (
        b"\x93NUMPY"
        + version
        + len(padded).to_bytes(2 if version[0] == 1 else 4, "little")
        + padded
        + content
    )


def described(descr: object, shape: str, content: bytes = b"\0" * 64) -> bytes:
    return with_header(f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}", content)


def saved(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.arange(3))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.txt", "x")
    return file.getvalue()


CLAIM = "must hold the array of shape"
FILES: dict[str, tuple[int, Callable[[], bytes], str]] = {
    "a .npy header that claims 10¹² elements": (12, lambda: described("<i8", "(1000000000000,)"), CLAIM),
    "a .npy header whose size overflows 64 bits": (12, lambda: described("<i8", f"({2**62}, 4)"), CLAIM),
    "a .npy header with a negative dimension": (12, lambda: described("<i8", "(-8, -1)"), CLAIM),
    "a .npy header with an integer of 9,000 digits": (
        12,
        lambda: described("<i8", f"({'9' * 9000},)"),
        "must be",
    ),
    "a .npy header nested 5,000 deep": (12, lambda: with_header("(" * 5000), "must be"),
    "a .npy header that computes something": (12, lambda: with_header("-" * 9000 + "1"), "must be"),
    "a .npy header of 4 GiB": (12, lambda: b"\x93NUMPY\x02\x00" + b"\xff" * 4, "must be"),
    "a .npy header with 1,000 dimensions": (
        12,
        lambda: described("<i8", f"({'1, ' * 1000})", b"\0" * 8),
        "must be",
    ),
    "a .npy file that was cut short": (13, lambda: saved(np.arange(100))[:-50], CLAIM),
    "two arrays in one .npy file": (5, lambda: saved(np.arange(4)) + saved(np.arange(4)), CLAIM),
    "a .npz archive that is called .npy": (13, archive, "not a zip or .npz archive; save the one array"),
    "a zip file that is called .npy": (13, zipped, "not a zip or .npz archive"),
    "a pickle that is called .npy": (13, lambda: pickle.dumps([1, 2]), "not a pickle"),
    "a compressed file that is called .npy": (13, lambda: b"\x1f\x8b\x08", "not compressed with gzip"),
    "an empty file that is called .npy": (13, lambda: b"", "not an empty file"),
    "text that is called .npy": (13, lambda: b"1 2 3", "not a file that begins with b'1 2 3'"),
    "an array of pickled objects": (
        13,
        lambda: saved(np.array([print, 1], object), allow_pickle=True),
        "not of Python objects ('object')",
    ),
    "an array of records": (
        5,
        lambda: saved(np.zeros(3, [("id", "<i8"), ("mask", "?")])),
        "not of records (",
    ),
    "an array of vectors in one element": (5, lambda: described(("<i8", (2,)), "(4,)"), "not of "),
    "an array of truth values": (5, lambda: saved(np.ones(3, bool)), "not of truth values ('bool')"),
    "an array of complex numbers": (
        5,
        lambda: saved(np.ones(3, complex)),
        "not of complex numbers ('complex128')",
    ),
    "an array of time spans": (5, lambda: saved(np.ones(3, "m8[s]")), "not of times ("),
    "an array of strings": (5, lambda: saved(np.array(["1", "2"])), "not of text ('<U1')"),
    "a .npy file of version 3, as records with other letters have": (
        5,
        lambda: saved(np.zeros(2, [("ключ", "<i8")])),
        "not of a later version of the .npy format",
    ),
    "a .npy file of a version that is none": (13, lambda: with_header("{}", version=b"\x09\x00"), "must be"),
}


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            make,
            message,
            id=what,
            marks=tried(kind, what, "it is refused by name, and no memory is asked for"),
        )
        for what, (kind, make, message) in FILES.items()
    ],
)
def test_other_files_are_refused(make: Callable[[], bytes], message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(make())
    assert message in refused(path)


@tried(12, "a .npy file with a hole of 2⁴⁰ bytes", "its size is refused before it is read")
def test_a_file_with_a_hole_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(described("<i8", f"({2**37},)", b""))
    with path.open("r+b") as file:
        file.truncate(file.seek(0, 2) + 2**40)
    assert "bytes, not of 1,099,511," in refused(path)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(
            np.arange(6, dtype=">i4").reshape(2, 3),
            marks=tried(5, "a big-endian array", "its values are what they were"),
        ),
        pytest.param(
            np.asfortranarray(np.arange(6).reshape(2, 3)),
            marks=tried(5, "an array in Fortran order", "its rows are its rows"),
        ),
        pytest.param(
            np.arange(6, dtype=np.float16),
            marks=tried(5, "an array of 16-bit floats", "they stay what they are"),
        ),
        pytest.param(
            np.array([2**63], np.uint64),
            marks=tried(5, "an array with 2⁶³ in it", "it does not turn negative"),
        ),
        pytest.param(
            np.array(3), marks=tried(5, "a .npy file of one number without a dimension", "it has none")
        ),
        pytest.param(np.zeros((2, 0, 3)), marks=tried(5, "an array without elements", "it keeps its shape")),
    ],
)
def test_arrays_keep_their_structure(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    found = read_npy(tmp_path / "x.npy", WHAT, TokenError)
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert found.tolist() == array.tolist()


@tried(13, "a .npy file that Python 2 wrote", "it is read as any other, and nothing else is said")
@pytest.mark.filterwarnings("error")
def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(described("<i8", "(8L,)"))
    assert read_npy(path, WHAT, TokenError).tolist() == [0] * 8
