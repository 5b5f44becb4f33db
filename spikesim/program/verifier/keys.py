"""Keys: which cached tokens an attention instruction names, and the vectors that have a word for each of them."""

from __future__ import annotations

from typing import Any

from spikesim import program as isa
from spikesim.program import CacheKeys, View
from spikesim.program.verifier.findings import Findings
from spikesim.program.verifier.words import WordTable, Writer

_KEYED_OPERANDS: dict[Any, tuple[str, ...]] = {
    isa.Multiply: ("a",),
    isa.SoftmaxWeights: ("a",),
    isa.SelectTop: ("a",),
    isa.Gather: ("counts",),
}
"""Fields that may hold a vector indexed by key, if their instruction has keys."""


def reads_by_key(i: Any, field: str) -> bool:
    """Whether an instruction goes through this operand key by key."""
    if field not in _KEYED_OPERANDS.get(type(i), ()) or i.keys is None:
        return False
    return not isinstance(i, isa.Gather) or i.operand == "values"


def check_keyed_read(field: str, view: View, user: Writer, words: WordTable, found: Findings) -> bool:
    """A vector indexed by key is read by key, whole, for the keys it was made for, in the section that made it."""
    made = words.keyed.get(view.name)
    wanted = reads_by_key(user.instruction, field)
    if made is None or not wanted:
        rule = "a vector indexed by key" if wanted else "a vector without keys"
        return found.require((made is None) != wanted, field, rule, view.name)
    return (
        found.require(
            made.section == user.section, field, "made in the same section", f"{view.name} of another"
        )
        and found.require(
            view == made.instruction.dst, field, f"all of {view.name} as it was written", "a part of it"
        )
        and found.require(
            made.instruction.keys == user.instruction.keys, "keys", f"those of {view.name}", "others"
        )
    )


def check_keys(keys: CacheKeys, groups: int, user: Writer, words: WordTable, found: Findings) -> bool:
    """The span and the selection of keys against their cache; `groups`: query heads that use them."""
    spec = words.program.text.caches.get(keys.cache)
    if spec is None:
        return found.require(False, "keys.cache", "a cache that the program declares", keys.cache)
    expected = {"window": spec.tokens, "full": 0, "blocks": spec.block}[keys.kind]
    owner = {"window": "the tokens of its cache", "full": "no span", "blocks": "the block of its cache"}
    good = found.require(
        keys.span == expected, "keys.span", f"{expected} ({owner[keys.kind]})", keys.span
    ) and found.require(
        keys.kind != "blocks" or spec.block > 0, "keys.kind", "of a cache with blocks", keys.cache
    )
    if keys.kind != "blocks":
        return good and found.require(keys.selected is None, "keys.selected", "absent", "there")
    means = isinstance(user.instruction, isa.SelectTop) or (
        isinstance(user.instruction, isa.Gather) and user.instruction.operand == "means"
    )
    if means or keys.selected is None:
        rule = "absent where blocks are chosen" if means else "there, written by select_top"
        there = "absent" if keys.selected is None else "there"
        return found.require((keys.selected is None) == means, "keys.selected", rule, there) and good
    made = words.by_view.get(keys.selected)
    chosen = made is not None and isinstance(made.instruction, isa.SelectTop)
    past = keys.model_copy(update={"selected": None})
    return (
        found.require(
            chosen and made is not None and made.instruction.keys == past,
            "keys.selected",
            f"all that a select_top chose of the blocks of {keys.cache}",
            keys.selected.name,
        )
        and found.require(
            keys.selected.groups == groups,
            "keys.selected.groups",
            f"{groups}, as many as heads",
            keys.selected.groups,
        )
        and good
    )


def check_run(dst: View, keys: CacheKeys, words: WordTable, found: Findings, *, means: bool = False) -> bool:
    """Whether a vector indexed by key has room for the longest run; a window's is bounded by the sequence too."""
    spec = words.program.text.caches[keys.cache]
    if means:
        least = spec.tokens // keys.span
    elif keys.kind == "blocks" and keys.selected is not None:
        least = min(spec.tokens, (keys.selected.length + 1) * keys.span)
    else:
        least = spec.tokens if keys.kind == "full" else 1
    return found.require(
        dst.length >= least, "dst.length", f"at least {least}, the keys it may have", dst.length
    )
