"""Passes of attention, and the context that caches are laid out for: cycles and memory, never a value."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.programs import angles, compiled_layer, small_config

from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa import lower_attention
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.program import Gather, Program, series
from spikesim.run.simulator import Simulator

TOKENS = 24
CONFIG = small_config()


def _passes(program: Program) -> list[int]:
    """Heads of every gather of cached keys."""
    return [i.counts.groups for i in program.instructions() if isinstance(i, Gather) and i.operand == "keys"]


def _outputs(program: Program, words: np.ndarray) -> np.ndarray:
    found = Machine(program, 2).run({"h": words, **angles(CONFIG, TOKENS, 2)})
    return found[program.text.output_names[0]]


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("words", [1, 2 * TOKENS])
def test_passes_change_no_value(layer: int, words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One head at a time, or as many as the cores have room for: the same words come out."""
    monkeypatch.setattr(lower_attention, "PASS_WORDS", words)
    compiled = {}
    for cores in (1, 2, 4):
        hardware = HardwareConfig().replace(**{"system.cores": cores, "limits.max_context": TOKENS})
        compiled[cores] = compiled_layer(CONFIG, layer, hardware, tokens=TOKENS)
    if words == 1:
        assert [_passes(c.program) for c in compiled.values()] == [[1] * 4, [2, 2], [4]]
    assert sum(_passes(compiled[4].program)) == 4
    one, *others = (_outputs(c.program, c.words) for c in compiled.values())
    assert all(np.array_equal(one, other) for other in others)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_context_changes_no_value_but_sizes(layer: int) -> None:
    """From the longest that runs to what a hardware has by default."""
    compiled, layouts = [], []
    for context in (TOKENS, 100, 4096):
        hardware = HardwareConfig().replace(**{"limits.max_context": context})
        compiled.append(compiled_layer(CONFIG, layer, hardware, tokens=TOKENS))
        layouts.append(link(series([compile_position(CONFIG), compiled[-1].program]), hardware))
    one, *others = (_outputs(c.program, c.words) for c in compiled)
    assert all(np.array_equal(one, other) for other in others)
    rows = [layout.row_words for layout in layouts]
    assert rows == sorted(rows)
    assert (rows[0] < rows[-1]) == (layer != 1)  # a window is as long as it is


def test_heads_on_their_own_cores_take_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one head fits a core: four cores take four heads in one pass, not in four."""
    monkeypatch.setattr(lower_attention, "PASS_WORDS", 1)
    kinds = ("gather keys", "gather values", "softmax_weights")
    spent = {}
    for cores in (1, 4):
        hardware = HardwareConfig().replace(**{"system.cores": cores, "limits.max_context": TOKENS})
        compiled = compiled_layer(CONFIG, 2, hardware, tokens=TOKENS, sequences=1)
        simulator = Simulator(compiled.program, hardware, 1)
        simulator.run({"h": compiled.words, **angles(CONFIG, TOKENS, 1)})
        spent[cores] = sum(cost.dense for cost in simulator.cycles if cost.label in kinds)
    assert 4 * spent[4] == spent[1]
