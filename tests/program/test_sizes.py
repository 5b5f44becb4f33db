"""One definition of sizes: what is placed and reported is what is linked and assembled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.places import CHECKOUT
from helpers.programs import TINY, compiled_layer, small_config
from typer.testing import CliRunner

from spikesim import program as isa
from spikesim.cli.app import app
from spikesim.errors import CapacityError
from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.mapping.place import Placer, ProgramPlacement
from spikesim.program import Chain, series
from spikesim.program.compiled import Block, open_compiled
from spikesim.program.sizes import ENDS, INSTRUCTION_WORDS, chain_words, clearing_parts
from spikesim.results.report import Report
from spikesim.rtl.assemble import assemble
from spikesim.rtl.emit import resident_config
from spikesim.rtl.isa import INSTRUCTION
from spikesim.run.runner import Runner, Stopwatch
from spikesim.run.session import Session
from spikesim.run.tokens import InputRequest
from spikesim.verify.random_programs import RandomProgram

SHIPPED = CHECKOUT / "examples" / "tiny_dssa"
ROOMY = HardwareConfig().replace(**{"memory.row_kib": 65536})


def _chains() -> dict[str, Chain]:
    config = small_config()
    layers = [compiled_layer(config, n, ROOMY, tokens=4, sequences=1, seed=n).program for n in range(3)]
    chains = {"layers": series([compile_position(config), *layers])}
    for seed in range(12):
        chains[f"random {seed}"] = series([RandomProgram(seed).program()])
    return chains


CHAINS = _chains()


def _place(placer: Placer, chain: Chain) -> list[ProgramPlacement]:
    return [placer.place(program) for program in chain.programs]


@pytest.mark.parametrize("name", CHAINS)
def test_assembler_and_sizes_agree(name: str) -> None:
    """Hardware instructions of every instruction, of clearing, of the whole chain."""
    chain = CHAINS[name]
    programs, layout = chain.programs, link(chain, ROOMY)
    words = assemble(chain, layout, ways=ROOMY.array.ways, words=ROOMY.pointwise.words).instructions
    for number, program in enumerate(programs):
        for index, instruction in enumerate(program.instructions()):
            found = sum((w.program, w.instruction) == (number, index) for w in words)
            assert found == instruction.PARTS, instruction.op
    of_none = sum(w.program < 0 for w in words)
    assert of_none == ENDS + sum(clearing_parts(program.text) for program in programs)
    assert len(words) * INSTRUCTION_WORDS == chain_words(program.text for program in programs)
    assert INSTRUCTION.size == 32 * INSTRUCTION_WORDS


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("array", [{}, {"array.ways": 2, "array.lanes": 4}, {"array.ways": 64}])
def test_placer_and_linker_agree(name: str, array: dict[str, Any]) -> None:
    """Words, rows, and where every vector and matrix lies, when all is resident on one core."""
    hardware, chain = ROOMY.replace(**array), CHAINS[name]
    placer = Placer(hardware, chain.links)
    _place(placer, chain)
    layout, placements = link(chain, hardware), placer.finished()
    bank = hardware.array.ways * hardware.row_bytes
    assert placer.vector_words == layout.vector_words
    assert placer.row_used == layout.row_words * bank
    assert placer.state_used == layout.state_words * bank * 2
    assert not placer.beyond_rtl()
    for placement, own in zip(placements, layout.programs, strict=True):
        assert placement.resident
        assert placement.cache_resident
        assert placement.state_resident
        assert placement.constants_resident
        assert placement.addresses == own.vectors
        assert placement.matrices == {matrix: at.base for matrix, at in own.matrices.items()}


def test_constants_that_do_not_fit_stream_and_no_vector_is_beyond_the_memory() -> None:
    """With a word too few the last program's constants stream, through the words that programs share."""
    chain = CHAINS["layers"]
    programs = chain.programs
    whole = link(chain, ROOMY).vector_words
    tight = ROOMY.replace(**{"memory.vector_words": whole - 1, "limits.max_context": 64})
    placer = Placer(tight, chain.links)
    placements = _place(placer, chain)
    assert [p.constants_resident for p in placements] == [True] * (len(programs) - 1) + [False]
    assert placements[-1].dram_bytes == 4 * placements[-1].constant_words > 0
    assert placer.vector_words < whole
    for program, placement in zip(programs, placer.finished(), strict=True):
        for vector, first in placement.addresses.items():
            assert first + program.text.vectors[vector] <= placer.vector_words
    with pytest.raises(
        CapacityError, match=r"memory.vector_words must be at least \d+ for layer_00, not 1024"
    ):
        small = ROOMY.replace(**{"memory.vector_words": 1024, "limits.max_context": 64})
        map_small = Placer(small, chain.links)
        _place(map_small, chain)


def test_report_and_manifest_of_the_shipped_model(tmp_path: Path) -> None:
    """`map` reports the words that the RTL's manifest lists as used."""
    request = InputRequest(random_tokens=4, sequence_length=4)
    hardware = HardwareConfig()
    report = map_model(SHIPPED, output=tmp_path, hardware=hardware, request=request)
    chain = open_compiled(tmp_path).chain()
    layout = link(chain, hardware)
    instructions = len(
        assemble(chain, layout, ways=hardware.array.ways, words=hardware.pointwise.words).instructions
    )
    used = {memory.name: memory.used for memory in report.cores.memories}
    assert used["program memory"] == instructions * 16 == 7184
    assert used["vector memory"] == layout.vector_words == 12095
    mapping = json.loads((tmp_path / "mapping.json").read_text(encoding="utf-8"))
    assert [p["addresses"] for p in mapping["programs"]] == [own.vectors for own in layout.programs]
    assert not any("a core in RTL needs" in warning for warning in report.warnings)
    bank, available = hardware.array.ways * hardware.array.lanes, _available(report)
    assert available["row memory"] == 1024 * -(-layout.row_words * bank // 1024)
    assert available["state memory"] == 1024 * -(-layout.state_words * bank * 2 // 1024)
    assert available["vector memory"] == layout.vector_words
    assert available["program memory"] == layout.program_words == used["program memory"]
    core = resident_config(hardware, layout)
    assert core.row_depth == available["row memory"] // bank
    assert core.vector_depth == layout.vector_words
    assert core.program_depth == instructions


def _available(report: Report) -> dict[str, int]:
    return {memory.name: memory.available for memory in report.cores.memories}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"system.cores": 2}, "Several cores are in the cycle model only"),
        ({"limits.max_context": 2**18, "numerics.softmax_bits": 2}, "Positions beyond 131072"),
        ({"memory.row_kib": 16, "limits.max_context": 64}, "a core in RTL needs memory.row_kib"),
        ({}, ""),
    ],
)
def test_map_says_what_only_the_cycle_model_does(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Several cores, long contexts, streaming; of what the RTL can do as well, nothing."""
    request = InputRequest(random_tokens=4, sequence_length=4)
    roomy = HardwareConfig().replace(**{"memory.row_kib": 2**20, **changes})
    longest = changes.get("limits.max_context")
    report = map_model(TINY, output=tmp_path, hardware=roomy, request=request, context=longest)
    # Static scales of four tokens hold no more than these: that some words are cut is said as well.
    said = [text for text in report.warnings if "random" not in text and "saturated" not in text]
    assert len(said) == bool(words)
    assert all(words in text for text in said)


def test_map_refuses_what_the_instruction_word_does_not_hold() -> None:
    """The same sentence as of `rtl`, before a token is simulated."""
    (program,) = CHAINS["random 0"].programs
    first = program.text.sections[0]
    many = isa.View(name="many", groups=5000, length=1, stride=1)
    peaks = isa.Reduction(kind="max_abs", dst=many.model_copy(update={"name": "peaks"}))
    section = first.model_copy(
        update={"instructions": (isa.Reduce(a=many, reduction=peaks), *first.instructions)}
    )
    text = program.text.model_copy(
        update={
            "sections": (section, *program.text.sections[1:]),
            "vectors": {**program.text.vectors, "many": 5000, "peaks": 5000},
        }
    )
    constants = {**program.constants, "many": np.zeros(5000, np.int32)}
    wrong = isa.Program(text=text, constants=constants, matrices=program.matrices)
    sentence = r"common.groups of random_\d+, instruction 0 \(reduce\) must be in 0 … 4095"
    with pytest.raises(CapacityError, match=sentence):
        assemble(series([wrong]), link(series([wrong]), ROOMY), ways=8, words=4)
    chain = series([wrong])
    session = Session(chain.links, np.zeros((1, 1, chain.input_words), np.int32))
    runner = Runner(ROOMY, session, 1, Stopwatch(), None)
    with pytest.raises(CapacityError, match=sentence):
        runner.run(wrong, Block(program=wrong.text.name, kind="made"))


def test_rtl_and_map_in_one_command_line(tmp_path: Path) -> None:
    """A folder that `map` wrote for small memories is taken by `rtl`, which raises them."""
    path = tmp_path / "hardware.toml"
    small = {"array.ways": 2, "array.lanes": 4, "pointwise.words": 1}
    small |= {"memory.row_kib": 16, "limits.max_context": 64}
    path.write_text(HardwareConfig().replace(**small).to_toml())
    words = ["--hardware", str(path), "-o"]
    mapped = CliRunner().invoke(app, ["map", str(TINY), "--random-tokens", "4", *words, str(tmp_path / "a")])
    assert mapped.exit_code == 0, mapped.output
    core = CliRunner().invoke(app, ["rtl", str(tmp_path / "a"), *words, str(tmp_path / "b")])
    assert core.exit_code == 0, core.output
    assert "memory.row_kib raised to" in core.output
