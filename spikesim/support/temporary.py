"""`temporary_folder`: a folder in TMPDIR while a block runs; what killed processes have left there is removed."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from spikesim.errors import OutputError, SpikesimError
from spikesim.support.claims import is_abandoned, lock_in, release
from spikesim.support.write_failures import reason, write_failure

PREFIX = "spikesim-tmp-"

_OURS = re.compile(re.escape(PREFIX) + r"\w{8}")
_TRIES = 100


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder, gone at the end of the block. Raises `OutputError` if there is no room for it or in it."""
    folder, lock = _made()
    work = folder / "work"
    try:
        work.mkdir()
        yield work
    except Exception as error:
        code = write_failure(error)
        if code is None or isinstance(error, SpikesimError) or _is_elsewhere(error, folder):
            raise
        raise OutputError(
            f"the folder for temporary files {folder.parent} must take more, but {reason(code)}; TMPDIR names another"
        ) from error
    finally:
        release(folder, lock)


def kept(work: Path, prefix: str) -> Path:
    """Move a temporary folder, with all that is in it, to where nobody removes it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=work.parent.parent))
    work.rename(folder)
    return folder


def _made() -> tuple[Path, int]:
    try:
        root = Path(tempfile.gettempdir())
        remove_abandoned(root)
        for _ in range(_TRIES):
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
            try:
                if (lock := lock_in(folder)) is not None:
                    return folder, lock
            except BaseException:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                raise
    except OSError as error:
        raise OutputError(
            f"the folder for temporary files must take files: {error}; TMPDIR names another"
        ) from error
    raise OutputError(f"the temporary folder {root} must keep what is made there; TMPDIR names another")


def remove_abandoned(root: Path) -> None:
    """Remove the temporary folders in `root` whose processes are gone, those of this user."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(root)):
            if not _OURS.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
                continue
            status = entry.stat(follow_symlinks=False)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
                continue
            if not is_abandoned(Path(entry.path)):
                with contextlib.suppress(OSError):
                    os.rmdir(entry.path)  # empty: its process was killed before it had locked it


def _is_elsewhere(error: Exception, folder: Path) -> bool:
    """Whether an error names a file, and one that is not in the folder. Failed writes name none."""
    name = getattr(error, "filename", None)
    return isinstance(name, str) and not Path(name).is_relative_to(folder)
