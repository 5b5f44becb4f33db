"""The proof that accumulators do not wrap: from the program alone, wherever programs meet a hardware."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.programs import TINY, compiled_layer, port, small_config
from typer.testing import CliRunner

from spikesim import program as isa
from spikesim.cli.app import app
from spikesim.errors import CapacityError
from spikesim.flow import map_model, simulate_mapping
from spikesim.golden import machine as machine_module
from spikesim.hardware import HardwareConfig
from spikesim.mapping import link as link_module
from spikesim.mapping.link import link
from spikesim.program import CacheKeys, CacheSpec, Program, ProgramText, Section, StateSpec, View, series
from spikesim.program.accumulators import check_accumulators, needed_bits, sums
from spikesim.run.simulator import Simulator
from spikesim.run.tokens import InputRequest
from spikesim.verify.bench import write_design
from spikesim.verify.job import mapped_job

HARDWARE = HardwareConfig()


@pytest.fixture(autouse=True)
def nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound does not rest on what else the verifier asks of a program."""
    for module in (link_module, machine_module):
        name = "verify_program" if hasattr(module, "verify_program") else "verify_chain"
        monkeypatch.setattr(module, name, lambda _programs: None)


def _bits(bits: int) -> HardwareConfig:
    return HARDWARE.replace(**{"array.accumulator_bits": bits})


def _whole(name: str, length: int) -> View:
    return View(name=name, length=length, stride=length)


def _gather(operand: str, name: str, length: int, limit: int) -> Program:
    """A gather of an operand with `length` counts within ±limit."""
    keys = CacheKeys(cache=name, kind="full") if operand in ("keys", "values") else None
    key = _whole("key", 4)
    gather = isa.Gather(
        dst=_whole("out", 4), counts=_whole("counts", length), operand=operand, name=name, keys=keys
    )
    text = ProgramText(
        name="made_up",
        inputs=(port("h", 512),),
        outputs=(port("out", 4),),
        vectors={"h": 512, "out": 4, "counts": length, "key": 4},
        sections=(
            Section(
                kind="parallel",
                instructions=(
                    isa.Multiply(dst=_whole("counts", length), a=_whole("h", length), limit=limit),
                    isa.Multiply(dst=key, a=_whole("h", 4), limit=5),
                    isa.Store(src=key, cache="cache", kind="keys"),
                    gather,
                ),
            ),
        ),
        caches={"cache": CacheSpec(heads=1, size=4, tokens=300)},
        states={"state": StateSpec(copies=1, heads=1, size=length)},
    )
    weights = np.zeros((4, length), np.int8)
    weights[2] = -128
    weights[3] = 127
    return Program(text=text, constants={}, matrices={"weights": weights})


CASES = {
    "matrix": ("matrix", "weights", 10, 7, 10 * 7 * 128),
    "matrix, counts beyond a byte": ("matrix", "weights", 10, 2**15 - 1, 10 * 127 * 128),
    "keys": ("keys", "cache", 4, 127, 4 * 127 * 5),
    "values": ("values", "cache", 300, 31, 300 * 31 * 127),
    "state": ("state", "state", 20, 127, 20 * 127 * 2**15),
}


@pytest.mark.parametrize("case", CASES)
def test_bound_of_every_operand(case: str) -> None:
    """The largest count times the largest sum of a row, and the bits that hold it; one bit less is refused."""
    operand, name, length, limit, bound = CASES[case]
    program = _gather(operand, name, length, limit)
    ((what, found),) = sums(program)
    assert found == bound
    bits = max(needed_bits(bound), 16)
    assert -(2 ** (bits - 1)) <= -bound < bound < 2 ** (bits - 1)
    check_accumulators([program], _bits(bits))
    link(series([program]), _bits(bits))
    if bits > 16:
        sentence = f"array.accumulator_bits must be at least {bits} for made_up, {what}, not {bits - 1}"
        for refuse in (
            lambda hardware: check_accumulators([program], hardware),
            lambda hardware: link(series([program]), hardware),
            lambda hardware: Simulator(program, hardware),
        ):
            with pytest.raises(CapacityError, match=f"^{sentence}$"):
                refuse(_bits(bits - 1))


def test_the_bound_is_reached() -> None:
    """Counts and weights of the largest magnitude and like signs: the sum is the bound, in the golden model."""
    program = _gather("matrix", "weights", 10, 7)
    words = np.full((1, 1, 512), -(2**20), np.int32)
    assert Simulator(program, HARDWARE).run({"h": words})["out"].max() == 10 * 7 * 128


def test_sums_beyond_a_word_are_refused_at_any_width() -> None:
    with pytest.raises(CapacityError, match=r"at least 34 for .* words of 32 bits are the limit"):
        check_accumulators([_gather("state", "state", 1100, 127)], _bits(48))


def test_the_compiler_proves_the_same() -> None:
    """A layer compiles exactly on the hardware that takes its program."""
    config = small_config()
    for index in range(3):
        program = compiled_layer(config, index, HARDWARE, tokens=4, sequences=1, seed=index).program
        bits = max(needed_bits(bound) for _, bound in sums(program))
        check_accumulators([program], _bits(bits))
        assert (
            compiled_layer(config, index, _bits(bits), tokens=4, sequences=1, seed=index).program is not None
        )
        with pytest.raises(
            CapacityError, match=f"accumulator_bits must be at least {bits} for layer_0{index}"
        ):
            compiled_layer(config, index, _bits(bits - 1), tokens=4, sequences=1, seed=index)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    request = InputRequest(random_tokens=8, sequence_length=8)
    map_model(TINY, output=folder, hardware=HARDWARE, request=request, context=64)
    return folder


@pytest.mark.parametrize("command", ["simulate", "verify", "rtl", "compare"])
def test_a_mapped_folder_on_narrow_accumulators_is_refused(
    mapped: Path, command: str, tmp_path: Path
) -> None:
    """One sentence, by every command that takes a folder and a hardware file."""
    path = tmp_path / "narrow.toml"
    path.write_text(_bits(16).to_toml())
    words = [command, str(mapped), "--hardware", str(path)]
    result = CliRunner().invoke(app, words if command == "verify" else [*words, "-o", str(tmp_path / "out")])
    assert result.exit_code == 1, result.output
    said = " ".join(result.output.split())
    assert "array.accumulator_bits must be at least" in said
    assert "for layer_00, " in said
    assert said.endswith("not 16")
    assert not (tmp_path / "out").exists()


def test_the_narrowest_hardware_runs(mapped: Path, tmp_path: Path) -> None:
    """What the refusal asks for is enough."""
    layers = [json.loads(path.read_text())["name"] for path in (mapped / "programs").glob("layer_*.json")]
    assert len(layers) == 4
    job = mapped_job(mapped, _bits(48), tokens=2)
    bits = max(needed_bits(bound) for program in job.programs for _, bound in sums(program))
    simulate_mapping(mapped, hardware=_bits(bits))
    with pytest.raises(CapacityError, match=f"must be at least {bits} for"):
        simulate_mapping(mapped, hardware=_bits(bits - 1))
    with pytest.raises(CapacityError, match=f"must be at least {bits} for"):
        write_design(tmp_path, mapped_job(mapped, _bits(bits - 1), tokens=2))
