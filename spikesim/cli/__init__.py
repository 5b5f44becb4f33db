"""The command line: `spikesim map`, `simulate`, `encode` and `info`, one module each.

Importing it loads typer and nothing heavy; each command imports what it needs when it runs, so that `--help`
is quick.
"""

from spikesim.cli.app import app, main

__all__ = ["app", "main"]
