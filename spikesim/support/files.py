"""Outputs that are there whole or not at all.

`atomic_directory` and `atomic_file` work beside the target under a name of their own and rename it into place when
everything is written and flushed to the disk. Whatever ends the work before that (an error, a full disk, Ctrl-C) leaves
the target as it was and nothing beside it; what a killed process leaves is removed by the next run of the same output.

One rule holds for all that is written: it lies apart from what is read (`apart`), it never takes the place of anything
foreign, one run at a time works on it (`claims`), an earlier result is replaced only on demand, and only as it was when
the run began. Failures a user can put right are `OutputError`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from spikesim.errors import NumericError, OutputError, SpikesimError
from spikesim.support.apart import check_apart
from spikesim.support.claims import claimed_file, claimed_folder, clear, name_beside
from spikesim.support.write_failures import DENIED, FULL, reason, write_failure

MARKER = ".spikesim-output"
"""File inside every folder written here. It lists the folder's files: only these are ever replaced."""

_MARKER_HEAD = (
    "# Written by spikesim. The files below may be replaced by the next run with the same output folder."
)

Inputs = Iterable[str | os.PathLike[str] | None]

_Seen = tuple[tuple[str, int, int, int], ...]
"""Path, inode, size and time of change of everything that a place holds; empty if it holds nothing."""


@contextlib.contextmanager
def atomic_directory(
    target: str | os.PathLike[str], *, inputs: Inputs = (), force: bool = True
) -> Iterator[Path]:
    """Give an empty folder to write into, and make it `target` when the block ends without an error.

    An earlier result at `target` is replaced only with `force`, and only if `atomic_directory` wrote all that is in
    it; an empty folder is taken over. Missing parents are created. The two renames of a replacement follow each other
    directly: after a power cut between them, the next run puts the earlier result back.

    Raises `OutputError` if `target` is a file, holds foreign files, is the current folder or one above it, is not apart
    from the `inputs`, is being written by another run, or cannot be written. Errors of the block that have another
    cause pass through unchanged.
    """
    final = _resolved(target)
    check_apart(final, inputs)
    _check_replaceable(final)
    beside = name_beside(final)
    fresh, replaced = beside / final.name, beside / "replaced"
    with _parents_of(final), _failures_of(final, beside), claimed_folder(beside, final):
        if replaced.is_dir() and not final.exists():
            replaced.rename(final)
        clear(beside)
        _check_replaceable(final)  # again: what lies there may have changed until it was claimed
        before = _seen(final)
        if before and not force:
            raise OutputError(
                f"{target} holds an earlier result; add --force to replace it, or name another folder"
            )
        fresh.mkdir()
        yield fresh
        _write_marker(fresh)
        _sync_tree(fresh)
        _check_replaceable(final)  # again: the work may have taken hours
        _check_unchanged(final, before)
        _swap(fresh, final, replaced)


@contextlib.contextmanager
def atomic_file(
    path: str | os.PathLike[str],
    *,
    inputs: Inputs = (),
    force: bool = True,
    is_ours: Callable[[Path], bool] = lambda _: True,
) -> Iterator[BinaryIO]:
    """Give a file to write into, and make it `path` when the block ends without an error; make missing parents.

    An earlier file is replaced only with `force`, and only if `is_ours` says so. Raises `OutputError` as
    `atomic_directory` does, and if `path` is a folder or a device.
    """
    final = _resolved(path)
    check_apart(final, inputs, "file")
    beside = name_beside(final)
    with _parents_of(final), _failures_of(final, beside), claimed_file(beside, final) as descriptor:
        _check_file(final, is_ours)
        before = _seen(final)
        if before and not force:
            raise OutputError(
                f"{path} holds an earlier result; add --force to replace it, or name another file"
            )
        with open(descriptor, "wb", closefd=False) as file:
            yield file
        os.fsync(descriptor)
        _check_unchanged(final, before)
        _put(beside, final, is_new=not before)
        _sync(final.parent)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8; otherwise as `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to the file `path`, replacing an earlier file in one step; make missing parents.

    Raises `OutputError` if `path` is a folder or a device, or cannot be written.
    """
    with atomic_file(path) as file:
        file.write(content)


def write_json_atomic(path: str | os.PathLike[str], value: object) -> None:
    """Write `value` as indented JSON with a final newline; otherwise as `write_text_atomic`.

    Raises `NumericError` for NaN and infinity, which JSON cannot express, before anything is written.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NumericError(f"every number in {path} must be finite: {error}") from error
    write_text_atomic(path, text + "\n")


def _resolved(target: str | os.PathLike[str]) -> Path:
    """Return the absolute path behind all links: a linked folder is written where it really is."""
    try:
        final = Path(target).resolve()
        final.exists()  # reports here what would otherwise fail halfway: a forbidden folder, too long a name
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # RuntimeError: links in a circle; ValueError: a null byte
        cause = error.strerror if isinstance(error, OSError) else str(error)
        cause = "its links form a circle" if isinstance(error, RuntimeError) else cause
        raise OutputError(f"cannot write {target}: {cause}") from error
    return final


def _check_replaceable(final: Path) -> None:
    """Raise `OutputError` unless `final` is absent, an empty folder, or wholly our own earlier result."""
    if not final.exists():
        return
    if not final.is_dir():
        raise OutputError(f"output folder {final} must be a folder, not a file")
    with contextlib.suppress(FileNotFoundError):  # a current folder that has been removed
        here = Path.cwd()
        if final == here or final in here.parents:
            raise OutputError(
                f"output folder {final} must not be the current folder or above it; name one inside"
            )
    listed = _listed(final)
    for path in final.rglob("*"):
        if _relative(path, final) not in listed:
            raise OutputError(
                f"output folder {final} must be new, empty or an earlier result,"
                f" not hold files of other origin such as {path.relative_to(final)}"
            )


def _check_file(final: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raise `OutputError` unless `final` is absent, or a file of ours."""
    if final.is_dir():
        raise OutputError(f"output file {final} must be a file, not a folder")
    if not final.exists():
        return
    if not final.is_file():
        raise OutputError(f"output file {final} must be a regular file, not a device or pipe")
    if not is_ours(final):
        raise OutputError(f"output file {final} must be new or an earlier result, not a file of other origin")


def _check_unchanged(final: Path, before: _Seen) -> None:
    """Raise `OutputError` if somebody has written to `final` since it was seen."""
    if _seen(final) != before:
        raise OutputError(
            f"output {final} must stay as it is while a run works on it, and something else has written there"
        )


def _seen(final: Path) -> _Seen:
    entries = []
    for path in (final, *final.rglob("*")) if final.exists() else ():
        status = path.lstat()
        # A folder's own time changes with what is in it, which is looked at itself.
        size, time = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
        entries.append((path.as_posix(), status.st_ino, size, time))
    return () if len(entries) == 1 and final.is_dir() else tuple(sorted(entries))


def _listed(folder: Path) -> set[str]:
    """Return what the marker of `folder` lists, and the marker itself; nothing without a marker of ours."""
    try:
        head, *names = (folder / MARKER).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # ValueError: not text, or no line at all
        return set()
    return {MARKER, *names} if head == _MARKER_HEAD else set()


def _write_marker(folder: Path) -> None:
    names = sorted(_relative(path, folder) for path in folder.rglob("*"))
    (folder / MARKER).write_text("\n".join([_MARKER_HEAD, *names]) + "\n", encoding="utf-8")


def _relative(path: Path, folder: Path) -> str:
    # Quoted, so that a line break in a name cannot add a line to the marker.
    return json.dumps(path.relative_to(folder).as_posix(), ensure_ascii=False)[1:-1]


def _swap(fresh: Path, final: Path, replaced: Path) -> None:
    """Rename `fresh` to `final`; an earlier folder is set aside first and put back if anything goes wrong."""
    try:
        if final.is_dir():
            final.rename(replaced)
        fresh.rename(final)
        _sync(final.parent)
    except BaseException:
        if replaced.is_dir() and not final.exists():
            replaced.rename(final)
        raise


def _put(beside: Path, final: Path, *, is_new: bool) -> None:
    """Rename a file; a new one without ever taking the place of one that has just come."""
    if not is_new:
        beside.replace(final)
        return
    try:
        os.link(beside, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        beside.rename(final)
    else:
        beside.unlink()


@contextlib.contextmanager
def _failures_of(final: Path, beside: Path) -> Iterator[None]:
    """Turn what the system refuses at the output, and a failed write in the block, into `OutputError`."""
    try:
        yield
    except SpikesimError:
        raise
    except Exception as error:
        if (code := write_failure(error)) is not None:
            raise OutputError(_sentence(code, final)) from error
        if isinstance(error, OSError) and error.errno is not None and _names(error, final, beside):
            raise OutputError(_sentence(error.errno, final)) from error
        raise


def _names(error: OSError, final: Path, beside: Path) -> bool:
    """Whether an error is about the output itself, and not about a file that is read in the block."""
    ours = {str(path) for path in (final, final.parent, beside, beside / final.name)}
    named = {str(name) for name in (error.filename, error.filename2) if name is not None}
    return bool(named & ours) or any(Path(name).parent == beside for name in named)


@contextlib.contextmanager
def _parents_of(final: Path) -> Iterator[None]:
    """Create the missing folders above `final`, and remove them again if the block fails."""
    missing = [folder for folder in final.parents if not folder.exists()]
    existing = final.parents[len(missing)]
    if not existing.is_dir():
        raise OutputError(f"output {final} must lie in a folder, not below the file {existing}")
    try:
        for folder in reversed(missing):
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise OutputError(_sentence(error.errno, final)) from error
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # never made, or somebody else uses it by now
                folder.rmdir()
        raise


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sentence(code: int | None, final: Path) -> str:
    if code in FULL or code == errno.EFBIG:
        return f"cannot write {final}: {reason(code)}; earlier output is unchanged"
    if code in DENIED:
        folder = next(folder for folder in final.parents if folder.exists())
        return f"cannot write {final}: the folder {folder} is read-only"
    if code == errno.EBUSY:
        return f"cannot write {final}: the folder is a mount point; name a folder inside it"
    if code in (errno.EEXIST, errno.ENOTEMPTY):
        return f"cannot write {final}: something else has come there in the meantime"
    return f"cannot write {final}: {os.strerror(code) if code is not None else 'the system refuses'}"
