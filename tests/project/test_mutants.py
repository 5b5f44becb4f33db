"""The lists of mutants are current: every text to be replaced is there, and changes something."""

from __future__ import annotations

import pytest
from campaigns.mutants import LISTS, load
from helpers.places import CHECKOUT

ALL = [mutant for path in LISTS for mutant in load(path)]


@pytest.mark.parametrize("mutant", ALL, ids=[f"{m['file']}-{n}" for n, m in enumerate(ALL)])
def test_mutant_is_current(mutant: dict[str, str]) -> None:
    """`make mutants` runs them; this only keeps the lists from rotting."""
    assert mutant["old"] != mutant["new"]
    assert mutant["why"]
    assert mutant["old"] in (CHECKOUT / mutant["file"]).read_text(encoding="utf-8")
    assert (CHECKOUT / mutant["bench"].split(" ")[0]).is_file()


def test_every_unit_has_mutants() -> None:
    """At least four each."""
    units = {"pointwise": "rtl/pointwise", "select": "rtl/select", "array": "rtl/array", "host": "rtl/host"}
    units |= {"sequencer": "rtl/sequencer", "Lava": "spikesim/backends/lava"}
    for unit, prefix in units.items():
        assert sum(mutant["file"].startswith(prefix) for mutant in ALL) >= 4, unit
