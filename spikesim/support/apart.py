"""`check_apart`: an output is nothing that a command reads, lies in no folder that it reads, and holds nothing of it.

Places are compared by what they are (device and inode), not by how they are spelt: links, hard links, `..`, bind mounts
and file systems that do not tell capitals from small letters are seen through.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from spikesim.errors import OutputError

Place = tuple[int, int]


def check_apart(output: Path, inputs: Iterable[str | os.PathLike[str] | None], kind: str = "folder") -> None:
    """Raise `OutputError` if `output`, a path without links, is not apart from the inputs; absent ones are passed over.

    `kind`: what the output is, for the sentence.
    """
    here = _place(output)
    around = set(_places(output))
    for given in inputs:
        if given is None or (source := _place(Path(given))) is None:
            continue
        if here == source:
            raise OutputError(
                f"output {kind} {output} must be another {kind} than {given}, which is read; name one with -o"
            )
        if os.path.isdir(given) and source in around:
            raise OutputError(
                f"output {kind} {output} must lie outside {given}, which is read; name another with -o"
            )
        if here is not None and any(here in _places(path) for path in _paths(Path(given))):
            raise OutputError(
                f"output {kind} {output} must not hold {given}, which is read; name another with -o"
            )


def _paths(given: Path) -> Iterator[Path]:
    """Where an input lies, by name and behind its links; of a folder also what the links in it lead to."""
    yield given.absolute()
    yield given.resolve()
    if given.is_dir():
        # Nothing that is read lies deeper than the folder of a mapping's programs.
        for path in itertools.chain(given.glob("*"), given.glob("*/*")):
            if path.is_symlink():
                yield path.resolve()


def _places(path: Path) -> Iterator[Place]:
    """Of a path and the folders above it, as far as they exist."""
    for folder in (path, *path.parents):
        if (place := _place(folder)) is not None:
            yield place


def _place(path: Path) -> Place | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
