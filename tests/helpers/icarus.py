"""An emitted core in Icarus Verilog, a simulator with four states, that starts from X in every register and memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.places import CHECKOUT

from spikesim.mapping.link import link
from spikesim.program.layout import CoreLayout
from spikesim.rtl.assemble import Executable, assemble
from spikesim.rtl.host.registers import COUNTER_NAMES, OFFSETS
from spikesim.rtl.images import program_image, row_images, vector_image
from spikesim.verify.job import Job

needs_iverilog = pytest.mark.skipif(
    shutil.which("iverilog") is None and not os.environ.get("CI"),
    reason="Icarus Verilog is not installed (on Debian: apt-get install iverilog)",
)
"""Skips on a machine without it; under CI, which installs it, the test runs and fails instead."""

BENCH = CHECKOUT / "tests" / "benches" / "four_state.v"

END, WRITE, WAIT, SEND, RECEIVE, READ = range(6)
"""Instructions of the bench's script."""
BUSY, STREAMING = 1, 4
"""Bits of STATUS."""
VECTOR, ROW, PROGRAM = range(3)
"""TARGETs of a transfer."""


def from_x(text: str) -> str:
    """The Verilog of a core without initial values of registers and memories: all are X until they are written.

    A memory says when a word is read of which something is X.
    """
    text, registers = re.subn(r"(?m)^(  (?:output )?reg [^=;\n]*?) = [^;\n]*;$", r"\1;", text)
    assert registers > 50, f"{registers} registers had an initial value"
    assert not re.search(r"(?m)^  (output )?reg .*=", text)
    text, memories = re.subn(r"words\[word\] = \{WIDTH\{1'b0\}\};", "words[word] = {WIDTH{1'bx}};", text)
    assert memories == 1, f"{memories} places start memories from 0"
    text, reads = re.subn(r"( +)if \(read_enable\[port\]\)\n", _TOLD, text)
    assert reads == 1, f"{reads} places read memories"
    return text


_TOLD = r"""\1if (read_enable[port]) begin
\1    if (^words[read_address[port*ADDRESS +: ADDRESS]] === 1'bx && !four_state.rst)
\1        $display("unwritten: word %0d of %m", read_address[port*ADDRESS +: ADDRESS]);
\1end
        for (port = 0; port < READS; port = port + 1)
\1if (read_enable[port])
"""
"""In a loop of its own before that of the read itself."""


class Script:
    """What the host does, in the numbers of `four_state.v`."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def write(self, register: str, value: int) -> None:
        self.numbers += [WRITE, OFFSETS[register], value]

    def _transfer(self, target: int, address: int, words: int, direction: int) -> None:
        for register, value in (("TARGET", target), ("ADDRESS", address), ("LENGTH", words)):
            self.write(register, value)
        self.write("TRANSFER", direction)

    def send(self, target: int, address: int, words: np.ndarray) -> None:
        """words: uint32[n], to a memory from an address on."""
        self._transfer(target, address, len(words), 1)
        self.numbers += [SEND, len(words), *words.tolist(), WAIT, STREAMING]

    def receive(self, address: int, words: int) -> None:
        """Of vector memory."""
        self._transfer(VECTOR, address, words, 2)
        self.numbers += [RECEIVE, words, WAIT, STREAMING]

    def run(self, entry: int, control: int) -> None:
        self.write("ENTRY", entry)
        self.write("CONTROL", control)
        self.numbers += [WAIT, BUSY]

    def load(self, job: Job, layout: CoreLayout, executable: Executable) -> None:
        """The program, constants and matrices: what programs bring along, and no word beside it."""
        digits = "".join(program_image(executable))
        program = np.frombuffer(bytes.fromhex(digits), ">u4").reshape(-1, 16)[:, ::-1]
        self.send(PROGRAM, 0, program.reshape(-1))
        array, programs = job.hardware.array, job.programs
        words = vector_image(programs, layout)
        for first, count in _runs(_constants(job, layout)):
            self.send(VECTOR, first, words[first : first + count])
        rows = row_images(programs, layout, ways=array.ways, lanes=array.lanes)
        padded = np.zeros((*rows.shape[:2], -(-array.lanes // 4) * 4), np.int8)
        padded[..., : array.lanes] = rows
        for own in layout.programs:
            for name, matrix in own.matrices.items():
                height = _height(job, name, matrix, layout)
                self.send(ROW, matrix.base, _stream(padded[:, matrix.base : matrix.base + height]))


def _constants(job: Job, layout: CoreLayout) -> Iterator[int]:
    """Words of vector memory that hold a number from the start."""
    yield from layout.literals
    for program, own in zip(job.programs, layout.programs, strict=True):
        for name, constant in program.constants.items():
            yield from range(own.vectors[name], own.vectors[name] + constant.size)


def _runs(addresses: Iterator[int]) -> list[tuple[int, int]]:
    """First address and number of those that follow each other."""
    runs: list[tuple[int, int]] = []
    for address in sorted(set(addresses)):
        if runs and sum(runs[-1]) == address:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((address, 1))
    return runs


def _height(job: Job, name: str, operand: object, layout: CoreLayout) -> int:
    """Rows of a bank that a matrix takes."""
    array = job.hardware.array
    for program, own in zip(job.programs, layout.programs, strict=True):
        if own.matrices.get(name) is operand:
            outputs, channels = program.matrices[name].shape
            return -(-outputs // array.lanes) * -(-channels // array.ways)
    raise KeyError(name)


def _stream(rows: np.ndarray) -> np.ndarray:
    """rows: int8[ways, rows, bytes] -> uint32: row by row, bank by bank."""
    return np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(-1).view("<u4")


def script(job: Job) -> list[int]:
    """Load everything, clear, then every step's words in and out, at the end the counters."""
    layout = link(job.chain, job.hardware)
    executable = assemble(job.chain, layout, ways=job.hardware.array.ways, words=job.hardware.pointwise.words)
    host = Script()
    host.load(job, layout, executable)
    host.run(executable.clear_entry, 3)
    host.write("POSITION", 0)
    host.write("CLEAR", 1)
    for words in np.asarray(job.words, np.int32).view(np.uint32):
        host.send(VECTOR, layout.input, words)
        host.run(executable.token_entry, 1)
        host.receive(layout.output, job.chain.output_words)
    for name in COUNTER_NAMES:
        host.numbers += [READ, OFFSETS[f"{name.upper()}_LOW"], READ, OFFSETS[f"{name.upper()}_HIGH"]]
    return [*host.numbers, END]


def results(
    folder: Path, verilog_text: str, job: Job, *, cycles: int = 200_000
) -> tuple[np.ndarray, dict[str, int]]:
    """int32[steps, words] that come out, and the counters; AssertionError for an X, or for more `cycles`."""
    words = play(folder, verilog_text, script(job), cycles=cycles)
    counters = words[-2 * len(COUNTER_NAMES) :]
    outputs = np.asarray(words[: -len(counters)], np.uint32).view(np.int32)
    totals = [low + (high << 32) for low, high in zip(counters[::2], counters[1::2], strict=True)]
    return outputs.reshape(len(job.words), -1), dict(zip(COUNTER_NAMES, totals, strict=True))


def play(folder: Path, verilog_text: str, numbers: list[int], *, cycles: int) -> list[int]:
    """Words that the core gave while the script ran in `folder`; AssertionError as `results`."""
    (folder / "core.v").write_text(verilog_text, encoding="utf-8")
    (folder / "script.hex").write_text("".join(f"{number & 0xFFFFFFFF:x}\n" for number in numbers))
    trace = ["-DTRACE"] if "trace_done" in verilog_text else []
    command = ["iverilog", "-g2012", "-s", "four_state", "-o", "core.vvp", *trace, str(BENCH), "core.v"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(
        ["vvp", "-n", "core.vvp", "+script=script.hex", "+results=results", f"+cycles={cycles}"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("WARNING")]
    # Words of other memories may be read along; nothing is made of them.
    states = [line for line in lines if line.startswith("unwritten") and ".state_" in line]
    assert not states, states[0]
    assert "ended after" in "".join(lines[-1:]), "\n".join(lines)
    return [int(word, 16) for word in (folder / "results").read_text().split()]
