"""Commands that are ended in the midst of their work, and what they leave.

    make kills                            200 of them
    make kills ARGS="50 7"                50, from seed 7
    make kills ARGS="20 1 map simulate"   of these commands only

A signal (SIGINT, SIGTERM, SIGHUP, SIGKILL; sometimes two in a row) comes at a random moment of a command on a small
model. After it, the output must be whole or absent, and no process may go on. After any signal but SIGKILL nothing may
be left beside the output or in TMPDIR; after SIGKILL nothing once the next run has ended. The next run must give the
results of a run that nobody disturbed, whatever the signal did to the caches. Exits with 1 if any of this fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
COMMANDS = {"map": 6, "simulate": 6, "rtl": 4, "compare": 3, "verify": 1}
"""How often each comes: `verify` compiles for a minute, `map` takes seconds."""

TOKEN = "SPIKESIM_KILLS"
"""Variable in the environment of a command and of all that it starts, by which orphans are known."""
PATIENCE_S = 10.0
LIMIT_S = 900.0
SMALL_BYTES = 20_000
"""Entries of the cache up to this size are made again in a second or two."""
SHARE_OF_PAIRS = 0.25
"""Of the signals that can be answered, those that another one follows at once."""
SHARE_OF_REPLACEMENTS = 0.3
"""Of the trials, those that would replace an earlier result."""


@dataclass(kw_only=True)
class Bench:
    """Where the campaign works, what each command left undisturbed, and how long it took."""

    folder: Path
    cache: Path
    whole: dict[str, dict[str, object]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def words(self, command: str, output: Path) -> list[str]:
        """The command line."""
        model, mapped, hardware = (str(self.folder / name) for name in ("model", "mapped", "small.toml"))
        start = {
            "map": ["map", model, "--random-tokens", "8", "--sequence-length", "4"],
            "simulate": ["simulate", mapped],
            "rtl": ["rtl", model, "--tokens", "1"],
            "compare": ["compare", model, "--random-tokens", "4", "--quick"],
            "verify": ["verify", model, "--tokens", "1", "--core", "spiking"],
        }[command]
        return [*start, "--hardware", hardware, "-o", str(output), "--force"]


class Run:
    """A command in a process of its own, a fork of this one, so that it begins at once with everything imported."""

    def __init__(self, bench: Bench, command: str, trial: Path) -> None:
        self.trial, self.token = trial, f"{os.getpid()}-{time.monotonic_ns()}"
        self.started = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                code = self._work(bench.words(command, trial / "out"))
            finally:
                os._exit(code)

    def _work(self, words: list[str]) -> int:
        for number in SIGNALS[:-1]:  # what starts a campaign in the background has SIGINT ignored
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.environ.update({TOKEN: self.token, "TMPDIR": str(self.trial / "tmp")})
        os.environ["SPIKESIM_CACHE"] = str(self.trial / "cache")
        tempfile.tempdir = None
        log = os.open(self.trial / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        sys.argv = ["spikesim", *words]
        from spikesim.cli import main

        try:
            main()
        except SystemExit as end:
            sys.stdout.flush()
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return 0

    def wait(self) -> tuple[int, float]:
        """Exit code, negative for the signal that it ended by, and seconds since it began; 75 for one that hangs."""
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            took = time.monotonic() - self.started
            if found:
                return os.waitstatus_to_exitcode(status), took
            if took > LIMIT_S:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return 75, took
            time.sleep(0.005)

    def orphans(self) -> list[str]:
        """Processes that the command started and that are still there after a while."""
        limit = time.monotonic() + PATIENCE_S
        while (found := self._alive()) and time.monotonic() < limit:
            time.sleep(0.02)
        return found

    def _alive(self) -> list[str]:
        mine, found = f"{TOKEN}={self.token}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mine in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_text(errors="replace").replace("\0", " ")[:80])
            except OSError:  # gone, or not ours to look at
                continue
        return found


def results(folder: Path) -> dict[str, object]:
    """The content of every file of an output, without what differs from run to run: times, and names in a build."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[name] = None
        elif "build" in path.parts or "objects" in path.parts or path.suffix == ".html":
            found[name] = path.stat().st_size > 0
        elif path.name == "report.json":
            found[name] = _timeless(json.loads(path.read_text(encoding="utf-8")))
        elif path.name == "compiled.json":
            found[name] = {**json.loads(path.read_text(encoding="utf-8")), "provenance": None}
        else:
            found[name] = path.read_bytes()
    return found


def _timeless(node: Any) -> Any:
    if isinstance(node, dict):
        out = ("seconds", "created", "command", "peak_memory_bytes")
        return {key: _timeless(value) for key, value in node.items() if key not in out}
    return [_timeless(value) for value in node] if isinstance(node, list) else node


def prepare(folder: Path, cache: Path, commands: Sequence[str]) -> Bench:
    """Every command once, undisturbed, which also fills the caches, and once more for its time with warm ones."""
    from helpers.micro_model import HARDWARE, micro_model

    bench = Bench(folder=folder, cache=cache)
    micro_model(folder / "model")
    (folder / "small.toml").write_text(HARDWARE, encoding="ascii")
    cache.mkdir(parents=True, exist_ok=True)
    for command in dict.fromkeys(("map", *commands)):
        for _ in range(2):
            trial = fresh_trial(bench, command, None)
            code, seconds = Run(bench, command, trial).wait()
            if code:
                raise SystemExit(f"{command} undisturbed ended with {code}: {(trial / 'log').read_text()}")
            bench.seconds[command] = seconds
            shutil.copytree(trial / "cache", cache, dirs_exist_ok=True)
            if command == "verify":  # keeps nothing between runs
                break
        bench.whole[command] = results(trial / "out")
        if not (folder / "mapped").exists():
            shutil.copytree(trial / "out", folder / "mapped")
    return bench


def fresh_trial(bench: Bench, command: str, generator: np.random.Generator | None) -> Path:
    """A folder for one trial: an empty TMPDIR, and the caches with some holes, so that something is kept anew."""
    trial = bench.folder / command
    shutil.rmtree(trial, ignore_errors=True)
    (trial / "tmp").mkdir(parents=True)
    shutil.copytree(bench.cache, trial / "cache")
    if generator is not None:
        small = sorted(
            path for path in (trial / "cache").rglob("*.kept") if path.stat().st_size < SMALL_BYTES
        )
        kernels = sorted((bench.folder / "kernels").rglob("*.nbc"))
        for choice, most in ((small, 4), (kernels, 1)):
            for path in generator.permutation(np.array(choice, object))[:most]:
                path.unlink()
    return trial


def kill(
    bench: Bench, command: str, number: signal.Signals, generator: np.random.Generator
) -> tuple[int, list[str]]:
    """One trial: the exit code that the signal led to, and everything that is wrong."""
    trial = fresh_trial(bench, command, generator)
    # An earlier result must stay until the new one is whole.
    replaces = command != "verify" and generator.random() < SHARE_OF_REPLACEMENTS
    if replaces:
        Run(bench, command, trial).wait()
    moment = float(generator.uniform(0, 1.05 * bench.seconds[command]))
    run = Run(bench, command, trial)
    time.sleep(max(0.0, moment - (time.monotonic() - run.started)))
    sent = [number]
    if number != signal.SIGKILL and generator.random() < SHARE_OF_PAIRS:
        sent.append(SIGNALS[int(generator.integers(3))])
    for each in sent:
        if os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(run.pid, each)
            time.sleep(float(generator.uniform(0, 0.05)))
    code, _ = run.wait()
    wrong = [f"process left: {left}" for left in run.orphans()]
    allowed = {0, *(-each for each in sent)}
    if number != signal.SIGKILL:
        allowed |= {128 + each for each in sent}
    if code not in allowed:
        wrong.append(f"exit code {code}: {(trial / 'log').read_text()[-300:]}")
    if code > 0 and number != signal.SIGKILL:
        wrong += left_behind(trial)
    # After SIGKILL between two renames it is the next run that puts it back.
    wrong += whole_or_absent(bench, command, trial, expected=replaces and number != signal.SIGKILL)
    code_after, _ = Run(bench, command, trial).wait()
    if code_after:
        wrong.append(f"next run ended with {code_after}: {(trial / 'log').read_text()[-300:]}")
    wrong += left_behind(trial)
    wrong += whole_or_absent(bench, command, trial, expected=True)
    return code, wrong


def left_behind(trial: Path) -> list[str]:
    """What lies beside the output and in TMPDIR."""
    beside = [path.name for path in trial.iterdir() if path.name not in ("out", "tmp", "cache", "log")]
    inside = [f"tmp/{path.name}" for path in (trial / "tmp").iterdir()]
    partial = [path.name for path in (trial / "cache").rglob("*.partial")]
    return [f"left: {name}" for name in (*beside, *inside, *partial)]


def whole_or_absent(bench: Bench, command: str, trial: Path, *, expected: bool) -> list[str]:
    """What is wrong with the output; `expected`: it may not be absent."""
    if not (trial / "out").exists():
        return ["no output"] if expected else []
    found, known = results(trial / "out"), bench.whole[command]
    wrong = [f"output lacks {name}" for name in known.keys() - found.keys()]
    wrong += [f"output has {name}" for name in found.keys() - known.keys()]
    return wrong + [
        f"output differs in {name}" for name in known.keys() & found.keys() if known[name] != found[name]
    ]


def campaign(bench: Bench, count: int, seed: int, commands: Sequence[str]) -> int:
    """How many trials went wrong."""
    say("undisturbed: " + ", ".join(f"{name} {bench.seconds[name]:.1f} s" for name in commands))
    order = np.random.default_rng(seed).permutation(
        [name for name in commands for _ in range(COMMANDS[name])]
    )
    ends: dict[str, Counter[int]] = {name: Counter() for name in commands}
    failed, times = 0, []
    for trial in range(count):
        generator = np.random.default_rng([seed, trial])
        command, number = str(order[trial % len(order)]), SIGNALS[int(generator.integers(len(SIGNALS)))]
        started = time.monotonic()
        code, wrong = kill(bench, command, number, generator)
        times.append(time.monotonic() - started)
        ends[command][code] += 1
        failed += bool(wrong)
        for line in wrong:
            say(f"trial {trial} of seed {seed}, {command}, {number.name}: {line}")
        if trial % 10 == 9:
            counts = ", ".join(f"{name} {counted.total()}" for name, counted in ends.items())
            say(f"so far {counts}; {failed} wrong")
    for name, counted in ends.items():
        say(f"{name}: {counted.total()} signals; exit codes {dict(sorted(counted.items()))}")
    say(f"{count} trials, {failed} wrong; {statistics.mean(times):.1f} s each")
    return failed


def say(line: str) -> None:
    """Print at once: a campaign takes an hour."""
    print(line, flush=True)


def main() -> int:
    """1 if anything went wrong."""
    parser = argparse.ArgumentParser(description="commands that are ended in the midst of their work")
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("commands", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--cache", type=Path, help="results that an earlier campaign has kept")
    given = parser.parse_args()
    if unknown := set(given.commands) - COMMANDS.keys():
        parser.error(f"commands must be of {', '.join(COMMANDS)}, not {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(name, "kernels"))
        # Once here, not in every trial; nothing of it starts a thread before it is used.
        import spikesim.cli.app
        import spikesim.flow
        import spikesim.report.html
        import spikesim.verify.lockstep  # noqa: F401

        commands = given.commands or list(COMMANDS)
        bench = prepare(Path(name), given.cache or Path(name, "cache"), commands)
        return int(campaign(bench, given.count, given.seed, commands) > 0)


if __name__ == "__main__":
    sys.exit(main())
