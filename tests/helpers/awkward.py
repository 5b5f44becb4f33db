"""A name that is a command to every shell and make, and to nobody else."""

from pathlib import Path

CREATED = "made-by-name"
"""The file that appears where the name is obeyed, in whatever folder that happens."""

_COMMAND = f"touch {CREATED}"

AWKWARD = f"""'"`{_COMMAND}`$({_COMMAND})$(shell {_COMMAND})" ;&|<>\n#%:\\*?[é]=,~!{{}}"""
"""Quotes, substitutions of the shell and of make, separators, redirections, a line break, patterns, comments."""


def created(*folders: Path) -> list[Path]:
    """What the name has made, in or below the folders."""
    return [path for folder in folders for path in folder.rglob(CREATED)]
