"""Files that commands read, changed thousands of times, and options with hostile values: what becomes of them.

    make fuzz                       6,000 cases
    make fuzz ARGS="20000 7"        so many, with another seed
    make fuzz ARGS="--case 1234"    one of them, with all that it says

Every case must end with a result, or one sentence and exit status 1 or 2, within 20 s and 2 GiB, and must leave nothing
behind. Each runs in a forked child (`tests/helpers/forked.py`). What a case does follows from seed and number alone.

Nothing is guided by coverage: most of a case is work of libraries (torch, json, pydantic), which a tracer does not see,
and a fuzzer of bytes never gets past the checksum of a .pt file. The mutations know the formats instead
(`tests/helpers/hostile.py`).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helpers.forked import Ended, forked
from helpers.hostile import (
    WORDS,
    changed_bytes,
    changed_json,
    changed_npy,
    changed_safetensors,
    changed_toml,
    changed_torch,
)
from helpers.micro_files import micro_hardware, micro_tokenizer, micro_tokens
from helpers.micro_model import micro_model

CASES = 6000
OPTIONS_EVERY = 4
"""So many cases change one file; the next gives an option a hostile value."""

Change = Callable[[bytes, random.Random], bytes]

RUN = "--random-tokens 8 --sequence-length 4 --hardware core.toml"
LIBRARY = "read-library"
"""Stands for the first step of `compare`: what follows takes minutes for a library that is accepted."""


@dataclass(frozen=True)
class Target:
    """A file, how it is changed, and commands that read it."""

    file: str
    change: Change
    commands: tuple[str, ...]


TARGETS = (
    Target("folder/config.json", changed_json, (f"map folder -o out {RUN}", "info folder")),
    Target("folder/model.safetensors", changed_safetensors, (f"map folder -o out {RUN}", "info folder")),
    Target(
        "sharded/model.safetensors.index.json", changed_json, (f"map sharded -o out {RUN}", "info sharded")
    ),
    Target("model.pt", changed_torch, (f"map model.pt -o out {RUN}", "info model.pt")),
    Target("core.toml", changed_toml, (f"map folder -o out {RUN}", "simulate mapped --hardware core.toml")),
    Target(
        "tokens.npy",
        changed_npy,
        (
            "map folder -o out --hardware core.toml --tokens tokens.npy",
            "map folder -o out --hardware core.toml --tokens plain.txt --calibration tokens.npy",
            "simulate mapped --tokens tokens.npy",
        ),
    ),
    Target(
        "plain.txt",
        changed_bytes,
        (
            "map folder -o out --hardware core.toml --tokens plain.txt",
            "map folder -o out --hardware core.toml --text plain.txt",
            "simulate mapped --text plain.txt",
        ),
    ),
    Target(
        "worded/tokenizer.json", changed_json, ("map worded -o out --text plain.txt --hardware core.toml",)
    ),
    Target(
        "numbers.npy",
        changed_npy,
        (
            "encode numbers.npy",
            "encode numbers.npy --int8 -o train.npz",
            "encode numbers.npy --threshold-k 3 --coding ternary",
        ),
    ),
    Target(
        "mapped/compiled.json",
        changed_json,
        ("simulate mapped", "info mapped", "rtl mapped --hardware core.toml -o out"),
    ),
    Target("mapped/report.json", changed_json, ("info mapped", "info mapped --json")),
    Target("mapped/programs/layer_00.json", changed_json, ("simulate mapped",)),
    Target("mapped/programs/layer_01.json", changed_json, ("simulate mapped",)),
    Target("mapped/programs/head.safetensors", changed_safetensors, ("simulate mapped",)),
    Target("mapped/programs/host.safetensors", changed_safetensors, ("simulate mapped",)),
    Target("mapped/programs/tokens.npy", changed_npy, ("simulate mapped",)),
    Target("mapped/programs/tokens.json", changed_json, ("simulate mapped",)),
    Target("cells.lib", changed_toml, (LIBRARY,)),
    Target("cells.lib", changed_bytes, (LIBRARY,)),
)
"""Every kind of file that a command reads."""

COMMANDS = {
    "map": f"map folder -o out {RUN}",
    "simulate": "simulate mapped",
    "compare": "compare mapped -o out --liberty missing.lib",
    "verify": "verify folder --hardware missing.toml",
    "rtl": "rtl mapped --hardware core.toml -o out",
    "lava": "lava mapped --programs missing",
    "export": "export mapped --target norse -o out",
    "encode": "encode 1 -2 3",
    "info": "info mapped",
}
"""A run of each command that an option is added to. Three are stopped by a missing thing before minutes of work."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is changed, and the command."""

    what: str
    words: tuple[str, ...]
    file: str = ""
    content: bytes = b""


def case(seed: int, number: int, originals: Path) -> Case:
    """The case of a number."""
    rng = random.Random(f"{seed} {number}")
    if number % OPTIONS_EVERY == 0:
        return _option(rng)
    target = TARGETS[rng.randrange(len(TARGETS))]
    words = tuple(rng.choice(target.commands).split())
    content = target.change((originals / target.file).read_bytes(), rng)
    return Case(what=target.file, words=words, file=target.file, content=content)


def _option(rng: random.Random) -> Case:
    name = rng.choice(sorted(COMMANDS))
    words = COMMANDS[name].split()
    option, is_flag = rng.choice(options()[name])
    value = (
        rng.choice(WORDS).encode("utf-8", errors="surrogateescape").decode("utf-8", errors="surrogateescape")
    )
    if option in words:  # the last of two would count, or both: replaced, it is tried alone
        at = words.index(option)
        del words[at : at + (1 if is_flag else 2)]
    if option:
        words += [option] if is_flag else [f"{option}={value}"] if rng.randrange(2) else [option, value]
    else:
        words[1:2] = [value]
    return Case(what=f"{name} {option or 'argument'}", words=tuple(words))


@cache
def options() -> dict[str, list[tuple[str, bool]]]:
    """The options of every command as it declares them, and whether each is a flag; "" is the argument."""
    import typer

    from spikesim.cli.app import app

    group: Any = typer.main.get_command(app)
    found: dict[str, list[tuple[str, bool]]] = {}
    for name in COMMANDS:
        found[name] = [("", False)]
        for parameter in group.commands[name].params:
            option = parameter.opts[-1]
            if parameter.param_type_name == "option" and option not in (
                "--help",
                "--power",
            ):  # minutes of work
                found[name].append((option, bool(parameter.is_flag)))
    return found


def originals(folder: Path) -> Path:
    """Make the files that are changed, and the mapping."""
    from helpers.tiny_library import library_text

    micro_model(folder / "folder")
    micro_model(folder / "sharded", shard_bytes=2000)
    micro_model(folder / "worded")
    micro_model(folder / "model.pt")
    micro_tokenizer(folder / "worded" / "tokenizer.json")
    micro_tokens(folder / "tokens.npy")
    micro_tokens(folder / "plain.txt")
    micro_tokens(folder / "numbers.npy", 40)
    micro_hardware(folder / "core.toml")
    (folder / "cells.lib").write_text(library_text(), encoding="utf-8")
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            "from spikesim.cli import main; main()",
            "map",
            "folder",
            "-o",
            "mapped",
            *RUN.split(),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(made.stderr)
    return folder


def command(words: tuple[str, ...]) -> int:
    """The command line, in this process."""
    from spikesim.cli import main

    if words == (LIBRARY,):
        return _read_library(Path("cells.lib"))
    sys.argv = ["spikesim", *words]
    main()
    return 0


def _read_library(path: Path) -> int:
    import typer

    from spikesim.cli.failures import failures_as_sentences
    from spikesim.power_models.liberty.check import check_library
    from spikesim.power_models.liberty.read import read_liberty

    try:
        with failures_as_sentences():
            check_library(read_liberty(path))
    except typer.Exit as exit_:
        return exit_.exit_code
    return 0


@contextmanager
def _quick_reports() -> Iterator[None]:
    """Reports without figures: drawing takes seconds and reads no file of anybody."""
    from spikesim import report

    whole = report.write_report

    def json_only(found: Any, folder: Path) -> None:
        (folder / report.JSON_NAME).write_text(found.model_dump_json(), encoding="utf-8")

    report.write_report = json_only
    try:
        yield
    finally:
        report.write_report = whole


def judged(seed: int, number: int, sources: Path, scratch: Path) -> tuple[Case, Ended, str]:
    """Run a case in a copy of the originals; the fault, or nothing."""
    tried = case(seed, number, sources)
    work, temporary = scratch / "work", scratch / "tmp"
    for folder in (work, temporary):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sources, work)
    temporary.mkdir()
    if tried.file:
        (work / tried.file).write_bytes(tried.content)
    before = _names(work)
    environment = {"TMPDIR": str(temporary), "HOME": str(work), "COLUMNS": "160"}
    ended = forked(lambda: command(tried.words), work, environment)
    fault = ended.fault or _left(before, _names(work), _names(temporary), ended.status)
    return tried, ended, fault


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _left(before: set[str], after: set[str], temporary: set[str], status: int | None) -> str:
    """What lies where nothing should."""
    new = sorted(after - before)
    if temporary:
        return f"left {sorted(temporary)[0]} in TMPDIR"
    if lost := sorted(before - after):
        return f"lost {lost[0]}"
    if any(".partial" in name for name in new) or (status and new):
        return f"left {new[0]}"
    return ""


def part(seed: int, numbers: range) -> int:
    """Run some cases in this process; prints a JSON line for every fault, and one with the counts."""
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, _quick_reports():
        sources = originals(Path(folder, "originals"))
        _warmed()
        for number in numbers:
            tried, ended, fault = judged(seed, number, sources, Path(folder))
            ends[("result" if ended.status == 0 else "sentence") if not fault else "fault"] += 1
            if fault:
                print(json.dumps({"case": number, "what": tried.what, "fault": fault}), flush=True)
    print(json.dumps({"ends": ends}), flush=True)
    return int(bool(ends["fault"]))


def _warmed() -> None:
    """Import what commands import, so that children need not; nothing may start a thread."""
    import torch

    for module in ("spikesim.flow", "spikesim.report", "spikesim.verify.bench", "spikesim.verify.job"):
        importlib.import_module(module)
    torch.set_num_threads(1)


def main() -> int:
    """Run all cases on both cores, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=CASES)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", type=int, help="run this one and show what it says")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    if arguments.case is not None:
        return _shown(arguments.seed, arguments.case)
    if arguments.part is not None:
        return part(arguments.seed, range(arguments.part, arguments.count, arguments.jobs))
    words = [
        sys.executable,
        __file__,
        str(arguments.count),
        str(arguments.seed),
        "--jobs",
        str(arguments.jobs),
    ]
    processes = [
        subprocess.Popen([*words, "--part", str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(arguments.jobs)
    ]
    ends: Counter[str] = Counter()
    for process in processes:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if "ends" in found:
                ends.update(found["ends"])
            else:
                print(f"case {found['case']}, {found['what']}: {found['fault']}", flush=True)
        process.wait()
    done = sum(ends.values())
    print(
        f"{done:,} cases: {ends['result']:,} results, {ends['sentence']:,} sentences, {ends['fault']:,} faults"
    )
    return int(bool(ends["fault"]) or done != arguments.count)


def _shown(seed: int, number: int) -> int:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, _quick_reports():
        sources = originals(Path(folder, "originals"))
        _warmed()
        tried, ended, fault = judged(seed, number, sources, Path(folder))
        print(tried.what, *map(ascii, tried.words))
        if tried.file:
            print(ascii(tried.content[:3000].decode("utf-8", errors="replace")))
        took = f"{ended.seconds:.1f} s, {ended.memory / 2**20:.0f} MiB"
        print(f"status {ended.status}, {took}; {fault or 'as it should be'}")
        print(ended.output[-2000:] + ended.error[-4000:])
    return int(bool(fault))


if __name__ == "__main__":
    sys.exit(main())
