"""Where what can be made again is kept between runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from spikesim.errors import OutputError

VARIABLE = "SPIKESIM_CACHE"
"""Names the folder in place of the user's cache folder."""


def user_folder() -> Path:
    """`$SPIKESIM_CACHE`, else `spikesim` in the user's cache folder. Raises OutputError: the user has no home."""
    try:
        if chosen := os.environ.get(VARIABLE):
            return Path(chosen).expanduser()  # not every place that sets variables does
        return platformdirs.user_cache_path("spikesim", appauthor=False)
    except RuntimeError:
        raise OutputError(
            f"the folder for what is kept must be known, but the user has no home; {VARIABLE} names one"
        ) from None


def takes_files(folder: Path) -> bool:
    """Whether files can be written into the folder, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
