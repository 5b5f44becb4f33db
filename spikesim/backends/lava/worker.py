"""The process that a Lava network runs in: a job folder in, records out. Started by `launch`, never imported.

Job folder: `job.json` {"programs": [names], "coding", "planes"}, `programs/`, `words.npy` int32[tokens, entry words].
Records: `outputs.npy`, `<stage>.npz`.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from spikesim.backends.lava.messages import fail, tell

LONGEST_FOLDER = 60
"""Bytes of the path of a temporary folder; multiprocessing adds some thirty of its own."""

CHANNEL_MESSAGES = 4
"""Messages that a channel holds; a network in lockstep needs one or two of Lava's 64."""


def main(folder: Path) -> None:
    """Run the job in `folder`."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    try:
        _use_short_paths()
        tell("temporary", folder=multiprocessing.util.get_temp_dir())
        _raise_descriptor_limit()
        _run(folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, the launcher says it
        fail("the network", error)


def _run(folder: Path) -> None:
    from spikesim.backends.lava import repair

    repair.prepare()
    import numpy as np
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from spikesim.backends.lava.network import Network
    from spikesim.backends.lava.plan import plan
    from spikesim.program import Link
    from spikesim.program.file import load_program

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    programs = [load_program(folder / "programs", name) for name in job["programs"]]
    words = np.load(folder / "words.npy", allow_pickle=False)
    started = time.perf_counter()
    links = [Link.model_validate(link) for link in job["links"]]
    network = Network(plan(programs, links), job["coding"], job["planes"], words, folder)
    settings = {"pypy_channel_size": CHANNEL_MESSAGES}
    config = Loihi2SimCfg(select_tag="fixed_pt")
    try:
        network.first.create_runtime(run_cfg=config, compile_config=settings)
        # All of them exist from here on, and none has begun.
        sentinels = [child.sentinel for child in multiprocessing.active_children()]
        done = threading.Event()
        threading.Thread(target=_watch_children, args=(sentinels, done), daemon=True).start()
        running = time.perf_counter()
        network.first.run(condition=RunSteps(num_steps=network.steps))
        finished = time.perf_counter()
        done.set()
        tell(
            "done",
            start=running - started,
            run=finished - running,
            processes=len(network.processes),
            steps=network.steps,
            memory=_proportional_memory(),
        )
    finally:
        network.first.stop()


def _use_short_paths() -> None:
    """Temporary files where the path of a socket among them fits its 107 bytes, whatever TMPDIR says."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(folder)) <= LONGEST_FOLDER and os.access(folder, os.W_OK):
            tempfile.tempdir = folder
            return
    raise OSError(f"a temporary folder must have a path of at most {LONGEST_FOLDER} bytes; TMPDIR names one")


def _raise_descriptor_limit() -> None:
    """As many open files as the system allows: a network needs several per channel."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_launcher() -> None:
    """End every process when the launcher is gone, which closes its end of descriptor 0.

    Read from the descriptor: forked children would wait for the lock of `sys.stdin`.
    """
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)


def _watch_children(sentinels: list[int], done: threading.Event) -> None:
    """End the network if one of its processes ends too early: Lava would wait for it for ever."""
    while not done.is_set():
        ended = multiprocessing.connection.wait(sentinels, timeout=0.2)
        if ended and not done.is_set():
            fail("the network", ChildProcessError("one of its processes ended before its time"))


def _proportional_memory() -> int | None:
    """Bytes of memory of this process and its children, shared pages divided among those that share them."""
    total = 0
    try:
        for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += 1024 * int(line.split()[1])
    except OSError:
        return None
    return total


if __name__ == "__main__":
    main(Path(sys.argv[1]))
