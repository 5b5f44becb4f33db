"""`Compiled`: the folder that a mapping is, and all that simulators, hardware and back ends are given.

`compiled.json` has the order of the programs, the links between their ports, how the host turns items into words, the
model and where everything comes from; `programs/` has the programs and the host's table. Nothing but json and
safetensors is read, and everything is verified before it is used.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikesim.errors import CapacityError, CheckpointError
from spikesim.hardware import HardwareConfig
from spikesim.program.chain import Chain, End, Link
from spikesim.program.file import load_program, load_text, read_model
from spikesim.program.instructions import Frozen, Name
from spikesim.program.ports import Port
from spikesim.program.program import Program, ProgramText
from spikesim.program.verifier.chain import verify_links
from spikesim.results.report import ModelSummary
from spikesim.support.array_files import write_safetensors
from spikesim.support.files import write_text_atomic
from spikesim.support.json_file import read_json
from spikesim.support.reading import reading
from spikesim.support.shown import shown
from spikesim.support.tensor_file import open_tensors

COMPILED_FILE = "compiled.json"
PROGRAM_FOLDER = "programs"
HOST_FILE = "host.safetensors"

SCHEMA_VERSION = 3
"""1 had no links and no ports: what went where followed from names. 2 did not say how text becomes tokens."""

_TABLE = "table"
_WRITTEN = "what spikesim map wrote"


class Block(Frozen):
    """What a program is to a reader of reports; nothing depends on it. `layer`: its number, None for no layer."""

    program: Name
    kind: str
    layer: int | None = Field(default=None, ge=0)


class Embedding(Frozen):
    """A host that looks a row of words up for every item, and reads a score for every item from the result."""

    kind: Literal["embedding"] = "embedding"
    items: int = Field(ge=1)


class Samples(Frozen):
    """A host that turns samples of numbers into words: every item is a step of one of the samples that ran.

    `shape`: of the numbers of a step; `axes`: the order of its axes in which the words come, as `numpy.transpose` takes
    them; `steps`: items of a sample.
    """

    kind: Literal["samples"] = "samples"
    items: int = Field(ge=1)
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    steps: int = Field(ge=1)

    def words(self, numbers: NDArray[np.float32], port: Port) -> NDArray[np.int32]:
        """float32[items, *shape] -> int32[items, words] as the port takes them, rounded half to even, saturated."""
        turned = numbers.transpose(0, *(axis + 1 for axis in self.axes)).reshape(numbers.shape[0], -1)
        exact = _rounded(turned, port)
        return np.clip(exact, -port.format.limit, port.format.limit).astype(np.int32)

    def beyond(self, numbers: NDArray[np.float32], port: Port) -> int:
        """How many of the numbers saturate."""
        return int(np.count_nonzero(np.abs(_rounded(numbers, port)) > port.format.limit))


def _rounded(numbers: NDArray[np.float32], port: Port) -> NDArray[np.float64]:
    """Numbers in units of a port's words."""
    return np.rint(numbers.astype(np.float64) * 2.0**port.format.fraction)


Host = Annotated[Embedding | Samples, Field(discriminator="kind")]


class Provenance(Frozen):
    """Who made a mapping, and from what."""

    spikesim: str
    source: str
    command: str = ""


class TextRule(Frozen):
    """How a text becomes items, so that a mapping reads it as its model did; and, as a record, what was read.

    `reads`: by the tokenizer in the folder of programs, whose file has `tokenizer_sha256`, or byte by byte.
    `special_tokens`: those of the tokenizer's post-processor once before and once after a text, never predicted.
    `sequence_length`: items of a sequence, unless others are asked for. `text`, `calibration`: names of files.
    """

    reads: Literal["bytes", "tokenizer", "nothing"]
    tokenizer_sha256: str | None = None
    special_tokens: Literal["once"] = "once"
    sequence_length: int = Field(ge=1)
    text: str = ""
    calibration: str = ""


class CompiledText(Frozen):
    """The content of `compiled.json`."""

    schema_version: Literal[3] = 3
    provenance: Provenance
    model: ModelSummary
    hardware: HardwareConfig
    programs: tuple[Name, ...]
    links: tuple[Link, ...]
    output: End
    blocks: tuple[Block, ...]
    host: Host
    reading: TextRule


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A mapping in `folder`. Programs are read one by one, so that a large model is never in memory as a whole."""

    folder: Path
    text: CompiledText
    texts: tuple[ProgramText, ...]

    @property
    def programs_folder(self) -> Path:
        """Where programs and the host's table are."""
        return self.folder / PROGRAM_FOLDER

    @property
    def takes_samples(self) -> bool:
        """Whether it is of a network that runs samples of numbers, not of a language model."""
        return isinstance(self.text.host, Samples)

    def program(self, name: str) -> Program:
        """One program, read and verified. Raises ProgramError or CheckpointError if it is not as it was written."""
        program = load_program(self.programs_folder, name)
        known = self._of(name)
        if (program.text.inputs, program.text.outputs) != (known.inputs, known.outputs):
            raise CheckpointError(f"program {name} in {self.folder} must stay as it is while it is used")
        return program

    def programs(self) -> Iterator[Program]:
        """All programs in order, one at a time."""
        return map(self.program, self.text.programs)

    def chain(self) -> Chain:
        """All programs at once."""
        return Chain(programs=tuple(self.programs()), links=self.text.links, output=self.text.output)

    def table(self) -> NDArray[Any]:
        """The host's rows of words, read anew: int16 or int32[items, words]. CheckpointError for anything else."""
        path = self.programs_folder / HOST_FILE
        port = self.entry
        shape = [self.text.host.items, port.words]
        what = "the table that spikesim map wrote"
        with open_tensors(path, "numpy", what, CheckpointError) as file, reading(path, what, CheckpointError):
            table: NDArray[Any] = file.get_tensor(_TABLE)
        if table.dtype not in (np.int16, np.int32) or list(table.shape) != shape:
            raise CheckpointError(
                f"{path} must be int16 or int32{shape}, not {table.dtype}{list(table.shape)}"
            )
        return table

    @cached_property
    def entry(self) -> Port:
        """The port at which what comes in from outside enters; CheckpointError if there is none."""
        for link in self.text.links:
            if link.source is None:
                return _named(link.to.port, self._of(link.to.program).inputs)
        raise CheckpointError(f"{self.folder} must have a program that takes the input")

    @property
    def result(self) -> Port:
        """The port at which a step's result leaves."""
        return _named(self.text.output.port, self._of(self.text.output.program).outputs)

    def words(self, items: NDArray[np.int64]) -> NDArray[np.int32]:
        """items[...] -> int32[..., words], what comes in."""
        return self.table()[items].astype(np.int32)

    def check_steps(self, steps: int) -> None:
        """Raises CapacityError for sequences that are longer than the programs were compiled for."""
        longest = min((t.requires.steps for t in self.texts if t.requires.steps is not None), default=steps)
        if steps > longest:
            raise CapacityError(
                f"sequences must be at most {longest} tokens, for which the programs were compiled, not {steps}; "
                f"map the model with --context {steps}"
            )

    def block(self, program: str) -> Block:
        """What a program is to a reader."""
        return next(block for block in self.text.blocks if block.program == program)

    def _of(self, program: str) -> ProgramText:
        """The text of a program."""
        return self.texts[self.text.programs.index(program)]


def _named(name: str, ports: Sequence[Port]) -> Port:
    return next(port for port in ports if port.name == name)


def write_compiled(folder: Path, text: CompiledText) -> None:
    """Writes `compiled.json`, the last file of a mapping."""
    write_text_atomic(folder / COMPILED_FILE, text.model_dump_json(indent=1) + "\n")


def write_table(folder: Path, table: NDArray[Any]) -> None:
    """Writes the host's table, int16 or int32[items, words], into the folder of programs, which exists."""
    write_safetensors(folder / HOST_FILE, {_TABLE: table})


def open_compiled(folder: Path) -> Compiled:
    """Reads what is text of a mapping, and verifies the links.

    Raises CheckpointError for a folder that `spikesim map` did not write, or an earlier version of it, and ProgramError
    for links that do not fit.
    """
    path = folder / COMPILED_FILE
    if not path.exists():
        _check_version(folder, _earlier(folder))
        raise CheckpointError(f"{folder} must be a folder that spikesim map wrote: no {COMPILED_FILE}")
    _check_version(folder, read_json(path, _WRITTEN, CheckpointError))
    text = read_model(CompiledText, path, _WRITTEN)
    texts = tuple(load_text(folder / PROGRAM_FOLDER, name) for name in text.programs)
    verify_links(texts, text.links, text.output)
    for program in text.programs:
        if sum(block.program == program for block in text.blocks) != 1:
            raise CheckpointError(f"blocks of {folder / COMPILED_FILE} must have one for program {program}")
    return Compiled(folder=folder, text=text, texts=texts)


def is_compiled(folder: Path) -> bool:
    """Whether a folder is a mapping, of whatever version."""
    return (folder / COMPILED_FILE).exists() or bool(_earlier(folder))


def _check_version(folder: Path, content: Any) -> None:
    """Raises CheckpointError for a mapping of another version, with the command that makes a new one."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version is None or version == SCHEMA_VERSION:
        return
    model = content.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    name = shlex.quote(path) if isinstance(path, str) and path.isprintable() else "MODEL"
    raise CheckpointError(
        f"{folder} must be a mapping of schema version {SCHEMA_VERSION}, not {shown(version)}; make it anew: "
        f"spikesim map {name} -o {shlex.quote(str(folder))} --force"
    )


def _earlier(folder: Path) -> dict[str, Any]:
    """What a mapping of version 1 says of itself; empty if the folder is none."""
    try:
        content = read_json(folder / "mapping.json", "what an earlier version wrote", CheckpointError)
    except CheckpointError:
        return {}
    is_one = isinstance(content, dict) and "stream_fraction" in content and (folder / PROGRAM_FOLDER).is_dir()
    return {**content, "schema_version": 1} if is_one else {}
