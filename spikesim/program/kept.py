"""Which gathers find their counts in the event encoders: the gather before had the same, and nothing wrote them since.

A rule of the program alone: the assembler puts it into the hardware instruction, and the cycle model charges by it.
"""

from __future__ import annotations

from spikesim.program.instructions import Gather, Scatter, View, is_matrix
from spikesim.program.program import Program


def kept_counts(program: Program) -> frozenset[int]:
    """Numbers of the gathers that need not load: of a matrix, with the counts of a gather of a matrix before.

    Between the two no gather has loaded others, and nothing has written one of these words, as nothing does in a sound
    program: a word has one writer, which comes before its readers. Scatters have lists of their
    own only in some cores, and gathers of caches and states load a run per head, or only if there are keys: all of
    them end what is held. A step begins with nothing held.
    """
    kept = set[int]()
    held: View | None = None
    for number, instruction in enumerate(program.instructions()):
        if is_matrix(instruction) and instruction.counts.groups == 1:
            if held is not None and _words(instruction.counts) == _words(held):
                kept.add(number)
            held = instruction.counts
        elif isinstance(instruction, Gather | Scatter):
            held = None
        if held is not None and any(_meet(held, view) for view in instruction.writes()):
            held = None
    return frozenset(kept)


def _words(view: View) -> tuple[str, int, int]:
    """Vector, first word and the one behind the last, gaps between runs included."""
    return view.name, view.offset, view.offset + (view.groups - 1) * view.stride + view.length


def _meet(a: View, b: View) -> bool:
    """Whether two views may have a word in common."""
    (one, first, end), (other, begin, stop) = _words(a), _words(b)
    return one == other and first < stop and begin < end
