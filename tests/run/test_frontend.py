"""Another kind of model is another front end: a spiking layer with persistent membranes goes all the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.micro_model import HARDWARE
from helpers.programs import port
from numpy.typing import NDArray
from typer.testing import CliRunner

from spikesim import flow
from spikesim.cli.app import app
from spikesim.hardware import HardwareConfig
from spikesim.mapping.frontend import Lowered, Timed
from spikesim.program import (
    Add,
    End,
    Gather,
    Link,
    Lookup,
    Multiply,
    Program,
    ProgramText,
    Requires,
    Section,
    View,
)
from spikesim.program.compiled import Block, Embedding, open_compiled
from spikesim.results.report import ModelSummary
from spikesim.run.tokens import InputRequest

INPUTS, NEURONS, THRESHOLD = 6, 9, 40
"""A score for every item is that of a neuron, so that there are as many."""


def whole(name: str, words: int) -> View:
    return View(name=name, length=words, stride=words)


class LeakyModel:
    """spike = v > 40, v ← v / 2 + W · x: items are looked up as counts x, scores are the membranes."""

    summary = ModelSummary(
        name="leaky",
        path="leaky.txt",
        source="made up",
        parameters=INPUTS * NEURONS,
        layers={"leaky": 1},
        layer_kinds=("leaky",),
        hidden_size=INPUTS,
        vocab_size=NEURONS,
    )
    host = Embedding(items=NEURONS)
    links = (Link(to=End(program="neurons", port="x")),)
    output = End(program="neurons", port="scores")

    def __init__(self) -> None:
        generator = np.random.default_rng(5)
        self.weights = generator.integers(-9, 10, (NEURONS, INPUTS)).astype(np.int8)
        self.rows = generator.integers(-7, 8, (NEURONS, INPUTS)).astype(np.int16)

    def check(self) -> None:
        """Sequences may be as long as they like."""

    def table(self) -> NDArray[Any]:
        return self.rows

    def lower(
        self,
        items: NDArray[np.int64],
        examples: NDArray[np.int64] | None,
        hardware: HardwareConfig,
        stage: Timed,
    ) -> Iterator[Lowered]:
        x, counts, sums = whole("x", INPUTS), whole("counts", INPUTS), whole("sums", NEURONS)
        v, half, over, fired, scores, threshold = (
            whole(name, NEURONS) for name in ("v", "half", "over", "fired", "scores", "threshold")
        )
        text = ProgramText(
            name="neurons",
            inputs=(port("x", INPUTS),),
            outputs=(port("scores", NEURONS),),
            vectors={
                **dict.fromkeys(("x", "counts"), INPUTS),
                **dict.fromkeys(("sums", "v", "half", "threshold", "over", "fired", "scores"), NEURONS),
            },
            persistent=("v",),
            requires=Requires(accumulator_bits=16),
            sections=(
                Section(
                    kind="parallel",
                    instructions=(
                        Multiply(dst=counts, a=x, limit=7),
                        Gather(dst=sums, counts=counts, operand="matrix", name="w"),
                    ),
                ),
                Section(
                    kind="recurrent",
                    instructions=(
                        Multiply(dst=half, a=v, shift=1, limit=2**20),
                        Add(dst=v, a=half, b=sums, limit=2**20),
                        Add(dst=over, a=v, b=threshold, subtract=True),
                        Lookup(dst=fired, a=over, function="step", fraction=0),
                        Multiply(dst=scores, a=fired, shift=-20, limit=2**21),
                    ),
                ),
            ),
        )
        program = Program(
            text=text,
            constants={"threshold": np.full(NEURONS, THRESHOLD, np.int32)},
            matrices={"w": self.weights},
        )
        yield Lowered(program=program, block=Block(program="neurons", kind="leaky", layer=0))

    def expected(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[sequences, steps, NEURONS]: the definition, step by step."""
        found = np.zeros((*ids.shape, NEURONS), np.int64)
        for s, sequence in enumerate(ids):
            v = np.zeros(NEURONS, np.int64)
            for t, item in enumerate(sequence):
                v = np.rint(v / 2).astype(np.int64) + self.weights.astype(np.int64) @ self.rows[item]
                found[s, t] = (v > THRESHOLD) << 20
        return found


class LeakyFrontEnd:
    name = "leaky"

    def accepts(self, path: Path) -> bool:
        return path.suffix == ".leaky"

    def open(self, path: Path) -> LeakyModel:
        return LeakyModel()


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(flow, "FRONT_ENDS", (LeakyFrontEnd(), *flow.FRONT_ENDS))
    request = InputRequest(random_tokens=24, sequence_length=12)
    model, folder = tmp_path / "model.leaky", tmp_path / "mapped"
    folder.mkdir()
    report = flow.map_model(model, output=folder, hardware=HardwareConfig(), request=request)
    assert report.cycles.spiking > 0
    assert report.spikes.elements == 24 * INPUTS
    assert [layer.kind for layer in report.cycles.by_layer] == ["leaky"]
    return folder


def test_membranes_persist_through_a_session(mapped: Path) -> None:
    """The words that leave are those of the definition, for every sequence."""
    from spikesim.run.session import run_chain
    from spikesim.run.simulator import Simulator

    compiled, model = open_compiled(mapped), LeakyModel()
    ids = np.load(mapped / "programs" / "tokens.npy")
    chain = compiled.chain()
    simulators = [Simulator(program, HardwareConfig(), len(ids)) for program in chain.programs]
    out = run_chain(chain, simulators, compiled.words(ids.T))
    assert np.array_equal(out.transpose(1, 0, 2), model.expected(ids))
    assert 0 < np.count_nonzero(out) < out.size / 2


def test_other_commands_take_it_as_any_mapping(mapped: Path, tmp_path: Path) -> None:
    """simulate, rtl and export, without a word of what kind of model it was."""
    small = tmp_path / "small.toml"
    small.write_text(HARDWARE, encoding="ascii")
    options = {"simulate": [], "rtl": ["--hardware", str(small)], "export": ["--target", "norse"]}
    for command, more in options.items():
        out = tmp_path / command
        result = CliRunner().invoke(app, [command, str(mapped), "-o", str(out), *more])
        assert result.exit_code == 0, result.output
        assert any(out.iterdir())


def test_the_core_and_lava_keep_membranes_too(mapped: Path, tmp_path: Path) -> None:
    from helpers.rtl_cores import CORES, built_core

    from spikesim.backends.execution import differences
    from spikesim.backends.golden import GoldenBackEnd
    from spikesim.backends.lava.backend import LavaBackEnd
    from spikesim.backends.rtl import RTLBackEnd

    compiled, core = open_compiled(mapped), CORES["plane"]
    words = compiled.words(np.load(mapped / "programs" / "tokens.npy")[0])
    golden, rtl, lava = (
        back_end.open(compiled.chain(), core.hardware, tmp_path).run(words)
        for back_end in (GoldenBackEnd(), RTLBackEnd(core=built_core("plane", core.config())), LavaBackEnd())
    )
    assert list(differences(golden, rtl)) == []
    assert list(differences(golden, lava)) == []
    assert torch.equal(
        torch.from_numpy(golden.outputs).long(),
        torch.from_numpy(LeakyModel().expected(np.load(mapped / "programs" / "tokens.npy")[:1])[0]),
    )
