"""`run_core`: whole tokens on the gates of a core, in 64 streams, checked against the simulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.host import HostPort
from spikesim.compare.measured import GateRun, delays, summed
from spikesim.compare.settings import STREAMS
from spikesim.compare.vector import GateVector
from spikesim.compare.work import Work
from spikesim.cores import CoreName
from spikesim.errors import NumericError
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.waveforms import GateTimer
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.timing.analysis import StaticTiming
from spikesim.program import Chain
from spikesim.program.layout import CoreLayout
from spikesim.rtl.assemble import Executable
from spikesim.rtl.config import CoreConfig, core_config
from spikesim.rtl.images import row_images, vector_image
from spikesim.rtl.vector import image_of, interleaved
from spikesim.support.arithmetic import ceil_div
from spikesim.support.progress import SILENT, Progress

_CLEARING = 1 << 20
"""Cycles within which the core must have cleared its states."""
_SETTLE = 8
"""Cycles until the counters have counted the last event."""


Images = dict[str, NDArray[np.uint64] | list[int]]


def images(work: Work) -> Images:
    """What lies in the memories before the first token, by the name of the memory's image."""
    return images_of(work.chain, work.layout, work.executable, core_config(work.hardware))


def images_of(chain: Chain, layout: CoreLayout, executable: Executable, config: CoreConfig) -> Images:
    """The same of a chain that is linked and assembled."""
    rows = row_images(chain.programs, layout, ways=config.ways, lanes=config.lanes)
    words = vector_image(chain.programs, layout).astype(np.uint64)
    contents: Images = {"program": [instruction.word() for instruction in executable.instructions]}
    contents |= {image_of(b): own for b, own in enumerate(interleaved(words, config.vector_banks))}
    return contents | {f"row_{bank:02}": packed_rows(rows[bank]) for bank in range(config.ways)}


class GateCore:
    """The netlist of a core with a chain in its memories, in 64 streams, driven as a host does."""

    def __init__(
        self, netlist: Netlist, contents: Images, layout: CoreLayout, executable: Executable
    ) -> None:
        names = named(netlist)
        self.layout, self.executable = layout, executable
        self.simulator = GateSimulator(
            netlist, memories={names[image]: words for image, words in contents.items()}
        )
        self.vector = GateVector(self.simulator, names)
        self.host = HostPort(self.simulator)

    def clear(self) -> None:
        """Resets the core and empties caches and states: a sequence begins."""
        host = self.host
        host.reset()
        host.write("ENTRY", self.executable.clear_entry)
        host.write("CONTROL", 3)
        host.wait(_CLEARING, 1 << 12)
        host.write("POSITION", 0)
        host.write("CLEAR", 1)
        host.write("ENTRY", self.executable.token_entry)

    def start(self, words: NDArray[np.int32]) -> None:
        """words: int32[streams, words], what the host would send over the input stream; starts a step."""
        self.vector.load(words, self.layout.input)
        self.host.write("CONTROL", 1)

    def output(self, words: int) -> NDArray[np.int32]:
        """int32[streams, words]: the result of the last step."""
        return self.vector.words(self.layout.output, words)


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
    core_name: CoreName,
    sample_every: int,
    access_s: Mapping[str, float],
    progress: Progress = SILENT,
) -> GateRun:
    """All of the work's tokens, and what they cost. Raises NumericError if a word or a cycle differs.

    `sample_every`: cycles of which one is simulated with delays. `access_s`: of memories, by name.
    """
    core = GateCore(netlist, images(work), work.layout, work.executable)
    simulator = core.simulator
    expected = work.cycles[core_name]
    core.clear()
    timer = GateTimer(simulator.program, delays(timing, access_s))
    activities, accesses = [], []
    with progress.stage("tokens on gates", len(work.words)) as advance:
        for token, words in enumerate(work.words):
            core.start(words)
            simulator.reset_counts()
            # Streams take some per mille more or fewer cycles: the fastest ones rest at the end.
            cycles = int(expected[token].max())
            simulator.run(cycles, timer=timer, sample_every=sample_every)
            activities.append(simulator.activity())
            accesses.append(simulator.memory_counts())
            simulator.run(_SETTLE)
            wanted = work.outputs[token]
            _check_words(core.output(wanted.shape[1]), wanted, token)
            advance()
    counted = core.host.read("CYCLES_LOW")
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


def _check_words(got: NDArray[np.int32], wanted: NDArray[np.int32], token: int) -> None:
    if not np.array_equal(got, wanted):
        stream, word = (int(i) for i in np.argwhere(got != wanted)[0])
        raise NumericError(
            f"the netlist must compute what the simulator does, but output word {word} of token {token} in stream "
            f"{stream} is {got[stream, word]}, not {wanted[stream, word]}"
        )
