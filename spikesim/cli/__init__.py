"""The command line: `spikesim map`, `simulate`, `compare` and the others, one module each, put together in `app`.

Each command imports what it needs when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0, 1 for a failure with its sentence, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        from spikesim.cli.process import prepare

        prepare()
        from spikesim.cli.app import run

        run()
    except KeyboardInterrupt:  # before a command began, or a second one while it was cleaning up
        sys.stderr.write("spikesim: interrupted; nothing was written\n")
        sys.exit(130)
    except (ImportError, MemoryError) as error:  # before there was a command line that could say it better
        sys.stderr.write(
            f"spikesim: the command line cannot be loaded: {str(error) or 'not enough memory'}\n"
        )
        sys.exit(1)
