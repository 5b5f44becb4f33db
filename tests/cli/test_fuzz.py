"""A short run of the fuzz campaign, and that its judge sees every fault it is there for."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.forked import CALM_BYTES, Ended
from helpers.hostile import changed_bytes, changed_json, changed_npy, changed_toml
from helpers.micro_files import micro_config_text, micro_tokens
from helpers.micro_model import HARDWARE
from helpers.places import CHECKOUT
from helpers.tried import tried

COUNT = 40

CALLS = """
import os, sys
from pathlib import Path
from helpers import forked
forked.CALM_SECONDS = 1.0
def said(text):
    print(text, file=sys.stderr)
    return 1
calls = {
    "result": lambda: 0,
    "sentence": lambda: said("spikesim: the thing must be another one, not this"),
    "hang": lambda: any(iter(bool, True)),
    "crash": lambda: os.kill(os.getpid(), 11),
    "traceback": lambda: 1 // 0,
    "silence": lambda: 1,
    "two": lambda: said("spikesim: the thing must be another one\\nspikesim: and that one too, at once"),
    "escape": lambda: said("spikesim: the thing must be another one, not \\x1b[31mred"),
    "status": lambda: said("spikesim: the thing must be another one, not this") + 2,
    "memory": lambda: len(bytearray(8 << 30)),
}
print(forked.forked(calls[sys.argv[1]], Path(".")).fault)
"""


def ended(name: str) -> str:
    """What the judge says of a call in a forked child; in a process without pytest's threads."""
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "tests")}
    run = subprocess.run(
        [sys.executable, "-c", CALLS, name], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("result", ""),
        ("sentence", ""),
        ("hang", "still running after 1 s"),
        ("crash", "ended by SIGSEGV"),
        ("traceback", "a traceback: ZeroDivisionError"),
        ("silence", "status 1 with 0 sentences"),
        ("two", "status 1 with 2 sentences"),
        ("escape", "a sentence that a terminal may obey"),
        ("status", "status 3 with 1 sentences"),
        ("memory", "a traceback: MemoryError"),
    ],
)
def test_the_judge_sees(name, fault):
    assert ended(name).startswith(fault)
    assert bool(ended(name)) == bool(fault)


def test_the_judge_sees_memory_that_was_taken():
    calm = Ended(status=0, output="", error="", seconds=1.0, memory=CALM_BYTES)
    assert not calm.fault
    assert "2.0 GiB" in Ended(status=0, output="", error="", seconds=1.0, memory=CALM_BYTES + 1).fault
    assert "SIGKILL" in Ended(status=-signal.SIGKILL, output="", error="", seconds=1.0, memory=0).fault


@pytest.mark.parametrize("change", [changed_bytes, changed_json, changed_npy, changed_toml])
def test_every_mutation_follows_from_its_seed_and_changes_something(change, tmp_path):
    micro_tokens(tmp_path / "t.npy")
    content = {
        changed_json: micro_config_text().encode(),
        changed_npy: (tmp_path / "t.npy").read_bytes(),
    }.get(change, HARDWARE.encode())
    changed = [change(content, random.Random(seed)) for seed in range(40)]
    assert changed == [change(content, random.Random(seed)) for seed in range(40)]
    assert sum(other != content for other in changed) > 30
    assert len(set(changed)) > 20


@tried(
    13,
    f"{COUNT} files and options, changed at random",
    "a result, or one sentence and status 1 or 2; nothing is left",
)
def test_a_short_campaign(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "tests"), "TMPDIR": str(tmp_path)}
    script = CHECKOUT / "tests" / "campaigns" / "fuzz.py"
    run = subprocess.run(
        [sys.executable, str(script), str(COUNT), "3", "--jobs", "1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    results, sentences = map(int, re.findall(r"(\d+) results, (\d+) sentences, 0 faults", run.stdout)[0])
    assert min(results, sentences) >= COUNT // 10  # it neither refuses everything nor changes nothing
    assert not list(Path(tmp_path).glob("fuzz-*"))
