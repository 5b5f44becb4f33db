"""`import_matplotlib`: whatever the user's settings of it are, which no figure of a report follows."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

from spikesim.errors import ToolError

SETTINGS = "matplotlibrc"
"""The file of settings that matplotlib reads when it is imported, from the current folder if there is one."""


def import_matplotlib() -> None:
    """Import it as the user has set it up, for the rest of the process; without that where it cannot be.

    A backend that is not there or a damaged file of settings ends the import, and with it a run of hours.
    """
    if Path(SETTINGS).is_file() or not os.path.lexists(SETTINGS):  # a pipe would be waited for
        with contextlib.suppress(Exception):
            import matplotlib

            return
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[name]  # parts of the package that were there before it failed
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ToolError("matplotlib must be installed to draw figures: pip install 'matplotlib>=3.9'")
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        # The settings of the package itself lie here, and the current folder comes first.
        with contextlib.chdir(Path(found.origin).parent / "mpl-data"):
            import matplotlib  # noqa: F401
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
