"""Where Lava is: a package that this project never imports but in a worker of its own.

lava-nc 0.10.0 is the last release. It declares an older Python and numpy than it works with, and brings a top-level
package `tests`; so it is installed without its metadata being asked, in a folder of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

from spikesim.errors import ToolError

VERSION = "0.10.0"
VARIABLE = "SPIKESIM_LAVA"
"""Environment variable that names the folder Lava was installed to."""

NEEDS = ("scipy", "asteval", "networkx")
"""What Lava imports and this project does not."""

DEPENDENCIES = "pip install 'spikesim[lava]'"


def install_command() -> str:
    """The command that installs Lava itself where `find_lava` looks."""
    folder = Path(sys.prefix) / "lava"
    target = shlex.quote(str(folder))
    return f"pip install --no-deps --ignore-requires-python --target {target} lava-nc=={VERSION}"


def find_lava() -> Path | None:
    """The folder to put on the worker's path, or None if Lava is importable as it is.

    Looks for an importable `lava`, then in the folder `lava` of the environment, then where SPIKESIM_LAVA says.
    Raises ToolError, with the two commands, if Lava or what it needs is not there.
    """
    folder = _folder()
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolError(f"Lava needs {', '.join(missing)}: run {DEPENDENCIES}")
    return folder


def _folder() -> Path | None:
    if _importable():
        return None
    named = os.environ.get(VARIABLE)
    for folder in (Path(sys.prefix) / "lava", *([Path(named)] if named else [])):
        if (folder / "lava" / "magma").is_dir():
            return _on_a_path(folder.resolve())
    raise ToolError(f"Lava must be installed for this: run {DEPENDENCIES} and {install_command()}")


def _on_a_path(folder: Path) -> Path:
    """The folder; ToolError if it cannot be told from two in the worker's PYTHONPATH."""
    if os.pathsep in str(folder):
        raise ToolError(f"the folder that Lava is in must have no {os.pathsep} in its path, not {folder}")
    return folder


def _importable() -> bool:
    """Whether Python finds the package by itself; nothing of it is imported here."""
    spec = importlib.util.find_spec("lava")
    places = () if spec is None else spec.submodule_search_locations or ()
    return any((Path(place) / "magma").is_dir() for place in places)
