"""Laying out a chain of programs on one core with everything resident: what the RTL is given.

With several cores, a layout is the fullest core's share of everything: sizes, and where its words lie.

Vector memory, from word 0: what passes from program to program, constants, what persists from step to step (decay
factors, block sums, persistent vectors), scratch, and the vectors of the running program, which all programs share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from spikesim.hardware import HardwareConfig
from spikesim.mapping.allocate import Allocation, allocate, first_fit
from spikesim.program import CacheSpec, Chain, Decay, End, Gather, Pool, Program, Scatter, StateSpec
from spikesim.program.accumulators import check_accumulators
from spikesim.program.layout import (
    CacheLayout,
    CoreLayout,
    OperandLayout,
    ProgramLayout,
    StateLayout,
    block_bits,
)
from spikesim.program.scalar import FULL_FACTOR
from spikesim.program.shares import cache_heads, vector_shares
from spikesim.program.sizes import CacheShape, chain_words, matrix_rows, state_rows
from spikesim.program.verifier import verify_chain
from spikesim.support.arithmetic import ceil_div

CLEAR_SHIFT = 31
"""A right shift that leaves nothing of a state's 16-bit words."""


class _Counter:
    """The next free word of a memory."""

    def __init__(self) -> None:
        self.used = 0

    def take(self, words: int) -> int:
        """First of `words` fresh words."""
        first = self.used
        self.used += words
        return first


class Allocator(Protocol):
    """How the linker asks for what it may be asked again; programs by their number in the chain."""

    def shares(self, number: int, program: Program) -> Mapping[str, int]:
        """Words of every vector on the core."""

    def places(self, number: int, program: Program, pinned: Collection[str]) -> Allocation[str]:
        """Where its own vectors lie; those that are `pinned` have their place elsewhere."""


class Allocating:
    """Asks anew every time."""

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware

    def shares(self, number: int, program: Program) -> Mapping[str, int]:
        """Words of every vector on the core."""
        return vector_shares(program.text, cores=self.hardware.system.cores, lanes=self.hardware.array.lanes)

    def places(self, number: int, program: Program, pinned: Collection[str]) -> Allocation[str]:
        """By liveness."""
        return allocate(program, pinned, self.shares(number, program))


def link(chain: Chain, hardware: HardwareConfig) -> CoreLayout:
    """The layout of programs that run one after the other in every step.

    Constants and matrices lie in the order of their names, so that a program that was saved and loaded has the same
    layout.

    Raises ProgramError for programs that are unsound or do not fit one behind the other, and CapacityError for sums
    that may not fit the hardware's accumulators.
    """
    verify_chain(chain)
    check_accumulators(chain.programs, hardware)
    return lay_out(chain, hardware)


def lay_out(chain: Chain, hardware: HardwareConfig, allocator: Allocator | None = None) -> CoreLayout:
    """`link` by sizes alone: of constants and matrices only shapes are read. `allocator`: one that remembers."""
    return _Linker(hardware, allocator or Allocating(hardware)).link(chain)


def passing(chain: Chain, shares: Sequence[Mapping[str, int]]) -> Allocation[End | None]:
    """Where the words lie that pass from program to program: each from its program to the last one that takes it.

    `shares`: of every program, the words of its vectors on the core.

    What comes in from outside is there from the start, and a persistent vector always. The result joins them if that
    takes no more words; else it is one of its program's own vectors.
    """
    end = len(chain.programs)

    def span(source: End | None, last: int) -> tuple[int, int]:
        if source is None:
            return -1, last
        number = chain.numbers[source.program]
        return (-1, end) if source.port in chain.programs[number].text.persistent else (number, last)

    spans = {source: span(source, last) for source, last in chain.last_uses.items()}
    words = {source: _words(chain, shares, source) for source in spans}
    alone = first_fit(spans, words)
    result = chain.output
    together = first_fit(
        {**spans, result: span(result, end)}, {**words, result: _words(chain, shares, result)}
    )
    return together if result in spans or together.words == alone.words else alone


def _words(chain: Chain, shares: Sequence[Mapping[str, int]], source: End | None) -> int:
    """Words on the core of what leaves at a port, or comes in from outside: all that its users need."""
    users = [end for end, taken in chain.sources.items() if taken == source]
    return max(
        shares[chain.numbers[end.program]][end.port]
        for end in (*users, *([] if source is None else [source]))
    )


class _Linker:
    def __init__(self, hardware: HardwareConfig, allocator: Allocator) -> None:
        self.allocator = allocator
        self.cores = hardware.system.cores
        self.ways, self.lanes = hardware.array.ways, hardware.array.lanes
        self.vector, self.row, self.state = _Counter(), _Counter(), _Counter()
        self.encoder_rows = self.scatter_rows = 1
        self.blocks = 1
        self.literals: dict[int, int] = {}

    def link(self, chain: Chain) -> CoreLayout:
        programs = chain.programs
        shares = [self.allocator.shares(number, program) for number, program in enumerate(programs)]
        places = passing(chain, shares)
        base = self.vector.take(places.words)
        passed = [_passed(chain, program, places.addresses, base) for program in programs]
        full_factor, clear_shift = self._literal(FULL_FACTOR), self._literal(CLEAR_SHIFT)
        constants = [
            {name: self.vector.take(own[name]) for name in sorted(program.constants)}
            for program, own in zip(programs, shares, strict=True)
        ]
        caches = [
            {name: self._cache(program, name, spec) for name, spec in program.text.caches.items()}
            for program in programs
        ]
        states = [
            {name: self._state(spec) for name, spec in program.text.states.items()} for program in programs
        ]
        for program, here, own in zip(programs, passed, shares, strict=True):
            here |= {
                name: self.vector.take(own[name]) for name in program.text.persistent if name not in here
            }
        groups = [
            ceil_div(i.dst.groups, self.cores)
            for p in programs
            for i in p.instructions()
            if isinstance(i, Decay)
        ]
        scratch = self.vector.take(max(groups, default=1))
        shared, words = self.vector.used, 0
        layouts = []
        for number, program in enumerate(programs):
            allocation = self.allocator.places(number, program, passed[number])
            placed = {name: shared + address for name, address in allocation.addresses.items()}
            words = max(words, allocation.words)
            layouts.append(
                ProgramLayout(
                    vectors={**passed[number], **constants[number], **placed},
                    matrices={name: self._matrix(*m.shape) for name, m in sorted(program.matrices.items())},
                    caches=caches[number],
                    states=states[number],
                    own_words=allocation.words,
                )
            )
            for instruction in program.instructions():
                self._measure(program, instruction)
        requirements = [program.text.requires for program in programs]
        return CoreLayout(
            programs=tuple(layouts),
            input=base + places.addresses.get(None, 0),
            output=layouts[chain.numbers[chain.output.program]].vectors[chain.output.port],
            scratch=scratch,
            full_factor=full_factor,
            clear_shift=clear_shift,
            literals=self.literals,
            vector_words=shared + words,
            program_words=chain_words(program.text for program in programs),
            row_words=self.row.used,
            state_words=self.state.used,
            encoder_rows=self.encoder_rows,
            scatter_rows=self.scatter_rows,
            blocks=self.blocks,
            context=min((own.steps for own in requirements if own.steps is not None), default=None),
        )

    def _literal(self, word: int) -> int:
        address = self.vector.take(1)
        self.literals[address] = word
        return address

    def _matrix(self, outputs: int, channels: int) -> OperandLayout:
        used = matrix_rows(outputs, channels, ways=self.ways, lanes=self.lanes, cores=self.cores)
        return OperandLayout(base=self.row.take(used), chunk_stride=ceil_div(channels, self.ways))

    def _cache(self, program: Program, name: str, spec: CacheSpec) -> CacheLayout:
        held, _ = cache_heads(program.text, name, self.cores)
        shape = CacheShape.of(spec, ways=self.ways, lanes=self.lanes)
        rows, tokens = shape.feature_rows, shape.token_rows
        keys = self._heads(held, rows, shape.blocks * shape.token_chunks, shape.token_chunks * rows)
        values = self._heads(held, shape.blocks * tokens, shape.feature_chunks, tokens)
        if not spec.block:
            return CacheLayout(keys=keys, values=values)
        means = self._heads(held, rows, shape.mean_chunks, 0)
        sums = self.vector.take(held * spec.size)
        scale = self._literal(_scale(program, name))
        return CacheLayout(keys=keys, values=values, means=means, sums=sums, scale=scale)

    def _heads(self, heads: int, rows: int, chunks: int, block_stride: int) -> OperandLayout:
        return OperandLayout(
            base=self.row.take(heads * chunks * rows),
            head_stride=chunks * rows,
            chunk_stride=rows,
            block_stride=block_stride,
        )

    def _state(self, spec: StateSpec) -> StateLayout:
        rows = ceil_div(spec.size, self.ways)
        per_head = rows * ceil_div(spec.size, self.lanes)
        return StateLayout(
            operand=OperandLayout(
                base=self.state.take(state_rows(spec, ways=self.ways, lanes=self.lanes, cores=self.cores)),
                head_stride=per_head,
                chunk_stride=rows,
            ),
            rows=per_head,
            copy_stride=spec.heads * per_head,
            factors=self.vector.take(spec.copies * ceil_div(spec.heads, self.cores)),
        )

    def _measure(self, program: Program, instruction: object) -> None:
        """What the event encoder must hold for this instruction."""
        if isinstance(instruction, Scatter):
            self.scatter_rows = max(self.scatter_rows, ceil_div(instruction.counts.length, self.ways))
        if not isinstance(instruction, Gather):
            return
        keys = instruction.keys
        if instruction.operand != "values" or keys is None:
            rows = ceil_div(instruction.counts.length, self.ways)
        elif keys.selected is not None:
            rows = (keys.selected.length + 1) << block_bits(keys.span, self.ways)
        else:
            rows = ceil_div(keys.span or program.text.caches[instruction.name].tokens, self.ways)
        self.encoder_rows = max(self.encoder_rows, rows)
        if keys is not None and keys.selected is not None:
            self.blocks = max(self.blocks, keys.selected.length + 1)


def _scale(program: Program, cache: str) -> int:
    """The factor that turns the sum of a block of keys into their mean."""
    return next((i.scale for i in program.instructions() if isinstance(i, Pool) and i.cache == cache), 0)


def _passed(chain: Chain, program: Program, addresses: Mapping[End | None, int], base: int) -> dict[str, int]:
    """The places of a program's vectors that other programs share with it: what it takes, and what it gives."""
    text, here = program.text, dict[str, int]()
    for name in text.input_names:
        here[name] = base + addresses[chain.sources[End(program=text.name, port=name)]]
    for name in text.output_names:
        end = End(program=text.name, port=name)
        if end in addresses:
            here[name] = base + addresses[end]
    return here
