"""Names beside an output that one process at a time works under, and what a killed one leaves behind under them.

A claim is a lock of the system (`flock`): it ends with its process, however that ends. So a second run that wants the
same output is told at once, and whatever lies under a name that nobody has locked is a leftover, and is used anew.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from spikesim.errors import OutputError

LOCK = ".spikesim-lock"
"""File inside every folder that is claimed; the process that works there has locked it."""

SUFFIX = ".spikesim.partial"

_NAME_BYTES = 255
_TRIES = 100
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}


def name_beside(final: Path) -> Path:
    """The name under which `final` is made: beside it, since a rename is atomic only within one file system."""
    name = f".{final.name}{SUFFIX}"
    if len(os.fsencode(name)) > _NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(final.name)).hexdigest()[:32]}{SUFFIX}"
    return final.with_name(name)


@contextlib.contextmanager
def claimed_folder(folder: Path, output: Path) -> Iterator[Path]:
    """Make `folder`, or take over what a killed run has left there, and remove it at the end of the block.

    What was left is still there when the block begins: it may have to be put back. Raises `OutputError`, which names
    `output`, if another process works there or if it is not ours; `OSError` as the system does.
    """
    lock = _locked_folder(folder, output)
    try:
        yield folder
    finally:
        clear(folder)
        _remove(folder)
        os.close(lock)


@contextlib.contextmanager
def claimed_file(path: Path, output: Path) -> Iterator[int]:
    """A descriptor of the empty file `path`, which is removed at the end of the block if it is still there.

    Raises as `claimed_folder` does.
    """
    descriptor = _locked_file(path, output)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(OSError):
            if _is_at(
                descriptor, path
            ):  # not if it was renamed, and another process has begun under the name
                path.unlink()
        os.close(descriptor)


def is_abandoned(folder: Path) -> bool:
    """Remove a claimed folder whose process is gone. Returns whether it was one; a foreign folder stays as it is."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(lock, folder / LOCK):
            return False
        clear(folder)
        _remove(folder)
    except OSError:  # in use
        return False
    finally:
        os.close(lock)
    return True


def clear(folder: Path) -> None:
    """Remove everything in a claimed folder but its lock."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name == LOCK:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def lock_in(folder: Path) -> int | None:
    """Lock a folder that this process has just made; None if another took it for a leftover in between."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        return None
    try:
        is_mine = _taken(lock, folder / LOCK, folder, is_new=True)
    except OutputError:
        return None
    return lock if is_mine else None


def release(folder: Path, lock: int) -> None:
    """Remove a folder that `lock_in` has locked."""
    clear(folder)
    _remove(folder)
    os.close(lock)


def _remove(folder: Path) -> None:
    # The lock last: a folder that holds anything but a lock is foreign.
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _locked_folder(folder: Path, output: Path) -> int:
    for _ in range(_TRIES):
        is_new = True
        try:
            folder.mkdir()
        except FileExistsError:
            is_new = False
        try:
            if (names := os.listdir(folder)) and LOCK not in names:
                raise OutputError(
                    f"{folder} must be moved away before {output} is written: it is not of spikesim"
                )
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:  # the process that had it has just removed it
            continue
        if _taken(lock, folder / LOCK, output, is_new=is_new):
            return lock
    raise OutputError(f"{folder} must be moved away before {output} is written: it cannot be used")


def _locked_file(path: Path, output: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    for _ in range(_TRIES):
        is_new = True
        try:
            descriptor = os.open(path, flags | os.O_EXCL, 0o666)
        except FileExistsError:
            is_new = False
            descriptor = os.open(path, flags, 0o666)
        if _taken(descriptor, path, output, is_new=is_new):
            os.ftruncate(descriptor, 0)
            return descriptor
    raise OutputError(f"{path} must be moved away before {output} is written: it cannot be used")


def _taken(descriptor: int, path: Path, output: Path, *, is_new: bool) -> bool:
    """Lock an opened file; False, and closed, if it is not at `path` any more."""
    try:
        _lock(descriptor, output, is_new=is_new)
        if _is_at(descriptor, path):
            return True
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return False


def _lock(descriptor: int, output: Path, *, is_new: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{output} must be written by one run at a time, and another is at work there; name another output"
        ) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        if not is_new:  # on a file system without locks, a leftover looks like a run at work
            raise OutputError(
                f"{name_beside(output)} must be removed before {output} is written, if no run is at work there"
            ) from None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there, here = os.stat(path, follow_symlinks=False), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
