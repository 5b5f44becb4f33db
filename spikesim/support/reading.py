"""Reading files of other people: regular files only, no larger than they can sensibly be, and no foreign exception.

Each function takes the path, `what` the file must be ("a TOML file"), and the error that its failure is.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from spikesim.errors import SpikesimError

Failure = type[SpikesimError]

MEBIBYTE = 2**20

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHOWN_REASON = 200


@contextlib.contextmanager
def reading(path: Path, what: str, error: Failure) -> Iterator[None]:
    """Turn whatever a reader raises in the block into one sentence that names the file.

    Errors of ours and a want of memory pass. So does what asks the process to stop; libraries written in Rust raise
    their panics beside `Exception`, and those are caught.
    """
    try:
        yield
    except (SpikesimError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror or _reason(failure)}") from None
    except RecursionError:
        raise error(f"{path} must be {what}, not nested so deeply") from None
    except BaseException as failure:  # noqa: BLE001 - a panic of the tokenizers library is no `Exception`
        raise error(f"{path} must be {what} ({_reason(failure)})") from None


@contextlib.contextmanager
def open_regular(path: Path, what: str, error: Failure, *, limit: int | None = None) -> Iterator[BinaryIO]:
    """Open a file of at most `limit` bytes. Pipes, devices and folders are refused without waiting for them."""
    try:
        # Without O_NONBLOCK, opening a named pipe waits for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as failure:  # ValueError: a null byte in the name
        reason = failure.strerror if isinstance(failure, OSError) else _reason(failure)
        raise error(f"{path} cannot be read: {reason}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise error(f"{path} must be {what}, a regular file, not {_kind(mode)}")
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if limit is not None and status.st_size > limit:
            raise error(f"{path} must be {what} of at most {limit:,} bytes, not of {status.st_size:,}")
        with reading(path, what, error):
            yield file


def read_bytes(path: Path, what: str, error: Failure, *, limit: int = 1024 * MEBIBYTE) -> bytes:
    """Return what the file holds."""
    with open_regular(path, what, error, limit=limit) as file:
        return file.read()


def read_text(path: Path, what: str, error: Failure, *, limit: int = 64 * MEBIBYTE) -> str:
    """Return the text of a UTF-8 file, without the byte-order mark that some editors put before it."""
    return decoded(read_bytes(path, what, error, limit=limit), path, error)


def decoded(content: bytes, path: Path, error: Failure) -> str:
    """Return UTF-8 content as text, without a byte-order mark; `path` is for the sentence."""
    if content.startswith(_UTF16):
        raise error(f"{path} must be UTF-8 text, not UTF-16; save it anew as UTF-8")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as failure:
        byte = failure.object[failure.start]
        raise error(f"{path} must be UTF-8 text, not hold byte 0x{byte:02x} at {failure.start}") from None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _reason(failure: BaseException) -> str:
    """The first line of a foreign message, shortened; the type's name where it has none."""
    lines = str(failure).strip().splitlines()
    return lines[0][:_SHOWN_REASON] if lines else type(failure).__name__
