"""Lockstep: emit a core, build it, run tokens on it in Verilator, simulate the same, compare everything."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.cores import CoreName
from spikesim.errors import CapacityError, OutputError, ToolError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.program import Chain
from spikesim.program.layout import CoreLayout
from spikesim.program.sizes import Needs, fitted, lacking
from spikesim.rtl.assemble import Executable, assemble
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.emit import TOP, emit_core, emit_program, positions
from spikesim.support.array_files import write_raw
from spikesim.support.reading import read_bytes
from spikesim.support.sources import digest
from spikesim.tools.process import run_leashed
from spikesim.tools.verilator import build, toolchain
from spikesim.verify.compare import LockstepComparison, compare
from spikesim.verify.expected import Expected, expect_sequences
from spikesim.verify.record import RTLRecord, read_record

WAVE_CYCLES = 400
"""Clock cycles before and after a difference that its waveform shows."""


@dataclass(frozen=True, kw_only=True)
class LockstepResult:
    """Outcome of one run. `seconds` per stage; `clock_cycles` of the whole simulation; `wave`: left by a difference."""

    comparison: LockstepComparison
    seconds: dict[str, float]
    clock_cycles: int
    wave: Path | None


def one_core(hardware: HardwareConfig) -> HardwareConfig:
    """The hardware with a single core: what RTL is generated for."""
    return hardware.replace(**{"system.cores": 1})


def check_fits(hardware: HardwareConfig, layout: CoreLayout) -> None:
    """Raises CapacityError, naming the first setting that is too small, if not everything can be resident."""
    for name, least in lacking(hardware, Needs.of(layout)).items():
        section, _, setting = name.partition(".")
        have = getattr(getattr(hardware, section), setting)
        raise CapacityError(
            f"{name} must be at least {least} for a core that holds the whole model, not {have}; the RTL streams "
            "nothing from DRAM"
        )


def cycle_limit(expected: Expected, layout: CoreLayout, core: CoreName) -> int:
    """Clock cycles after which a step, or clearing, is given up: well beyond what the simulator says."""
    per_token = sum(entry[core].sum(axis=0) for entry in expected.cycles)
    return 4 * int(np.max(per_token)) + 10_000 + 4 * layout.state_words


def write_run(
    path: Path,
    chain: Chain,
    layout: CoreLayout,
    executable: Executable,
    *,
    steps: int,
    limit: int,
    length: int | None = None,
) -> None:
    """Writes the run file of `harness.cpp`. `limit`: clock cycles after which a step, or clearing, is given up.

    `length`: steps of a sequence, all if None.
    """
    numbers = (
        executable.token_entry,
        executable.clear_entry,
        layout.input,
        chain.input_words,
        layout.output,
        chain.output_words,
        steps,
        limit,
        positions(layout),
        max(1, length or steps),
    )
    path.write_text(" ".join(map(str, numbers)) + "\n", encoding="ascii")


def enlarged(chain: Chain, hardware: HardwareConfig) -> tuple[HardwareConfig, tuple[str, ...]]:
    """The hardware with memories that hold all programs, and a sentence per capacity that was raised for it.

    What is fitted has a number then, however large: the RTL streams nothing from DRAM.
    """
    required = Needs.of(link(chain, hardware))
    missing = lacking(hardware, required)
    notes = tuple(
        f"{name} raised to {least}, so that everything is resident" for name, least in missing.items()
    )
    return fitted(hardware.replace(**missing), required), notes


class BuiltCore:
    """One emitted configuration and its compiled simulations in `folder`; what is there and unchanged stays.

    It shows what it does (`trace`), which is what runs are compared by. `seconds`: what building took, 0 if nothing was
    to be done.
    """

    def __init__(self, config: CoreConfig, folder: Path, *, coverage: bool = False) -> None:
        self.config, self.folder, self.coverage = replace(config, trace=True), folder, coverage
        self.seconds = 0.0
        self._source: Path | None = None
        self._binaries: dict[bool, Path] = {}

    def binary(self, *, trace: bool = False) -> Path:
        """The compiled simulation, with a waveform writer if `trace`."""
        if trace not in self._binaries:
            start = time.perf_counter()
            self._binaries[trace] = self._build(trace)
            self.seconds += time.perf_counter() - start
        return self._binaries[trace]

    def _build(self, trace: bool) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.statvfs(self.folder).f_flag & os.ST_NOEXEC:
            raise ToolError(
                f"{self.folder} must lie on a file system that runs programs, not on one mounted noexec"
            )
        folder = self.folder / ("build_wave" if trace else "build")
        stamp = folder / "inputs.sha256"
        _check_is_build(folder, stamp)
        source = self._source = self._source or emit_core(self.folder, self.config)
        harness = resources.files("spikesim.verify").joinpath("harness.cpp")
        with resources.as_file(harness) as path:
            tools = [digest(build.__module__), toolchain(), str(self.coverage)]
            inputs = [source.read_bytes(), path.read_bytes(), *map(str.encode, tools)]
            key = hashlib.sha256(b"\0".join(inputs)).hexdigest()
            if _is_stamped(stamp, key, folder / TOP):
                return folder / TOP
            _remove(folder)
            binary = build(
                [source],
                TOP,
                folder,
                harness=path,
                trace=trace,
                coverage=self.coverage,
                objects=self.folder.parent / "objects",
            )
        stamp.write_bytes(_stamp(key, binary))
        return binary


def _stamp(key: str, binary: Path) -> bytes:
    """What a simulation was built of, and a digest of what came of it."""
    return f"{key} {hashlib.sha256(binary.read_bytes()).hexdigest()}".encode("ascii")


def _is_stamped(stamp: Path, key: str, binary: Path) -> bool:
    """Whether a simulation is there, whole, and built of the same."""
    try:
        return os.access(binary, os.X_OK) and read_bytes(stamp, "a stamp", ToolError) == _stamp(key, binary)
    except (OSError, ToolError):
        return False


def _remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check_is_build(folder: Path, stamp: Path) -> None:
    """Raise OutputError if the folder holds something, but nothing of a build, finished or not."""
    if folder.is_dir() and any(folder.iterdir()) and not (stamp.is_file() or any(folder.glob(f"V{TOP}*"))):
        raise OutputError(f"{folder} must be absent or an earlier build, since a build is written there")


class Lockstep:
    """A chain of programs on a built core, to be run on any tokens; images and records go to `folder`."""

    def __init__(self, chain: Chain, hardware: HardwareConfig, core: BuiltCore, folder: Path) -> None:
        self.chain, self.hardware, self.core, self.folder = chain, hardware, core, folder
        self.core_name = core.config.core
        self.layout = link(chain, hardware)
        self.executable = assemble(
            chain, self.layout, ways=hardware.array.ways, words=hardware.pointwise.words
        )
        check_fits(hardware, self.layout)
        folder.mkdir(parents=True, exist_ok=True)
        self.images = emit_program(folder, core.config, chain, self.layout, self.executable)
        self.seconds: dict[str, float] = {}

    def _took(self, stage: str, start: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def run(self, words: NDArray[np.int32], *, name: str = "run") -> LockstepResult:
        """words: int32[tokens, words], the input of every token, or int32[sequences, tokens, words]."""
        start = time.perf_counter()
        expected = expect_sequences(self.chain, self.layout, self.hardware, words)
        self._took("simulator", start)
        limit = cycle_limit(expected, self.layout, self.core_name)
        start = time.perf_counter()
        clock = self._execute(self.core.binary(), words, limit, name)
        self._took("Verilator", start)
        record = read_record(self.folder / f"{name}.record", self.executable)
        comparison = compare(
            self.chain.programs,
            self.executable,
            expected,
            record,
            core=self.core_name,
            lanes=self.hardware.array.lanes,
        )
        wave = None if comparison.agrees else self._wave(words, expected, comparison, name)
        return LockstepResult(
            comparison=comparison, seconds=dict(self.seconds), clock_cycles=clock, wave=wave
        )

    def record(self, words: NDArray[np.int32], *, limit: int, name: str = "run") -> RTLRecord:
        """What the RTL makes of words: int32[steps, words], by itself. ToolError if a step takes `limit` cycles."""
        self._execute(self.core.binary(), words, limit, name)
        return read_record(self.folder / f"{name}.record", self.executable)

    def _wave(
        self, words: NDArray[np.int32], expected: Expected, comparison: LockstepComparison, name: str
    ) -> Path | None:
        """A waveform around the first difference whose cycle is known."""
        cycles = [d.cycle for d in comparison.differences if d.cycle >= 0]
        middle = min(cycles, default=0)
        wave = self.folder / f"{name}.vcd"
        window = [
            f"+wave={wave.name}",
            f"+from={max(0, middle - WAVE_CYCLES)}",
            f"+to={middle + WAVE_CYCLES}",
        ]
        limit = cycle_limit(expected, self.layout, self.core_name)
        self._execute(self.core.binary(trace=True), words, limit, f"{name}_wave", window)
        return wave

    def _execute(
        self,
        binary: Path,
        words: NDArray[np.int32],
        limit: int,
        name: str,
        extra: Sequence[str] = (),
    ) -> int:
        """Runs the tokens; returns the clock cycles of the whole simulation."""
        # By name, within the folder: Verilog takes no more than 128 characters of a path.
        source, settings, record = f"{name}.input", f"{name}.run", f"{name}.record"
        write_raw(self.folder / source, np.asarray(words, np.int32))
        length = words.shape[-2]
        write_run(
            self.folder / settings,
            self.chain,
            self.layout,
            self.executable,
            steps=words.size // words.shape[-1],
            limit=limit,
            length=length,
        )
        arguments = [f"+run={settings}", f"+input={source}", f"+record={record}", *extra]
        arguments += [f"+{image}={file}" for image, file in self.images.items()]
        if self.core.coverage:
            arguments.append(f"+coverage={name}.dat")
        try:
            done = run_leashed(
                [binary.resolve(), *arguments],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise ToolError(f"the simulation {binary} must be executable: {error.strerror}") from None
        if done.returncode:
            raise ToolError(
                f"the simulation of the RTL stopped: {(done.stderr or done.stdout).strip()[-500:]}"
            )
        return int(done.stdout.split()[-1])
