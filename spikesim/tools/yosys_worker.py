"""The process that Yosys runs in: passes from the standard input, one a line. It imports nothing of spikesim."""

import signal
import sys


def main() -> None:
    """Run the passes; an error of Yosys ends the process."""
    from pyosys import libyosys

    signal.signal(
        signal.SIGPIPE, signal.SIG_DFL
    )  # nobody reads the log any more: whoever started this is gone
    design = libyosys.Design()
    for line in sys.stdin.buffer:
        design.run_pass(line.decode("utf-8").strip())


if __name__ == "__main__":
    main()
