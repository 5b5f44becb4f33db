"""Run as a script, `leash.py PIPE COMMAND…`: runs the command, and ends it when the other end of the pipe closes.

The pipe's other end is held by the process that wants the result. However that ends, nothing it started goes on: the
whole process group is ended, make's compilers included. It imports nothing of spikesim.
"""

import os
import select
import signal
import sys

NOT_STARTED = 126


def main(pipe: int, command: list[str]) -> int:
    """Return the command's exit status, or end by the signal that it ended by."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        _become(pipe, command)
    while True:
        ready, _, _ = select.select([pipe, ended], [], [])
        if pipe in ready:
            os.killpg(0, signal.SIGKILL)
        os.read(ended, 1)
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            break
    if os.WIFSIGNALED(status):
        signal.set_wakeup_fd(-1)
        if os.WTERMSIG(status) != signal.SIGKILL:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _become(pipe: int, command: list[str]) -> None:
    os.close(pipe)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(NOT_STARTED)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
