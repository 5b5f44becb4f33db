"""Other arithmetics beside spiking: dense INT8, dense INT8 that skips zeros, FP8 and published FP16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.bases import parts_of
from spikesim.compare.designs import TOP, Source, build
from spikesim.compare.keys import data_digest
from spikesim.compare.measure import Job
from spikesim.compare.measured import GateRun, delays, unit_figures
from spikesim.compare.parts import ARRAY, OFFSET
from spikesim.compare.settings import STREAMS
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork
from spikesim.errors import NumericError
from spikesim.golden import fp8
from spikesim.power_models.constants import FP16_ADDITION, FP16_ENERGY, FP16_MULTIPLICATION
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.waveforms import GateTimer
from spikesim.power_models.gates.words import pack, unpack
from spikesim.results.comparison import Agreement, Baseline, Design
from spikesim.rtl.baseline.fp8_sum import Fp8Sum, fp8_latency
from spikesim.rtl.verilog import verilog
from spikesim.support.arithmetic import ceil_div
from spikesim.support.progress import SILENT, Progress

FP8_LANES = 2
"""Lanes of the FP8 netlist; its figures are given per way and lane."""


def int8_baseline(
    design: Design, operations: float, *, ways: int, lanes: int, label: str, note: str, frequency_hz: float
) -> Baseline:
    """An array design as a baseline, per one of the `operations` of its token."""
    mine = parts_of(design, (ARRAY, OFFSET))
    return Baseline(
        label=label,
        area_um2=mine.area / (ways * lanes),
        energy_pj=1e9 * mine.power * design.cycles_per_token / frequency_hz / operations,
        worst_slack_ns=design.timing.worst_slack_ns,
        note=note,
    )


def fp16_baseline() -> Baseline:
    """Published figures of a multiplication and an addition."""
    return Baseline(
        label="FP16 (published)",
        area_um2=FP16_MULTIPLICATION.value + FP16_ADDITION.value,
        energy_pj=FP16_ENERGY.value,
        note="multiplication and addition, 45 nm, 0.9 V, Horowitz, ISSCC 2014; no operand or sum registers",
    )


def fp8_job(
    technology: Technology, gathers: Sequence[GatherWork], ways: int, progress: Progress = SILENT
) -> Job:
    """The FP8 array on the same gathers, a few columns of each, its numbers rounded to E4M3."""
    source = Source(text=verilog(Fp8Sum(ways=ways, lanes=FP8_LANES), TOP), lists_serve_gathers=False)

    def measure() -> dict[str, Any]:
        with progress.stage("build FP8"):
            built = build(source, technology)
        simulator = GateSimulator(built.netlist)
        timer = GateTimer(simulator.program, delays(built.timing, {}))
        simulator.run(4, {"rst": 1})
        simulator.run(1, {"rst": 0})
        simulator.reset_counts()
        values = 0
        for gather in gathers:
            values += _multiply(simulator, timer, gather, ways)
        activity = simulator.activity()
        run = GateRun(
            activity=activity,
            memories={},
            glitches=timer.glitches(),
            cycles=activity.cycles / STREAMS,
            values=values,
            tokens=STREAMS,
        )
        figures = unit_figures(
            built.netlist,
            built.timing,
            run,
            frequency_hz=technology.frequency_hz,
            parts=[ARRAY] * len(built.parts),
            macros=(),
        )
        return Design(
            name="fp8_array",
            label="FP8 (E4M3) array",
            cells=built.netlist.cells,
            flip_flops=built.synthesis.flip_flops,
            units=figures.units,
            cycles_per_token=run.cycles,
            timing=built.figures,
            lockstep=Agreement(tokens=STREAMS, cycles=activity.cycles, values=values),
            glitches=figures.glitches,
        ).model_dump(mode="json")

    data = data_digest(*(part for gather in gathers for part in (gather.matrix, gather.counts)))
    inputs = [source.text, data, *technology.conditions(__name__)]
    return Job(inputs=inputs, measure=measure, technology=technology)


def fp8_baseline(design: Design, *, ways: int, frequency_hz: float) -> Baseline:
    """Per product: the array takes `ways` × FP8_LANES of them in every cycle."""
    mine = parts_of(design)
    slots = ways * FP8_LANES
    return Baseline(
        label="FP8 (E4M3)",
        area_um2=mine.area / slots,
        energy_pj=1e9 * mine.power / frequency_hz / slots,
        worst_slack_ns=design.timing.worst_slack_ns,
        note="same generator and registers; the model's counts and weights rounded to E4M3, fixed-point sums",
    )


def _multiply(simulator: GateSimulator, timer: GateTimer, gather: GatherWork, ways: int) -> int:
    """The first FP8_LANES columns of a gather; -> words compared. Raises NumericError if one differs."""
    channels = gather.matrix.shape[1]
    rows = ceil_div(channels, ways)
    weights = np.zeros((rows * ways, FP8_LANES), np.uint8)
    weights[:channels] = fp8.encode(gather.matrix[:FP8_LANES].T * (fp8.LARGEST / 127))
    scale = fp8.LARGEST / max(1, int(np.abs(gather.counts).max()))
    activations = np.zeros((STREAMS, rows * ways), np.uint8)
    activations[:, :channels] = fp8.encode(gather.counts * scale)
    stimulus: dict[str, NDArray[np.uint64]] = {}
    for way in range(ways):
        mine = activations[:, way::ways].T  # [rows, streams]
        stimulus[f"activations__{way}"] = pack(mine, 8)
        packed = sum(weights[way::ways, lane].astype(np.int64) << 8 * lane for lane in range(FP8_LANES))
        stimulus[f"weights__{way}"] = pack(
            np.repeat(np.asarray(packed)[:, None], STREAMS, axis=1), 8 * FP8_LANES
        )
    steps = np.full((rows, STREAMS), 2)
    steps[0] = 3
    stimulus["step"] = pack(steps, 2)
    simulator.run(rows, stimulus, timer=timer, sample_every=max(1, rows // 4))
    ports = [f"sums__{lane}" for lane in range(FP8_LANES)]
    run = simulator.run(fp8_latency(ways), {"step": 0}, record=ports)
    for stream in range(STREAMS):
        wanted, _ = fp8.dot(activations[stream], weights)
        for lane, port in enumerate(ports):
            words = run.outputs[port][-1]
            got = int(unpack(words)[stream])
            if got != int(wanted[lane]) % (1 << words.size):
                raise NumericError(
                    f"the FP8 netlist must compute what the model of its arithmetic does, but sum {lane} of "
                    f"{gather.name} in stream {stream} is {got}, not {int(wanted[lane]) % (1 << words.size)}"
                )
    return STREAMS * FP8_LANES
