"""Samples of a network with state on the RTL, one after the other: each begins with zeros, on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.networks import SHAPE, SmallFrontEnd
from helpers.rtl_cores import CORES, built_core

from spikesim import flow
from spikesim.run.sample_files import sample_arrays
from spikesim.run.tokens import InputRequest
from spikesim.verify.job import Job, mapped_job
from spikesim.verify.lockstep import Lockstep

SAMPLES, STEPS = 200, 5
CORE = CORES["plane"]


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(flow, "NETWORKS", (SmallFrontEnd(),))
    x = (np.random.default_rng(0).random((SAMPLES, STEPS, *SHAPE)) < 0.3).astype(np.float32)
    (tmp_path / "out").mkdir()
    flow.map_model(
        tmp_path / "net.steps",
        output=tmp_path / "out",
        hardware=CORE.hardware,
        request=InputRequest(samples=sample_arrays(x)),
    )
    return tmp_path / "out"


def job(mapped: Path, steps: int) -> Job:
    return mapped_job(mapped, CORE.hardware, tokens=steps)


@pytest.mark.parametrize(
    ("steps", "samples"), [(3, None), (5, None), (9, 1), (10, 2), (1000, SAMPLES), (5000, SAMPLES)]
)
def test_whole_samples_run(mapped: Path, steps: int, samples: int | None) -> None:
    """As many as are within the steps that were asked for, or the beginning of the first."""
    found = job(mapped, steps)
    assert len(found.words) == min(steps, STEPS)
    assert (found.sequences is None) == (samples is None)
    if found.sequences is not None:
        assert found.sequences.shape[:2] == (samples, STEPS)
        assert np.array_equal(found.sequences[0], found.words)


def test_the_core_forgets_between_samples(mapped: Path, tmp_path: Path) -> None:
    """Every word, instruction and counter of 200 samples; the outputs are others where nothing is forgotten."""
    found = job(mapped, SAMPLES * STEPS)
    assert found.sequences is not None
    built = built_core("plane", CORE.config())
    lockstep = Lockstep(found.chain, found.hardware, built, tmp_path)
    result = lockstep.run(found.sequences)
    assert result.comparison.agrees, result.comparison.differences
    assert result.comparison.tokens == SAMPLES * STEPS
    few = found.sequences[:12]
    apart = lockstep.record(few, limit=100_000)
    joined = lockstep.record(few.reshape(-1, few.shape[-1]), limit=100_000)
    outputs = [np.array([token.output for token in each.tokens]) for each in (apart, joined)]
    assert np.array_equal(outputs[0][:STEPS], outputs[1][:STEPS])
    assert not np.array_equal(*outputs)
