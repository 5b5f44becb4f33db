"""The whole core in a system of somebody else's parts: cocotbext-axi as bus master, stream source and sink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.bench import run_bench
from helpers.micro_model import micro_model

from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.emit import resident_config
from spikesim.verify.bench import write_design
from spikesim.verify.job import model_job
from spikesim.verify.lockstep import enlarged, one_core

CONTEXT = 5


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SpikeCore]:
    """A model of both kinds of layers with room for a few tokens, its images, and the core that holds it."""
    folder = tmp_path_factory.mktemp("system")
    hardware = HardwareConfig().replace(**{"array.ways": 2, "array.lanes": 4, "pointwise.words": 1})
    job = model_job(micro_model(folder / "model.pt"), one_core(hardware), tokens=CONTEXT, context=CONTEXT)
    sized, _ = enlarged(job.chain, job.hardware)
    job = replace(job, hardware=sized)
    emitted = folder / "emitted"
    emitted.mkdir()
    write_design(emitted, job)
    return emitted, SpikeCore(resident_config(sized, link(job.chain, sized)))


def test_in_a_system(design: tuple[Path, SpikeCore]) -> None:
    folder, core = design
    run_bench(core, "spike_core", "system", environment={"DESIGN": str(folder)})
