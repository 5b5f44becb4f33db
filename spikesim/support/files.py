"""Outputs that are there whole or not at all.

`atomic_directory` and `write_text_atomic` work beside the target under a temporary name and rename it into
place when everything is written and flushed to the disk. Whatever ends the work before that (an error, a full
disk, Ctrl-C) leaves the target as it was and no temporary name behind. Failures a user can put right are
`OutputError`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from spikesim.errors import NumericError, OutputError

MARKER = ".spikesim-output"
"""File inside every folder written here. It lists the folder's files: only these are ever replaced."""

_MARKER_HEAD = (
    "# Written by spikesim. The files below may be replaced by the next run with the same output folder."
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}
# Errors that only writing raises; any other one counts as a failed output only if it names a path of ours.
_WRITE_ONLY = _FULL | {errno.EROFS, errno.EFBIG}


@contextlib.contextmanager
def atomic_directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder to write into, and make it `target` when the block ends without an error.

    An earlier result at `target` is replaced only if `atomic_directory` wrote all that is in it; an empty
    folder is taken over. Missing parents are created. The two renames of a replacement follow each other
    directly: a power cut between them leaves the new result complete, under its temporary name.

    Raises `OutputError` if `target` is a file, holds foreign files, is the current folder or one above it, or
    cannot be written. Errors of the block that have another cause pass through unchanged.
    """
    final = _resolved(target)
    _check_replaceable(final)
    with _parents_of(final):
        workspace = _temporary_sibling(final)
        fresh = workspace / final.name
        try:
            workspace.mkdir()
            fresh.mkdir()
            yield fresh
            _write_marker(fresh)
            _sync_tree(fresh)
            _check_replaceable(final)  # again: the work may have taken hours
            _swap(fresh, final, workspace / "replaced")
        except OSError as error:
            ours = {str(path) for path in (workspace, fresh, fresh / MARKER, final, final.parent)}
            if error.errno in _WRITE_ONLY or {error.filename, error.filename2} & ours:
                raise OutputError(_sentence(error, final)) from error
            raise
        finally:
            shutil.rmtree(workspace, ignore_errors=True)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8; otherwise as `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to the file `path`, replacing an earlier file in one step; make missing parents.

    Raises `OutputError` if `path` is a folder or a device, or cannot be written.
    """
    final = _resolved(path)
    if final.is_dir():
        raise OutputError(f"output file {final} must be a file, not a folder")
    if final.exists() and not final.is_file():
        raise OutputError(f"output file {final} must be a regular file, not a device or pipe")
    with _parents_of(final):
        partial = _temporary_sibling(final)
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(final)
            _sync(final.parent)
        except OSError as error:
            raise OutputError(_sentence(error, final)) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()


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
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = error.strerror if isinstance(error, OSError) else "its links form a circle"
        raise OutputError(f"cannot write {target}: {reason}") from error
    return final


def _check_replaceable(final: Path) -> None:
    """Raise `OutputError` unless `final` is absent, an empty folder, or wholly our own earlier result."""
    if not final.exists():
        return
    if not final.is_dir():
        raise OutputError(f"output folder {final} must be a folder, not a file")
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
                raise OutputError(_sentence(error, final)) from error
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # never made, or somebody else uses it by now
                folder.rmdir()
        raise


def _temporary_sibling(final: Path) -> Path:
    # Beside the target, since a rename is atomic only within one file system.
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")


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


def _sentence(error: OSError, final: Path) -> str:
    if error.errno in _FULL:
        return f"cannot write {final}: the disk is full; earlier output is unchanged"
    if error.errno in _DENIED:
        folder = next(folder for folder in final.parents if folder.exists())
        return f"cannot write {final}: the folder {folder} is read-only"
    if error.errno == errno.EBUSY:
        return f"cannot write {final}: the folder is a mount point; name a folder inside it"
    return f"cannot write {final}: {error.strerror or error}"
