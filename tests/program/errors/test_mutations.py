"""One field of a random program changed at random: refused, or golden, cycle model and Lava's microcode agree.

`make mutations` runs ten times as many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from campaigns.mutations import BATCH, batch_apart, leaves, mutate, replaced

from spikesim.verify.random_programs import RandomProgram

COUNT = 200

BEYOND = """
import numpy as np
from spikesim.golden.select import select_top
word = np.zeros((1, 1, 1), np.int32)
select_top(word, word, np.full(1, 2))
"""
"""A kernel that is told of two candidates where there is one."""


@pytest.fixture(scope="module")
def met() -> Counter[str]:
    """The outcomes of all batches."""
    return Counter()


@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_a_mutated_program_is_refused_or_every_model_agrees(first: int, met: Counter[str]) -> None:
    """Each batch is a process, so that a crash fails its batch alone; both outcomes are met in every batch."""
    outcomes = batch_apart(first, BATCH)
    met += outcomes
    assert sum(outcomes.values()) == BATCH
    assert outcomes["agrees"] + outcomes["agrees on the RTL too"] >= BATCH // 10
    assert outcomes["refused"] >= BATCH // 10


def test_some_of_them_were_tried_on_the_rtl(met: Counter[str]) -> None:
    """Of all batches that ran."""
    if sum(met.values()) < COUNT:
        pytest.skip("needs all batches")
    assert met["agrees on the RTL too"] >= COUNT // BATCH


def test_no_accepted_program_leaves_its_arrays(tmp_path: Path) -> None:
    """The same with kernels that check their bounds, compiled anew, for what is in a cache does not."""
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    beyond = subprocess.run(
        [sys.executable, "-c", BEYOND], env=os.environ | checked, capture_output=True, text=True, check=False
    )
    assert "IndexError" in beyond.stderr
    outcomes = batch_apart(COUNT, BATCH, **checked)
    assert outcomes["agrees"] >= BATCH // 10


def test_a_mutation_changes_one_thing() -> None:
    """One leaf of the text differs, or no leaf and one array; and every kind of leaf has its turn."""
    changed: set[object] = set()
    for number in range(900):
        program = RandomProgram(number).program()
        before = program.text.model_dump(mode="json")
        mutation = mutate(program, np.random.default_rng(number))
        old, new = dict(leaves(before)), dict(leaves(mutation.text))
        different = {path for path in old.keys() | new.keys() if old.get(path, ...) != new.get(path, ...)}
        roots = {path for path in old if old[path] != new.get(path, ...)}
        assert len(roots) <= 1
        changed |= {path[-1] for path in roots if isinstance(path[-1], str)}
        assert not different or mutation.constants.keys() == program.constants.keys()
    assert {
        "offset",
        "groups",
        "length",
        "stride",
        "name",
        "kind",
        "limit",
        "shift",
        "span",
        "cache",
    } <= changed


def test_replacing_leaves_the_rest_alone() -> None:
    text = {"a": [{"b": 1}, {"b": 2}], "c": 3}
    assert replaced(text, ("a", 1, "b"), 5) == {"a": [{"b": 1}, {"b": 5}], "c": 3}
    assert text["a"] == [{"b": 1}, {"b": 2}]
