"""Laying out a chain of programs on one core with everything resident: what the RTL is given.

Vector memory, from word 0: what passes from program to program, constants, what persists from step to step (decay
factors, block sums, persistent vectors), scratch, and the vectors of the running program, which all programs share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from spikesim.hardware import KIB, STATE_BYTES, HardwareConfig
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
from spikesim.program.sizes import CacheShape, matrix_rows, state_rows
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


Allocator = Callable[[int, Program, Collection[str]], Allocation[str]]
"""(number of the program, the program, vectors that have their place elsewhere) -> where its own vectors lie."""


def _allocate(_number: int, program: Program, pinned: Collection[str]) -> Allocation[str]:
    return allocate(program, pinned)


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


def lay_out(chain: Chain, hardware: HardwareConfig, allocator: Allocator = _allocate) -> CoreLayout:
    """`link` by sizes alone: of constants and matrices only shapes are read. `allocator`: `allocate`, or one that
    remembers what it was asked before, by the number of the program.
    """
    return _Linker(hardware, allocator).link(chain)


def passing(chain: Chain) -> Allocation[End | None]:
    """Where the words lie that pass from program to program: each from its program to the last one that takes it.

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
    words = {source: chain.input_words if source is None else chain.port(source).words for source in spans}
    alone = first_fit(spans, words)
    result = chain.output
    together = first_fit({**spans, result: span(result, end)}, {**words, result: chain.output_words})
    return together if result in spans or together.words == alone.words else alone


def needed_memory(layout: CoreLayout, hardware: HardwareConfig, program_words: int) -> dict[str, int]:
    """Memory settings that one core needs to hold a whole layout and its program, and the hardware lacks, by name."""
    ways, lanes, memory = hardware.array.ways, hardware.array.lanes, hardware.memory
    wanted = {
        "memory.row_kib": (memory.row_kib, ceil_div(layout.row_words * ways * lanes, KIB)),
        "memory.state_kib": (
            memory.state_kib,
            ceil_div(layout.state_words * ways * lanes * STATE_BYTES, KIB),
        ),
        "memory.vector_words": (memory.vector_words, layout.vector_words),
        "memory.program_words": (memory.program_words, program_words),
    }
    return {name: least for name, (have, least) in wanted.items() if least > have}


class _Linker:
    def __init__(self, hardware: HardwareConfig, allocator: Allocator) -> None:
        self.allocator = allocator
        self.ways, self.lanes = hardware.array.ways, hardware.array.lanes
        self.vector, self.row, self.state = _Counter(), _Counter(), _Counter()
        self.encoder_rows = self.scatter_rows = 1
        self.blocks = 1
        self.literals: dict[int, int] = {}

    def link(self, chain: Chain) -> CoreLayout:
        programs = chain.programs
        places = passing(chain)
        base = self.vector.take(places.words)
        passed = [_passed(chain, program, places.addresses, base) for program in programs]
        full_factor, clear_shift = self._literal(FULL_FACTOR), self._literal(CLEAR_SHIFT)
        constants = [
            {name: self.vector.take(words.size) for name, words in sorted(program.constants.items())}
            for program in programs
        ]
        caches = [
            {name: self._cache(spec, _scale(program, name)) for name, spec in program.text.caches.items()}
            for program in programs
        ]
        states = [
            {name: self._state(spec) for name, spec in program.text.states.items()} for program in programs
        ]
        for program, here in zip(programs, passed, strict=True):
            here |= {
                name: self.vector.take(program.text.vectors[name])
                for name in program.text.persistent
                if name not in here
            }
        groups = [i.dst.groups for p in programs for i in p.instructions() if isinstance(i, Decay)]
        scratch = self.vector.take(max(groups, default=1))
        shared, words = self.vector.used, 0
        layouts = []
        for number, program in enumerate(programs):
            allocation = self.allocator(number, program, passed[number])
            own = {name: shared + address for name, address in allocation.addresses.items()}
            words = max(words, allocation.words)
            layouts.append(
                ProgramLayout(
                    vectors={**passed[number], **constants[number], **own},
                    matrices={name: self._matrix(*m.shape) for name, m in sorted(program.matrices.items())},
                    caches=caches[number],
                    states=states[number],
                    own_words=allocation.words,
                )
            )
            for instruction in program.instructions():
                self._measure(program, instruction)
        return CoreLayout(
            programs=tuple(layouts),
            input=base + places.addresses.get(None, 0),
            output=layouts[chain.numbers[chain.output.program]].vectors[chain.output.port],
            scratch=scratch,
            full_factor=full_factor,
            clear_shift=clear_shift,
            literals=self.literals,
            vector_words=shared + words,
            row_words=self.row.used,
            state_words=self.state.used,
            encoder_rows=self.encoder_rows,
            scatter_rows=self.scatter_rows,
            blocks=self.blocks,
        )

    def _literal(self, word: int) -> int:
        address = self.vector.take(1)
        self.literals[address] = word
        return address

    def _matrix(self, outputs: int, channels: int) -> OperandLayout:
        used = matrix_rows(outputs, channels, ways=self.ways, lanes=self.lanes)
        return OperandLayout(base=self.row.take(used), chunk_stride=ceil_div(channels, self.ways))

    def _cache(self, spec: CacheSpec, scale: int) -> CacheLayout:
        shape = CacheShape.of(spec, ways=self.ways, lanes=self.lanes)
        rows, tokens = shape.feature_rows, shape.token_rows
        keys = self._heads(spec.heads, rows, shape.blocks * shape.token_chunks, shape.token_chunks * rows)
        values = self._heads(spec.heads, shape.blocks * tokens, shape.feature_chunks, tokens)
        if not spec.block:
            return CacheLayout(keys=keys, values=values)
        means = self._heads(spec.heads, rows, shape.mean_chunks, 0)
        sums = self.vector.take(spec.heads * spec.size)
        return CacheLayout(keys=keys, values=values, means=means, sums=sums, scale=self._literal(scale))

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
                base=self.state.take(state_rows(spec, ways=self.ways, lanes=self.lanes)),
                head_stride=per_head,
                chunk_stride=rows,
            ),
            rows=per_head,
            copy_stride=spec.heads * per_head,
            factors=self.vector.take(spec.copies * spec.heads),
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
