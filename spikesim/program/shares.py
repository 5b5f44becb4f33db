"""What one of several cores holds of a program's vectors and caches: the fullest core, as the cycle model deals work.

Columns of a matrix are dealt in chunks of `lanes`, words of a vector go with their columns; heads and other groups are
dealt in turn, head h to core h mod cores. What every core reads as a whole it holds as a whole: the counts of a matrix,
words that all groups share. A key/value head lies on every core that has a query head of it.
"""

from __future__ import annotations

from spikesim.program.instructions import Gather, Operation, View
from spikesim.program.program import ProgramText
from spikesim.support.arithmetic import ceil_div


def vector_shares(text: ProgramText, *, cores: int, lanes: int) -> dict[str, int]:
    """Words of every vector on the fullest core; with one core, all of them.

    Instructions may see a vector in several ways: as a whole, of which the largest share counts, and in parts, whose
    shares add up.
    """
    if cores == 1:
        return dict(text.vectors)
    parts: dict[str, dict[tuple[int, int], int]] = {}
    for section in text.sections:
        for instruction in section.instructions:
            alone = all(view.groups == 1 for _, view, _ in instruction.views())
            for field, view, _ in instruction.views():
                key = view.offset, _extent(view)
                share = _share(instruction, field, view, alone=alone, cores=cores, lanes=lanes)
                seen = parts.setdefault(view.name, {})
                seen[key] = max(seen.get(key, 0), share)
    return {name: _held(words, cores, parts.get(name)) for name, words in text.vectors.items()}


def cache_heads(text: ProgramText, cache: str, cores: int) -> tuple[int, int]:
    """Key/value heads of a cache on the fullest core, and on all cores together, copies included."""
    heads = text.caches[cache].heads
    if cores == 1:
        return heads, heads
    found = {
        (query % cores, query // i.sharing)
        for section in text.sections
        for i in section.instructions
        if isinstance(i, Gather) and i.store == cache
        for query in range(i.first_head, i.first_head + i.counts.groups)
    }
    if not found:  # nobody reads it: its heads are dealt like any others
        return ceil_div(heads, cores), heads
    per_core: dict[int, int] = {}
    for core, _ in found:
        per_core[core] = per_core.get(core, 0) + 1
    return max(per_core.values()), len(found)


def dealt_columns(columns: int, *, cores: int, lanes: int) -> int:
    """Columns on the fullest core of those that are dealt in chunks."""
    return min(columns, ceil_div(ceil_div(columns, lanes), cores) * lanes)


def _extent(view: View) -> int:
    """Words from the first that a view names to the last."""
    return (view.groups - 1) * view.stride + view.length


def _share(instruction: Operation, field: str, view: View, *, alone: bool, cores: int, lanes: int) -> int:
    """Words of a view that the fullest core needs. `alone`: no view of the instruction has several groups."""
    if isinstance(instruction, Gather) and instruction.operand == "matrix":
        if field == "counts":
            return _extent(view)
        return view.groups * dealt_columns(view.length, cores=cores, lanes=lanes)
    if view.groups > 1 and view.stride > 0:
        return ceil_div(view.groups, cores) * view.length
    return dealt_columns(view.length, cores=cores, lanes=lanes) if alone else _extent(view)


def _held(words: int, cores: int, parts: dict[tuple[int, int], int] | None) -> int:
    """Of a vector of so many words, those on the fullest core; `parts`: the shares of what instructions see of it.

    Words that nobody sees are dealt evenly, so that all cores together hold every word.
    """
    if parts is None:  # only passed on, so that nothing says how
        return words
    whole = [share for (_, extent), share in parts.items() if extent == words]
    partial = [share for (_, extent), share in parts.items() if extent < words]
    return min(words, max([ceil_div(words, cores), *whole, sum(partial)]))
