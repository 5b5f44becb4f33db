"""A core for somebody else's system: a model of both kinds of layers, all that `benches/system.py` reads of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers.micro_model import micro_model

from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.emit import resident_config
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.verify.bench import write_design
from spikesim.verify.job import Job, model_job
from spikesim.verify.lockstep import enlarged, one_core

CONTEXT = 5
STATE_TOKENS = 2
"""After so many tokens the states are compared with the golden model's."""

SIZES = {"array.ways": 2, "array.lanes": 4, "pointwise.words": 1}
SIZES |= {"memory.vector_words": 2048, "memory.program_words": 256 * 16}
"""Powers of two: beyond a memory's end an address whose upper bits were ignored would be one that is there."""


def system_design(folder: Path) -> tuple[Path, CoreConfig]:
    """The emitted design with room for a few tokens, in a new folder within `folder`, and the core that holds it."""
    hardware = HardwareConfig().replace(**SIZES)
    job = model_job(micro_model(folder / "model.pt"), one_core(hardware), tokens=CONTEXT, context=CONTEXT)
    sized, _ = enlarged(job.chain, job.hardware)
    job = replace(job, hardware=sized)
    emitted = folder / "emitted"
    emitted.mkdir()
    write_design(emitted, job)
    np.save(emitted / "states.npy", golden_states(job))
    config = resident_config(sized, link(job.chain, sized))
    assert config.state_depth < config.row_depth
    for depth in (config.program_depth, config.vector_depth, config.row_depth, config.state_depth):
        assert depth & depth - 1 == 0
    return emitted, config


def golden_states(job: Job) -> np.ndarray:
    """int16[rows, ways, lanes]: state memory after STATE_TOKENS tokens, as docs/rtl.md lays it out."""
    ways, lanes = job.hardware.array.ways, job.hardware.array.lanes
    layout = link(job.chain, job.hardware)
    simulators = [Simulator(program, job.hardware) for program in job.programs]
    run_chain(job.chain, simulators, job.words[:STATE_TOKENS, None])
    memory = np.zeros((layout.state_words, ways, lanes), np.int16)
    for simulator, own in zip(simulators, layout.programs, strict=True):
        for name, state in simulator.machine.states.items():
            place, rows = own.states[name], state.rows[0]
            for copy, head, i, j in np.ndindex(rows.shape):
                row = place.operand.base + copy * place.copy_stride + head * place.operand.head_stride
                row += j // lanes * place.operand.chunk_stride + i // ways
                memory[row, i % ways, j % lanes] = rows[copy, head, i, j]
    assert len(np.unique(memory & 0xFF)) > 8
    assert len(np.unique(memory >> 8)) > 4
    return memory
