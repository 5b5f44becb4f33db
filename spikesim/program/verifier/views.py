"""Views: by which field an instruction names them, and whether each lies inside its vector."""

from __future__ import annotations

from spikesim.program import Program, View
from spikesim.program.verifier.findings import Findings

MOST_WORDS = 2**24
"""Words of a vector, and of any step through it: what an address of the vector memory reaches (`spikesim.rtl.isa`)."""


def check_view(field: str, view: View, program: Program, found: Findings, *, written: bool) -> bool:
    """Whether a view lies inside its vector, and, if it is written, may be."""
    words = program.text.vectors.get(view.name)
    if words is None:
        return found.require(False, f"{field}.name", "a vector that the program declares", view.name)
    # In Python's integers: what a file says may be larger than any array index.
    least = {"offset": 0, "groups": 1, "length": 1, "stride": 0}
    if not all(
        found.within(getattr(view, name), low, MOST_WORDS, f"{field}.{name}") for name, low in least.items()
    ):
        return False
    end = view.offset + (view.groups - 1) * view.stride + view.length
    if not found.require(
        end <= words, field, f"inside the {words} words of {view.name}", f"reach to word {end}"
    ):
        return False
    if not written:
        return True
    if view.name in program.constants:
        return found.require(False, field, "a vector that may be written", f"the constant {view.name}")
    if view.name in program.text.input_names:
        return found.require(False, field, "a vector that may be written", f"the input {view.name}")
    return found.require(
        view.groups == 1 or view.stride >= view.length,
        f"{field}.stride",
        f"at least its length {view.length}, so that no word is written twice",
        view.stride,
    )
