"""Golden, the RTL and Lava as back ends: any two executions of a chain agree, and a difference is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.programs import compiled_layer, small_config
from helpers.rtl_cores import CORES, built_core

from spikesim.backends.execution import BackEnd, Outcome, differences
from spikesim.backends.golden import GoldenBackEnd
from spikesim.backends.lava.backend import LavaBackEnd
from spikesim.backends.rtl import RTLBackEnd
from spikesim.errors import ProgramError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.program import Chain, End, series

STEPS = 9


@pytest.fixture(scope="module")
def layer() -> tuple[Chain, np.ndarray, HardwareConfig]:
    """A layer with states and a window, behind its angles."""
    hardware, config = CORES["plane"].hardware, small_config()
    compiled = compiled_layer(config, 1, hardware, tokens=STEPS, sequences=1)
    return series([compile_position(config), compiled.program]), compiled.words[:, 0], hardware


def test_any_two_executions_agree(layer: tuple[Chain, np.ndarray, HardwareConfig], tmp_path: Path) -> None:
    """Words of all, cycles of golden and RTL; a second run begins a sequence anew."""
    chain, words, hardware = layer
    core = built_core("plane", CORES["plane"].config())
    back_ends: list[BackEnd] = [GoldenBackEnd(), RTLBackEnd(core=core), LavaBackEnd()]
    executions = [back_end.open(chain, hardware, tmp_path) for back_end in back_ends]
    outcomes = [execution.run(words) for execution in executions]
    assert [outcome.machine for outcome in outcomes] == [back_end.name for back_end in back_ends]
    assert [outcome.cycles is None for outcome in outcomes] == [False, False, True]
    for one in outcomes:
        for other in outcomes:
            assert list(differences(one, other)) == []
    again = executions[1].run(words[:3])
    assert list(differences(replace(outcomes[0], outputs=outcomes[0].outputs[:3], cycles=None), again)) == []


@pytest.mark.parametrize("back_end", [GoldenBackEnd(), RTLBackEnd(), LavaBackEnd()], ids=lambda b: b.name)
def test_chains_that_are_not_sound_are_not_opened(
    back_end: BackEnd, layer: tuple[Chain, np.ndarray, HardwareConfig], tmp_path: Path
) -> None:
    chain, _, hardware = layer
    with pytest.raises(ProgramError, match=r"the first output of the last program, not layer_01\.nothing"):
        back_end.open(replace(chain, output=End(program="layer_01", port="nothing")), hardware, tmp_path)


def test_differences_name_the_first_word_and_step() -> None:
    outputs, cycles = np.arange(12, dtype=np.int32).reshape(3, 4), np.array([7, 8, 9])
    one = Outcome(machine="one", outputs=outputs, cycles=cycles)
    wrong = outputs.copy()
    wrong[1, 2:] = -1
    other = Outcome(machine="other", outputs=wrong, cycles=cycles + np.array([0, 1, 0]))
    assert list(differences(one, one)) == []
    assert list(differences(one, other)) == [
        "2 words differ; the first, word 2 of step 1, is 6 on one and -1 on other",
        "1 steps differ in cycles; the first, step 1, takes 8 on one and 9 on other",
    ]
    short = Outcome(machine="short", outputs=outputs[:2])
    assert list(differences(one, short)) == ["short must give (3, 4) words as one does, not (2, 4)"]
