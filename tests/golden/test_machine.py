"""The golden machine: how many tokens run together, and what the array looks like, never changes a value."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers.programs import STREAM, CompiledLayer, angles, compiled_layer, small_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikesim.golden import machine as machine_module
from spikesim.golden.machine import Machine
from spikesim.golden.state import State
from spikesim.hardware import HardwareConfig
from spikesim.program.file import load_program, save_program
from spikesim.run.simulator import Simulator
from spikesim.spikes.digits import digits, plane_weights

HARDWARE = HardwareConfig().replace(**{"limits.max_context": 64})
KINDS = {"moba": 0, "sse": 1, "full": 2}


@pytest.fixture(scope="module", params=KINDS)
def compiled(request: pytest.FixtureRequest) -> CompiledLayer:
    """One compiled layer of each kind."""
    return compiled_layer(small_config(), KINDS[request.param], HARDWARE)


def _inputs(compiled: CompiledLayer) -> dict[str, np.ndarray]:
    tokens, sequences, _ = compiled.words.shape
    return {"h": compiled.words, **angles(small_config(), tokens, sequences)}


def _run(compiled: CompiledLayer, steps: list[int]) -> np.ndarray:
    machine = Machine(compiled.program, compiled.words.shape[1])
    inputs, start, parts = _inputs(compiled), 0, []
    for step in steps:
        part = {name: words[start : start + step] for name, words in inputs.items()}
        parts.append(machine.run(part)[compiled.program.text.outputs[0].name])
        start += step
    return np.concatenate(parts)


def test_token_by_token_equals_all_at_once(compiled: CompiledLayer) -> None:
    """The order of the hardware, one token through everything, gives the same words as the batch."""
    assert np.array_equal(_run(compiled, [24]), _run(compiled, [1] * 24))


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 23), max_size=4))
def test_any_cut_of_a_sequence_gives_the_same_words(compiled: CompiledLayer, cuts: list[int]) -> None:
    """A run may be continued at any token, inside a MoBA block or a window."""
    borders = sorted({0, 24, *cuts})
    assert np.array_equal(_run(compiled, [24]), _run(compiled, list(np.diff(borders))))


def test_sequences_do_not_touch_each_other(compiled: CompiledLayer) -> None:
    """Side by side or alone: caches and states of sequences are separate."""
    together = _run(compiled, [24])
    machine = Machine(compiled.program, 1)
    alone = machine.run({name: words[:, 1:2] for name, words in _inputs(compiled).items()})
    assert np.array_equal(together[:, 1:2], alone[compiled.program.text.outputs[0].name])


def test_small_score_blocks_change_nothing(compiled: CompiledLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention processed in blocks of a few queries, as long sequences are."""
    expected = _run(compiled, [24])
    monkeypatch.setattr(machine_module, "SCORE_WORDS", 700)
    assert np.array_equal(_run(compiled, [24]), expected)


def _typical_error(integer: torch.Tensor, reference: torch.Tensor, h: torch.Tensor) -> float:
    """Median over tokens of the output error against the layer's change of the residual stream.

    A median, because with random weights a block or partition choice near a tie may flip, which moves a few
    tokens far.
    """
    return float(((integer - reference).norm(dim=-1) / (reference - h).norm(dim=-1)).median())


def test_integer_layer_follows_the_float_layer(compiled: CompiledLayer) -> None:
    """INT8 absmax on random weights: each token's output within a few percent of the float layer's change."""
    hardware = HARDWARE.replace(**{"numerics.activation": "int8"})
    index = KINDS[compiled.layer.kind]
    exact = compiled_layer(small_config(), index, hardware)
    out = Machine(exact.program, 2).run(_inputs(exact))[exact.program.text.outputs[0].name]
    integer = torch.from_numpy(out).transpose(0, 1) / 2.0**STREAM
    reference = exact.layer(exact.h, torch.arange(24))
    assert _typical_error(integer, reference, exact.h) < 0.03


def test_a_program_survives_its_file(compiled: CompiledLayer, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Text and numbers read back equal, and run to the same words."""
    save_program(compiled.program, tmp_path)
    loaded = load_program(tmp_path, compiled.program.text.name)
    assert loaded.text == compiled.program.text
    out = Machine(loaded, 2).run(_inputs(compiled))[loaded.text.outputs[0].name]
    assert np.array_equal(out, _run(compiled, [24]))


@contextlib.contextmanager
def _by_events(coding: str) -> Iterator[list[int]]:
    """Golden machines whose gathers add rows event by event: acc += sign · (row << plane). Yields [spikes so far]."""
    seen = [0]

    def planes(counts: np.ndarray) -> list[tuple[int, np.ndarray]]:
        spikes = digits(counts, coding)
        seen[0] += int(np.count_nonzero(spikes))
        return list(zip(plane_weights(coding, len(spikes)), spikes.astype(np.int64), strict=True))

    def product(counts: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        rows = matrix.astype(np.int64).T
        return sum(weight * (spikes @ rows) for weight, spikes in planes(counts)).astype(np.int32)

    def batched_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        rows = right.astype(np.int64)
        return sum(weight * (spikes @ rows) for weight, spikes in planes(left)).astype(np.int32)

    def gather(state: State, dst: np.ndarray, counts: np.ndarray, copy: np.ndarray) -> None:
        own = state.rows[np.arange(len(copy)), copy].astype(np.int64)
        dst[...] = sum(weight * np.einsum("bhi,bhij->bhj", s, own) for weight, s in planes(counts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_module, "product", product)
        patch.setattr(machine_module, "batched_product", batched_product)
        patch.setattr(State, "gather", gather)
        yield seen


@pytest.mark.parametrize("coding", ["ternary", "bitwise", "twos_complement", "signed_digit"])
def test_events_of_every_coding_make_the_golden_words(compiled: CompiledLayer, coding: str) -> None:
    """Matrices, keys, values, block means and states, all read through the events of a coding."""
    expected = _run(compiled, [24])
    with _by_events(coding) as spikes:
        assert np.array_equal(_run(compiled, [24]), expected)
    assert spikes[0] > 0


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ways=st.sampled_from([1, 2, 16, 64]),
    lanes=st.sampled_from([1, 8, 32]),
    order=st.sampled_from(["plane", "row", "window"]),
    cores=st.sampled_from([1, 3]),
    skew=st.sampled_from([0, 1]),
    width=st.sampled_from([1, 8, 64]),
    coding=st.sampled_from(["ternary", "bitwise", "signed_digit"]),
)
def test_the_array_changes_cycles_but_never_a_value(
    compiled: CompiledLayer,
    ways: int,
    lanes: int,
    order: str,
    cores: int,
    skew: int,
    width: int,
    coding: str,
) -> None:
    """Ways, lanes, order, cores, skew, widths and coding are invisible: the words are what the events add up to."""
    hardware = HARDWARE.replace(
        **{
            "array.ways": ways,
            "array.lanes": lanes,
            "array.order": order,
            "array.skew": skew,
            "array.load_width": width,
            "array.drain_width": width,
            "system.cores": cores,
            "numerics.coding": coding,
        }
    )
    simulator = Simulator(
        compiled_layer(small_config(), KINDS[compiled.layer.kind], hardware).program, hardware, 2
    )
    out = simulator.run(_inputs(compiled))[compiled.program.text.outputs[0].name]
    with _by_events(coding) as spikes:
        assert np.array_equal(out, _run(compiled, [24]))
    assert spikes[0] > 0
    assert all(entry.spiking > 0 and entry.dense > 0 for entry in simulator.cycles)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_output_gate": False},
        {"sse_qk_relu": True},
        {"allow_neg_eigval": True},
        {"num_sparse_partition": 8, "num_writer": 3},
        {"qk_norm": False},
        {"attn_num_kv_heads": 4},
        {"head_dim": 8, "window_size": 100},
    ],
)
def test_other_forms_of_the_model_follow_float(changes: dict[str, object]) -> None:
    """Every flag that changes the function, on the layer that has it, INT8 absmax."""
    config = small_config(**changes)
    hardware = HARDWARE.replace(**{"numerics.activation": "int8"})
    for index in (0, 1):
        exact = compiled_layer(config, index, hardware, seed=index + 7)
        inputs = {"h": exact.words, **angles(config, 24, 2)}
        out = Machine(exact.program, 2).run(inputs)[exact.program.text.outputs[0].name]
        integer = torch.from_numpy(out).transpose(0, 1) / 2.0**STREAM
        reference = exact.layer(exact.h, torch.arange(24))
        assert _typical_error(integer, reference, exact.h) < 0.04
