"""`run_core`: whole tokens on the gates of a core, in 64 streams, checked against the simulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.host import HostPort
from spikesim.compare.measured import GateRun, delays, summed
from spikesim.compare.settings import STREAMS
from spikesim.compare.work import Work
from spikesim.errors import NumericError
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.waveforms import GateTimer
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.timing.analysis import StaticTiming
from spikesim.rtl.images import row_images, vector_image
from spikesim.support.arithmetic import ceil_div
from spikesim.support.progress import SILENT, Progress

_CLEARING = 1 << 20
"""Cycles within which the core must have cleared its states."""
_SETTLE = 8
"""Cycles until the counters have counted the last event."""


def images(work: Work) -> dict[str, NDArray[np.uint64] | list[int]]:
    """What lies in the memories before the first token, by the name of the memory's image."""
    array = work.hardware.array
    rows = row_images(work.chain.programs, work.layout, ways=array.ways, lanes=array.lanes)
    contents: dict[str, NDArray[np.uint64] | list[int]] = {
        "program": [instruction.word() for instruction in work.executable.instructions],
        "vector": vector_image(work.chain.programs, work.layout).astype(np.uint64),
    }
    return contents | {f"row_{bank:02}": packed_rows(rows[bank]) for bank in range(array.ways)}


def packed_rows(rows: NDArray[np.int8]) -> NDArray[np.uint64]:
    """rows: int8[rows, lanes] -> uint64[rows], or uint64[rows, chunks] beyond 8 lanes; lane 0 in the lowest byte."""
    count, lanes = rows.shape
    chunks = ceil_div(lanes, 8)
    padded = np.zeros((count, 8 * chunks), np.uint8)
    padded[:, :lanes] = rows.view(np.uint8)
    words: NDArray[np.uint64] = padded.view("<u8").astype(np.uint64)
    return words if chunks > 1 else words[:, 0]


def named(netlist: Netlist) -> dict[str, str]:
    """The names of a netlist's memories by the names of their images, for those that have one."""
    return {
        image: box.name for box in netlist.boxes if (image := box.parameters.get("IMAGE", "none")) != "none"
    }


def run_core(
    netlist: Netlist,
    timing: StaticTiming,
    work: Work,
    *,
    dense: bool,
    sample_every: int,
    access_s: Mapping[str, float],
    progress: Progress = SILENT,
) -> GateRun:
    """All of the work's tokens, and what they cost. Raises NumericError if a word or a cycle differs.

    `sample_every`: cycles of which one is simulated with delays. `access_s`: of memories, by name.
    """
    names = named(netlist)
    contents = {names[image]: words for image, words in images(work).items()}
    simulator = GateSimulator(netlist, memories=contents)
    host, vector = HostPort(simulator), names["vector"]
    expected = work.cycles["dense" if dense else "spiking"]
    host.reset()
    host.write("ENTRY", work.executable.clear_entry)
    host.write("CONTROL", 3)
    host.wait(_CLEARING, 1 << 12)
    host.write("POSITION", 0)
    host.write("CLEAR", 1)
    host.write("ENTRY", work.executable.token_entry)
    timer = GateTimer(simulator.program, delays(timing, access_s))
    activities, accesses = [], []
    with progress.stage("tokens on gates", len(work.words)) as advance:
        for token, words in enumerate(work.words):
            _put(simulator, vector, work.layout.input, words)
            host.write("CONTROL", 1)
            simulator.reset_counts()
            # Streams take some per mille more or fewer cycles: the fastest ones rest at the end.
            cycles = int(expected[token].max())
            simulator.run(cycles, timer=timer, sample_every=sample_every)
            activities.append(simulator.activity())
            accesses.append(simulator.memory_counts())
            simulator.run(_SETTLE)
            got = simulator.memory(vector)[:, work.layout.output :, 0].astype(np.uint32).view(np.int32)
            wanted = work.outputs[token]
            _check_words(got[:, : wanted.shape[1]], wanted, token)
            advance()
    counted = host.read("CYCLES_LOW")
    if not np.array_equal(counted, expected.sum(axis=0).astype(np.uint64)):
        stream = int(np.argmax(counted != expected.sum(axis=0)))
        raise NumericError(
            f"the netlist must take {expected[:, stream].sum()} cycles in stream {stream}, as the simulator says, "
            f"not {counted[stream]}"
        )
    activity = activities[0]
    for more in activities[1:]:
        activity = activity + more
    return GateRun(
        activity=activity,
        memories=summed(accesses, [1.0] * len(accesses)),
        glitches=timer.glitches(),
        cycles=float(expected.sum(axis=0).mean()),
        values=work.outputs.size,
        tokens=work.words.shape[0] * STREAMS,
    )


def _put(simulator: GateSimulator, memory: str, address: int, words: NDArray[np.int32]) -> None:
    """words: int32[streams, words], what the host would send over the input stream."""
    simulator.load(memory, words.view(np.uint32).astype(np.uint64), address)


def _check_words(got: NDArray[np.int32], wanted: NDArray[np.int32], token: int) -> None:
    if not np.array_equal(got, wanted):
        stream, word = (int(i) for i in np.argwhere(got != wanted)[0])
        raise NumericError(
            f"the netlist must compute what the simulator does, but output word {word} of token {token} in stream "
            f"{stream} is {got[stream, word]}, not {wanted[stream, word]}"
        )
