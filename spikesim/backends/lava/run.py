"""Runs a chain of programs on Lava and compares everything with golden: `run_lava`.

The border is narrow on purpose: programs and the words of each token go in, words and counts come out.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.compare import LavaComparison
from spikesim.backends.lava.expected import ExpectedProgram, GoldenChain
from spikesim.backends.lava.launch import launch
from spikesim.backends.lava.package import find_lava
from spikesim.backends.lava.plan import Plan, crossing, plan
from spikesim.backends.lava.spikes import CODINGS, GRADED, steps_needed
from spikesim.errors import CapacityError, CodingError, ConfigError
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain, Link, Program
from spikesim.program.file import save_program
from spikesim.results.lava import LavaCoding
from spikesim.support.array_files import write_npy
from spikesim.support.progress import SILENT, Progress
from spikesim.support.temporary import temporary_folder

MOST_PROCESSES = 96
"""Lava Processes of one network, each a process of the system; a longer chain runs as several networks."""

_DESCRIPTORS_PER_PROCESS, _OTHER_DESCRIPTORS = 14, 48
"""Open files of a worker: 662 were counted with 50 Processes, 938 with 73."""

TIMEOUT_S = 600.0


@dataclass(kw_only=True)
class LavaResult:
    """A chain on Lava, compared. `networks`: the plans that ran, one after the other; `expected`: golden, in order.

    `outputs`: int32[tokens, words], what left the last network.
    """

    coding: LavaCoding
    planes: int
    links: Sequence[Link]
    comparison: LavaComparison
    outputs: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    networks: list[Plan] = field(default_factory=list)
    expected: list[ExpectedProgram] = field(default_factory=list)
    steps: int = 0
    processes: int = 0
    memory: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Nothing differs."""
        return not self.comparison.differences

    def took(self, stage: str, seconds: float) -> None:
        """Add to a stage's time."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def chosen_programs(programs: Sequence[Program], names: Sequence[str]) -> list[Program]:
    """The programs of these names in the order of the chain; all if there are no names. ConfigError for others."""
    known = [program.text.name for program in programs]
    for name in names:
        if name not in known:
            raise ConfigError(f"programs must be among {', '.join(known)}, not {name}")
    return [program for program in programs if not names or program.text.name in names]


def execute(
    chain: Chain,
    words: NDArray[np.int32],
    hardware: HardwareConfig,
    *,
    coding: LavaCoding = GRADED,
    names: Sequence[str] = (),
    timeout: float = TIMEOUT_S,
    command: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> LavaResult:
    """words: int32[tokens, words] into the chain -> everything compared, for the programs of these names.

    `coding`: "graded" or one of the core's. `timeout`: seconds for each network. Raises ToolError if Lava is not
    there or fails, and CapacityError for programs that cannot be cut or do not fit.
    """
    if coding not in CODINGS:
        raise CodingError(f"coding must be one of {', '.join(CODINGS)}, not {coding}")
    lava = find_lava()
    programs, links = chain.programs, chain.links
    chosen = chosen_programs(programs, names)
    planes = steps_needed(chosen, coding)
    found = LavaResult(
        coding=coding,
        planes=planes,
        links=links,
        comparison=LavaComparison(coding, planes, hardware.numerics.coding),
    )
    golden = GoldenChain(chain, words, hardware)
    last = programs.index(chosen[-1])
    groups = networks(programs[: last + 1], links, [p.text.name for p in chosen], coding)
    for group in groups:
        if not group.run:
            started = time.perf_counter()
            for program in group.programs:
                golden.run(program)
            found.took("golden", time.perf_counter() - started)
            continue
        cut = plan(group.programs, links)
        _network(cut, links, golden, found, lava, timeout=timeout, command=command, progress=progress)
    return found


def _network(
    cut: Plan,
    links: Sequence[Link],
    golden: GoldenChain,
    found: LavaResult,
    lava: Path | None,
    *,
    timeout: float,
    command: Sequence[str] | None,
    progress: Progress,
) -> None:
    """One network: golden first, then Lava, then the comparison."""
    names = [program.text.name for program in cut.programs]
    label = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    started = time.perf_counter()
    entry = golden.entry(cut.sources)
    expected = [golden.run(program) for program in cut.programs]
    found.took("golden", time.perf_counter() - started)
    with temporary_folder() as folder:
        _write_job(folder, cut, links, found, entry)
        started = time.perf_counter()
        with progress.stage(f"Lava: {label}", golden.tokens) as advance:
            done = launch(folder, lava, timeout=timeout, advance=advance, command=command)
        found.took("Lava", time.perf_counter() - started)
        started = time.perf_counter()
        by_name = {e.program.text.name: e for e in expected}
        found.outputs = found.comparison.network(cut, by_name, entry, folder)
        found.took("comparison", time.perf_counter() - started)
    found.networks.append(cut)
    found.expected += expected
    found.steps += int(done["steps"])
    found.processes += int(done["processes"])
    if done["memory"] is not None:
        found.memory = max(found.memory or 0, int(done["memory"]))


def _write_job(
    folder: Path, cut: Plan, links: Sequence[Link], found: LavaResult, entry: NDArray[np.int32]
) -> None:
    (folder / "programs").mkdir()
    for program in cut.programs:
        save_program(program, folder / "programs")
    job: dict[str, Any] = {
        "programs": [program.text.name for program in cut.programs],
        "links": [link.model_dump() for link in links],
        "coding": found.coding,
        "planes": found.planes,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    write_npy(folder / "words.npy", entry)


@dataclass(frozen=True, kw_only=True)
class NetworkGroup:
    """Programs that are neighbours in the chain and `run` on Lava as one network, or are left to golden."""

    programs: tuple[Program, ...]
    run: bool


def networks(
    programs: Sequence[Program], links: Sequence[Link], names: Sequence[str], coding: str
) -> list[NetworkGroup]:
    """Cut a chain into networks that a system can hold: processes and open files are limited.

    Raises CapacityError for a program that is too large by itself.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = MOST_PROCESSES if hard == resource.RLIM_INFINITY else _by_descriptors(hard)
    groups: list[NetworkGroup] = []
    used = 0
    for program in programs:
        run = program.text.name in names
        size = processes_of(program, links, coding) if run else 0
        if size > files:
            raise CapacityError(
                f"{program.text.name} takes {size} Lava Processes: the limit of open files must be at least "
                f"{_OTHER_DESCRIPTORS + _DESCRIPTORS_PER_PROCESS * size}, not {hard} (ulimit -Hn)"
            )
        if groups and groups[-1].run == run and (not run or used + size <= min(MOST_PROCESSES, files)):
            groups[-1] = NetworkGroup(programs=(*groups[-1].programs, program), run=run)
            used += size
        else:
            groups.append(NetworkGroup(programs=(program,), run=run))
            used = size
    return groups


def _by_descriptors(hard: int) -> int:
    """Processes, besides a network's source and recorder, that a limit of open files allows."""
    return (hard - _OTHER_DESCRIPTORS) // _DESCRIPTORS_PER_PROCESS - 2


def processes_of(program: Program, links: Sequence[Link], coding: str) -> int:
    """Lava Processes of a program: stages, a Dense for each matrix, and a Horner behind it where bits are serial."""
    matrices = len(crossing(program))
    return len(plan([program], links).stages) + matrices * (1 if coding == GRADED else 2)
