"""What of a program no NIR graph expresses: every instruction that is not the gather of a matrix, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from spikesim.backends.nir.manifest import LeftOut
from spikesim.program import Program, is_matrix

_CACHE = "its rows are cached at run time; weights of NIR are constants"

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "multiply": "a product of two words, a rounding shift and saturation; NIR scales by constants and never rounds",
        "add": "a sum that saturates; NIR adds up what meets at a node and never saturates",
        "reduce": "a statistic over a vector; NIR has no reductions",
        "invert": "a reciprocal or a root; NIR has no division",
        "scalar_multiply": "a product of packed scalars; NIR scales by constants",
        "exponential": "a power of two with a run-time exponent; NIR has no exponential",
        "lookup": "a table of a non-linear function; NIR has no tables",
        "softmax_weights": "powers of two relative to the largest score; NIR has no softmax",
        "phase": "an angle from the token's position; NIR knows no position",
        "rotate": "products of two words, RoPE; NIR scales by constants",
        "select_top": "a choice of the largest words; NIR has no choice",
        "gather.keys": _CACHE,
        "gather.values": _CACHE,
        "gather.means": _CACHE,
        "gather.state": "its rows are a state that every token changes; weights of NIR are constants",
        "scatter": "an update of a state, an outer product; weights of NIR are constants",
        "decay": "a shift of a state's rows that depends on data; NIR has leaks with constant rates only",
        "store": "a write to a cache; NIR has no memory but the potentials of neurons",
        "pool": "a running mean of keys with rounding; NIR has no memory but the potentials of neurons",
    }
)
"""Why an instruction is left out, by its op; gathers by op and operand."""


def kind_of(instruction: Any) -> str:
    """The key of `REASONS` that an instruction falls under."""
    op: str = instruction.op
    return f"{op}.{instruction.operand}" if op == "gather" else op


def left_out(programs: Iterable[Program]) -> tuple[LeftOut, ...]:
    """How many instructions of each kind are not in the graphs, most frequent first, then by name.

    Raises TypeError for an instruction that `REASONS` does not know.
    """
    counts = Counter(kind_of(i) for program in programs for i in program.instructions() if not is_matrix(i))
    unknown = sorted(set(counts) - set(REASONS))
    if unknown:
        raise TypeError(f"no reason is known why {', '.join(unknown)} cannot be NIR")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(LeftOut(op=kind, count=count, reason=REASONS[kind]) for kind, count in ordered)
