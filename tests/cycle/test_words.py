"""Words of the pointwise unit and of vector memory, counted anew token by token from what a run touched."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from helpers.programs import angles, compiled_layer, small_config

from spikesim import program as isa
from spikesim.chaining import POINTWISE
from spikesim.golden.frame import Frame
from spikesim.hardware import HardwareConfig
from spikesim.program import Instruction
from spikesim.program.trace import Place
from spikesim.run.simulator import Simulator

TOKENS = 13
FACTORS = {isa.Rotate: 2, isa.Phase: 2, isa.Decay: 3}
"""How often a word of the operand goes through the unit."""


class Recount:
    """Words per instruction, of all tokens: a token's keys by the definition of its window or blocks."""

    def __init__(self) -> None:
        self.vector: Counter[int] = Counter()
        self.pointwise: Counter[int] = Counter()

    def executed(self, place: Place, i: Instruction, frame: Frame) -> None:
        chosen = None if i.cached is None or i.cached.selected is None else frame.view(i.cached.selected)
        for token, position in enumerate(frame.positions()):
            keys = None if chosen is None else chosen[token]
            for field, view, written in i.views():
                length = self._length(i, field, view, int(position), keys)
                self.vector[place.number] += view.groups * length
                if isinstance(i, POINTWISE) and field == self._shape(i):
                    assert written or not isinstance(i, isa.Multiply)
                    factor = FACTORS.get(type(i), 1)
                    self.pointwise[place.number] += factor * view.groups * length
                    if isinstance(i, isa.Pool) and (position + 1) % i.block == 0:
                        self.pointwise[place.number] += view.words

    @staticmethod
    def _shape(i: Instruction) -> str:
        return {isa.Reduce: "a", isa.Phase: "cos", isa.Pool: "src"}.get(type(i), "dst")

    @staticmethod
    def _length(i: Instruction, field: str, view: isa.View, position: int, chosen: np.ndarray | None) -> int:
        by_key = {isa.Multiply: ("dst", "a"), isa.SoftmaxWeights: ("dst", "a"), isa.SelectTop: ("a",)}
        fields = by_key.get(type(i), ())
        if isinstance(i, isa.Gather):
            fields = {"keys": ("dst",), "means": ("dst",), "values": ("counts",)}.get(i.operand, ())
        if i.cached is None or field not in fields:
            return view.length
        span = i.cached.span
        if isinstance(i, isa.SelectTop) or (isinstance(i, isa.Gather) and i.operand == "means"):
            return position // span
        if i.cached.kind == "window":
            return min(position + 1, span)
        if chosen is None:
            return position + 1
        return int((chosen[0] >= 0).sum()) * span + position % span + 1


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("cores", [1, 3])
def test_words_of_every_instruction(kind: int, cores: int) -> None:
    """On several cores only the counts of a matrix move more than once: every core loads them."""
    hardware = HardwareConfig().replace(
        **{"array.ways": 4, "array.lanes": 4, "limits.max_context": 64, "system.cores": cores}
    )
    config = small_config()
    compiled = compiled_layer(config, kind, hardware, tokens=TOKENS, sequences=1)
    recount = Recount()
    simulator = Simulator(compiled.program, hardware, 1, observers=[recount])
    simulator.run({"h": compiled.words, **angles(config, TOKENS, 1)})
    for number, (instruction, cost) in enumerate(
        zip(compiled.program.instructions(), simulator.cycles, strict=True)
    ):
        again = 0
        if isinstance(instruction, isa.Gather) and instruction.operand == "matrix":
            again = (cores - 1) * TOKENS * instruction.counts.words
        assert cost.counters.vector_words == recount.vector[number] + again, instruction
        assert cost.counters.pointwise_words == recount.pointwise[number], instruction
    total = simulator.counters()
    assert total.vector_words > total.pointwise_words > 0
