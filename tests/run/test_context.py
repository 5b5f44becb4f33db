"""The context that is asked for, tokens that are supposed to be cached, and memories that are fitted to both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.programs import TINY, angles, compiled_layer, small_config
from helpers.tried import tried

from spikesim.errors import CapacityError
from spikesim.flow import map_model, simulate_mapping
from spikesim.hardware import HardwareConfig
from spikesim.program.compiled import open_compiled
from spikesim.results.report import Report
from spikesim.run.simulator import Simulator
from spikesim.run.tokens import InputRequest

REQUEST = InputRequest(random_tokens=64, sequence_length=32)


def _available(report: Report) -> dict[str, int]:
    return {memory.name: memory.available for memory in report.cores.memories}


def test_caches_are_as_long_as_asked(tmp_path: Path) -> None:
    """By default as the longest sequence; values and cycles are the same, memories are not."""
    reports = {}
    for context in (None, 32, 1000):
        folder = tmp_path / str(context)
        folder.mkdir()
        reports[context] = map_model(
            TINY, output=folder, hardware=HardwareConfig(), request=REQUEST, context=context
        )
    default, same, long = reports.values()
    assert default.input.context == same.input.context == 32
    assert _available(default) == _available(same)
    assert long.input.context == 1000
    assert _available(long)["row memory"] > _available(same)["row memory"]
    assert _available(long)["vector memory"] > _available(same)["vector memory"]
    assert long.cycles == same.cycles
    assert long.fidelity == same.fidelity
    assert open_compiled(tmp_path / "1000").text.hardware.limits.max_context == 1000
    more = InputRequest(random_tokens=40, sequence_length=40)
    assert simulate_mapping(tmp_path / "1000", request=more).input.context == 1000
    with pytest.raises(CapacityError, match=r"at most 32 tokens.*map the model with --context 40"):
        simulate_mapping(tmp_path / "32", request=more)


@tried(
    1, "a context beyond the hardware's limit, or below the run's sequences", "it is refused in one sentence"
)
@pytest.mark.parametrize(
    ("context", "cached", "sentence"),
    [
        (4097, 0, r"the context must be a whole number from 1 to limits.max_context \(4096\), not 4097"),
        (0, 0, "the context must be a whole number from 1"),
        (True, 0, "the context must be a whole number from 1"),
        (31, 0, r"the sequence length must be at most the context \(31\), not 32; cut the sequence"),
        (40, 9, r"the sequence length must be at most the context \(40\), not 41"),
        (None, 4090, r"at most limits.max_context \(4096\), not 4122"),
        (None, -1, "cached tokens must be a whole number from 0 on, not -1"),
    ],
)
def test_what_is_too_long_is_refused(context: int | None, cached: int, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=sentence):
        map_model(
            TINY,
            output=tmp_path,
            hardware=HardwareConfig(),
            request=REQUEST,
            context=context,
            cached=cached,
        )


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_cycles_behind_cached_tokens_are_those_of_their_positions(layer: int) -> None:
    """The dense twin's do not depend on what is cached: they are those of a run that really had so many before."""
    config = small_config()
    hardware = HardwareConfig().replace(**{"limits.max_context": 64})
    tokens, before = 8, 21
    compiled = compiled_layer(config, layer, hardware, tokens=before + tokens, sequences=1)
    inputs = {"h": compiled.words, **angles(config, before + tokens, 1)}
    whole = Simulator(compiled.program, hardware, 1, detail=True)
    whole.run(inputs)
    first = Simulator(compiled.program, hardware, 1)
    last = {name: words[before:] for name, words in inputs.items()}
    first.run(last)
    again = Simulator(compiled.program, hardware, 1, detail=True)
    again.machine.continue_from(first.machine, before)
    again.run(last)
    assert again.machine.position == before + tokens
    for name, cache in again.machine.caches.items():
        known = whole.machine.caches[name]
        assert cache.keys.shape == known.keys.shape
        assert cache.means.shape == known.means.shape
        assert np.array_equal(cache.keys[:, :, :tokens], first.machine.caches[name].keys)
    costs = zip(compiled.program.instructions(), whole.per_token or [], again.per_token or [], strict=True)
    for instruction, real, supposed in costs:
        if instruction.op == "decay":  # when rows are shifted follows from values
            continue
        real_cycles, cycles = np.concatenate(real["dense"])[before:], np.concatenate(supposed["dense"])
        assert np.array_equal(real_cycles, cycles), instruction.label


def test_cached_tokens_cost_cycles_and_leave_fidelity(tmp_path: Path) -> None:
    """Attention reads more keys; what the model computes is what it computes."""
    reports = {}
    for cached in (0, 500):
        folder = tmp_path / str(cached)
        folder.mkdir()
        reports[cached] = map_model(
            TINY, output=folder, hardware=HardwareConfig(), request=REQUEST, context=600, cached=cached
        )
    empty, behind = reports[0], reports[500]
    assert behind.fidelity == empty.fidelity
    assert behind.input.cached_tokens == 500
    assert any("with 500 others before them" in warning for warning in behind.warnings)
    kinds = {kind: cost.dense for kind, cost in behind.cycles.by_instruction.items()}
    before = {kind: cost.dense for kind, cost in empty.cycles.by_instruction.items()}
    assert kinds["gather keys"] > 1.4 * before["gather keys"]
    assert kinds["gather matrix"] == before["gather matrix"]
    again = simulate_mapping(tmp_path / "0", cached=500)
    assert again.cycles == behind.cycles
    with pytest.raises(CapacityError, match="at most 600 tokens"):
        simulate_mapping(tmp_path / "0", cached=569)


def test_memories_that_cannot_hold_all_hold_what_streams(tmp_path: Path) -> None:
    """Everything or nothing: two column chunks of the tallest matrix or cache, the states of one layer."""
    holds, streams = tmp_path / "holds", tmp_path / "streams"
    holds.mkdir()
    streams.mkdir()
    large = HardwareConfig().replace(**{"dram.bandwidth_bytes_per_s": 1e9})
    all_of_it = map_model(TINY, output=holds, hardware=large, request=REQUEST)
    small = large.replace(**{"limits.resident_kib": 32})
    report = map_model(TINY, output=streams, hardware=small, request=REQUEST)
    assert all_of_it.cores.streamed_layers == report.cores.resident_layers == 0
    ways, lanes = 8, 64
    assert _available(report)["row memory"] == 2 * (128 // ways) * ways * lanes  # 128 inputs of mlp.down
    assert _available(report)["state memory"] < _available(all_of_it)["state memory"]
    assert _available(report)["vector memory"] < _available(all_of_it)["vector memory"]
    assert report.cycles.spiking == all_of_it.cycles.spiking
    assert report.cycles.elapsed.spiking > all_of_it.cycles.elapsed.spiking
    fills = {name: counter.spiking for name, counter in report.cycles.counters.items()}
    assert fills["row_fills"] > 64 * 4 * 64 * 64 // lanes
    held = {name: counter.spiking for name, counter in all_of_it.cycles.counters.items()}
    assert held["row_fills"] == 0
    assert held["row_stores"] == fills["row_stores"]
    assert any("a core in RTL needs memory.row_kib" in warning for warning in report.warnings)


def test_stores_are_counted_as_caches_grow() -> None:
    """Every key, value and block mean is a byte that was written once."""
    config = small_config()
    hardware = HardwareConfig().replace(**{"limits.max_context": 64})
    for layer in range(3):
        compiled = compiled_layer(config, layer, hardware, tokens=24, sequences=2)
        simulator = Simulator(compiled.program, hardware, 2)
        simulator.run({"h": compiled.words, **angles(config, 24, 2)})
        written = sum(
            array.size
            for cache in simulator.machine.caches.values()
            for array in (cache.keys, cache.values, cache.means)
        )
        assert simulator.counters().row_stores == written > 0
