"""`Work`: what the netlists are given to do, and what the simulator says must come out.

The gate-level simulation runs 64 streams of tokens side by side. They are pieces of the tokens that the model was
mapped with; every stream starts with empty caches and states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.settings import STREAMS
from spikesim.cores import CORES, CoreName
from spikesim.golden.frame import Frame
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.program import Chain, Instruction, Program, is_matrix
from spikesim.program.compiled import open_compiled
from spikesim.program.layout import CoreLayout
from spikesim.program.trace import Place
from spikesim.rtl.assemble import Executable, assemble
from spikesim.run.observers import InstructionCost
from spikesim.run.saved_tokens import mapped_tokens, ranges_from, words_of
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator, step_cycles
from spikesim.run.tokens import InputRequest, Tokens
from spikesim.support.arithmetic import ceil_div
from spikesim.verify.lockstep import enlarged, one_core


@dataclass(frozen=True, kw_only=True)
class GatherWork:
    """A gather of a weight matrix: `counts` int8[streams, channels] · `matrix` int8[outputs, channels]."""

    name: str
    matrix: NDArray[np.int8]
    counts: NDArray[np.int8]

    @property
    def sums(self) -> NDArray[np.int64]:
        """int64[streams, outputs]."""
        product: NDArray[np.int64] = self.counts.astype(np.int64) @ self.matrix.astype(np.int64).T
        return product


def array_cycles(
    gathers: Sequence[GatherWork], lanes: int, of_counts: Callable[[NDArray[np.int8]], NDArray[np.int64]]
) -> int:
    """Cycles in which the array takes operands, all streams and chunks; `of_counts`: those of a chunk per stream."""
    return sum(
        int(np.maximum(of_counts(gather.counts), 1).sum()) * ceil_div(gather.matrix.shape[0], lanes)
        for gather in gathers
    )


@dataclass(frozen=True, kw_only=True)
class Work:
    """Programs and where they lie; `words` int32[tokens, streams, hidden] in, `outputs` int32[tokens, streams, …] out.

    * `cycles`: per core int64[tokens, streams], of whole tokens.
    * `by_kind`: of all these tokens, per kind of instruction.
    * `gathers`: the matrix gathers of the last token.
    * `tokens`: all that ran; `ranges`: int64[sequences, length], those that set the ranges of activations.
    """

    chain: Chain
    hardware: HardwareConfig
    notes: tuple[str, ...]
    layout: CoreLayout
    executable: Executable
    words: NDArray[np.int32]
    outputs: NDArray[np.int32]
    cycles: dict[CoreName, NDArray[np.int64]]
    by_kind: dict[str, InstructionCost]
    gathers: list[GatherWork]
    tokens: Tokens
    ranges: NDArray[np.int64]


class GatherRecorder:
    """Keeps the last token's counts of every gather of a matrix, in `gathers`, by instruction and group."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.gathers: dict[tuple[int, int], GatherWork] = {}

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        """Keep the counts of every group; a matrix may be gathered by several instructions."""
        if not is_matrix(instruction):
            return
        counts = frame.view(instruction.counts)[-STREAMS:].astype(np.int8)
        for group in range(counts.shape[1]):
            self.gathers[place.number, group] = GatherWork(
                name=f"{place.program} {instruction.name}",
                matrix=np.asarray(self.program.matrices[instruction.name]),
                counts=np.ascontiguousarray(counts[:, group]),
            )


def prepare(folder: Path, hardware: HardwareConfig, request: InputRequest, *, tokens: int) -> Work:
    """The work of a model that `map_model` wrote into `folder`, on one core that holds all of it.

    `request`: what runs; nothing named is what the mapping was made with.
    """
    compiled = open_compiled(folder)
    chain = compiled.chain()
    single = one_core(hardware.model_copy(update={"numerics": compiled.text.hardware.numerics}))
    sized, notes = enlarged(chain, single)
    run = mapped_tokens(compiled, request)
    words = words_of(compiled, run, _pieces(run, tokens))
    recorders = [GatherRecorder(program) for program in chain.programs]
    simulators = [
        Simulator(program, sized, STREAMS, detail=True, observers=[recorder])
        for program, recorder in zip(chain.programs, recorders, strict=True)
    ]
    outputs = run_chain(chain, simulators, words)
    layout = link(chain, sized)
    by_kind: dict[str, InstructionCost] = {}
    for simulator in simulators:
        for entry in simulator.cycles:
            kind = by_kind.setdefault(entry.label, InstructionCost(label=entry.label))
            kind.add(entry.cycles, entry.counters)
    return Work(
        chain=chain,
        hardware=sized,
        notes=notes,
        layout=layout,
        executable=assemble(chain, layout, ways=sized.array.ways, words=sized.pointwise.words),
        words=words,
        outputs=outputs,
        cycles={core: step_cycles(simulators, core).reshape(tokens, STREAMS) for core in CORES},
        by_kind=by_kind,
        gathers=[gather for recorder in recorders for gather in recorder.gathers.values()],
        tokens=run,
        ranges=ranges_from(compiled),
    )


def _pieces(run: Tokens, tokens: int) -> NDArray[np.int64]:
    """int64[tokens, streams]: STREAMS pieces of `tokens` ids, spread over all (overlapping if there are few).

    None reaches over the end of a sequence that was given as such.
    """
    rows = run.ids if run.origin.is_rows else run.ids.reshape(1, -1)
    length = rows.shape[1]
    starts = max(length - tokens, 0) + 1  # places in a row where a piece can begin
    row, start = np.divmod(np.linspace(0, len(rows) * starts - 1, STREAMS).astype(np.int64), starts)
    pieces: NDArray[np.int64] = rows[row, np.minimum(start + np.arange(tokens)[:, None], length - 1)]
    return pieces
