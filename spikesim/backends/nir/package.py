"""The `nir` package, imported when it is needed, so that its absence is a sentence."""

from __future__ import annotations

from typing import Any

from spikesim.errors import ToolError

REQUIREMENT = "nir>=1.0.8,<1.1"
"""As in pyproject.toml. The round trip through a file was measured with these versions."""


def nir_package() -> Any:
    """The module `nir`. Raises ToolError with the command that installs it."""
    try:
        import nir
    except ImportError as error:
        raise ToolError(
            f"the package nir must be installed to export NIR: pip install '{REQUIREMENT}'"
        ) from error
    return nir
