"""Which exceptions are a disk that takes no more, whoever raises them, and what to say then."""

from __future__ import annotations

import errno
import os
from typing import Final

FULL: Final = {errno.ENOSPC, errno.EDQUOT}
DENIED: Final = {errno.EROFS, errno.EACCES, errno.EPERM}
WRITE_ONLY: Final = FULL | {errno.EROFS, errno.EFBIG}
"""Errors that only writing raises; any other may be about a file that is read."""


def write_failure(error: BaseException) -> int | None:
    """The number of the system's error if a write has failed, else None.

    Libraries that write by themselves raise errors of their own: the system's is behind theirs (PyTorch) or its text
    is in theirs (HDF5).
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno is not None:
            return link.errno if link.errno in WRITE_ONLY else None
        for code in sorted(WRITE_ONLY):
            if os.strerror(code) in str(link):
                return code
        link = link.__cause__ or link.__context__
    return None


def reason(code: int) -> str:
    """What a user can do something about, as a clause."""
    if code in FULL:
        return "the disk is full"
    if code == errno.EFBIG:
        return "a file would be larger than the limit (ulimit -f)"
    return os.strerror(code).lower()
