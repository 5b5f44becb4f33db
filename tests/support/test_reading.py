"""Files of other people: what may be opened, and what becomes of foreign exceptions."""

import os
import socket
from pathlib import Path

import pytest
from helpers.tried import tried

from spikesim.errors import TokenError
from spikesim.support.reading import read_bytes, read_text, reading


def refused(path: Path, **limits: int) -> str:
    with pytest.raises(TokenError) as found:
        read_text(path, "a list of numbers", TokenError, **limits)
    return str(found.value)


@tried(12, "a named pipe in place of a file", "it is refused at once, not waited for")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").endswith("must be a list of numbers, a regular file, not a pipe")


@tried(12, "a device or a folder in place of a file", "it is refused by its kind")
def test_devices_folders_and_sockets_are_refused(tmp_path, monkeypatch):
    assert refused(Path("/dev/zero")).endswith("not a device")
    assert refused(tmp_path).endswith("not a folder")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        assert "socket cannot be read: " in refused(Path("socket"))


@tried(12, "a file larger than its kind can be", "its size is refused before it is read")
def test_a_large_file_is_not_read(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)
    assert refused(tmp_path / "large", limit=100).endswith("of at most 100 bytes, not of 1,099,511,627,776")


@tried(13, "a byte-order mark before a text", "it is no part of the text")
def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbf1 2")
    assert read_text(tmp_path / "text", "a list of numbers", TokenError) == "1 2"


@tried(13, "UTF-16 where UTF-8 is meant", "it is refused by name")
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_name(tmp_path, encoding):
    (tmp_path / "text").write_bytes("\ufeff1 2".encode(encoding))
    assert "not UTF-16; save it anew as UTF-8" in refused(tmp_path / "text")


@tried(13, "bytes that are no UTF-8", "the first wrong byte is named with its place")
def test_a_wrong_byte_is_named(tmp_path):
    (tmp_path / "text").write_bytes(b"12\xff")
    assert refused(tmp_path / "text").endswith("not hold byte 0xff at 2")


@tried(
    13, "links in a circle, a null byte in a name, a folder that is gone", "the reason is named with the file"
)
def test_names_that_lead_nowhere(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "gone" / "x", Path("null\0byte"), tmp_path / ("x" * 300)):
        assert f"{path} cannot be read: " in refused(path)


PANIC = tried(13, "a panic of a library written in Rust", "a sentence that names the file")


class Panic(BaseException):
    """As a library written in Rust raises it."""


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ValueError("first line\nsecond"), "x must be a thing (first line)"),
        (KeyError(), "x must be a thing (KeyError)"),
        (RecursionError("…"), "x must be a thing, not nested so deeply"),
        (OSError(5, "Input/output error"), "x cannot be read: Input/output error"),
        pytest.param(Panic("no entry"), "x must be a thing (no entry)", marks=PANIC),
    ],
)
def test_foreign_exceptions_are_sentences(failure, said):
    with pytest.raises(TokenError) as found, reading(Path("x"), "a thing", TokenError):
        raise failure
    assert str(found.value) == said


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SystemExit(1), MemoryError(), TokenError("ours")])
def test_what_is_no_foreign_exception_passes(failure):
    with pytest.raises(type(failure)) as found, reading(Path("x"), "a thing", TokenError):
        raise failure
    assert found.value is failure


def test_bytes_stand_as_they_are(tmp_path):
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbf\xff")
    assert read_bytes(tmp_path / "b", "a thing", TokenError) == b"\xef\xbb\xbf\xff"
