"""A trace: from one run the cycles of any array, the same that a run on that array gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.programs import angles, compiled_layer, small_config

from spikesim.errors import CheckpointError
from spikesim.golden.effects import TraceRecorder
from spikesim.hardware import HardwareConfig
from spikesim.program.trace import Trace
from spikesim.run.observers import InstructionCost, costs
from spikesim.run.simulator import Simulator

TOKENS, SEQUENCES = 17, 2
ARRAYS = [
    {"array.ways": 4, "array.lanes": 8, "array.order": "row"},
    {"array.ways": 16, "array.lanes": 4, "numerics.coding": "ternary", "array.skew": 1},
    {"array.ways": 2, "array.scan_bits": 4, "numerics.coding": "bitwise", "system.cores": 3},
]


def run(kind: int, hardware: HardwareConfig, recorder: TraceRecorder | None = None) -> Simulator:
    config = small_config()
    compiled = compiled_layer(config, kind, HardwareConfig(), tokens=TOKENS, sequences=SEQUENCES)
    observers = [] if recorder is None else [recorder]
    simulator = Simulator(compiled.program, hardware, SEQUENCES, observers=observers)
    inputs = {"h": compiled.words, **angles(config, TOKENS, SEQUENCES)}
    # in two parts: a trace has the tokens as they came
    simulator.run({name: words[:9] for name, words in inputs.items()})
    simulator.run({name: words[9:] for name, words in inputs.items()})
    return simulator


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_trace_gives_the_cycles_of_every_array(kind: int, tmp_path: Path) -> None:
    recorder = TraceRecorder()
    program = run(kind, HardwareConfig(), recorder).program
    recorder.trace.save(tmp_path / "trace.safetensors")
    trace = Trace.load(tmp_path / "trace.safetensors")
    seen: list[list[InstructionCost]] = []
    for changes in ({}, *ARRAYS):
        hardware = HardwareConfig().replace(**changes)
        seen.append(costs(program, trace, hardware))
        assert seen[-1] == run(kind, hardware).cycles
    assert sum(cost.spiking for cost in seen[0]) != sum(cost.spiking for cost in seen[1])


def test_a_trace_holds_no_values_of_vectors(tmp_path: Path) -> None:
    """A byte per count that is read, eight per token for its place, and little else."""
    recorder = TraceRecorder()
    program = run(1, HardwareConfig(), recorder).program
    recorder.trace.save(tmp_path / "trace.safetensors")
    gathered = sum(i.counts.words for i in program.instructions() if hasattr(i, "counts"))
    others = 8 * sum(1 for _ in program.instructions()) + 64
    size = (tmp_path / "trace.safetensors").stat().st_size
    assert size < TOKENS * SEQUENCES * (gathered + others) + 400 * len(recorder.trace)


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing", b"\x08\0\0\0\0\0\0\0{}      "],
    ids=["empty", "text", "no arrays"],
)
def test_what_is_no_trace_is_refused_or_empty(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "trace.safetensors"
    path.write_bytes(content)
    if content.endswith(b"{}      "):
        assert len(Trace.load(path)) == 0
    else:
        with pytest.raises(CheckpointError, match="must be a trace of a run"):
            Trace.load(path)


def test_arrays_of_another_kind_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "trace.safetensors"
    part = {"0.x.0.positions": np.zeros(2, np.int64), "0.x.0.first_key": np.zeros(1, np.int64)}
    save_file({**part, "0.x.0.counts": np.zeros((2, 1, 3), np.int32)}, path)
    with pytest.raises(CheckpointError, match="counts must be int8, not int32"):
        Trace.load(path)
    save_file({**part, "0.x.0.other": np.zeros(2, np.int8)}, path)
    with pytest.raises(CheckpointError, match="must be a trace of a run"):
        Trace.load(path)
