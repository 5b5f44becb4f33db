"""`Session`: programs run one after the other, words going from port to port as a chain's links say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from spikesim.golden.frame import Words
from spikesim.program import Chain, End, Link, Program
from spikesim.program.verifier import verify_stream
from spikesim.run.simulator import Simulator

BLOCK_WORDS = 2**26
"""Vector words that may be alive at once while all sequences run side by side: bounds memory."""

_OUTSIDE = End(program="outside", port="result")
"""Takes the result of a chain, so that it is kept."""

Take = Callable[[slice, Words], None]
"""Given some steps and the words at a program's first output for them, int32[steps, sequences, words]."""


class Session:
    """Runs the programs of a chain in order, each for all steps; keeps what a later program still takes.

    `links`: of the whole chain; programs may be made while the session goes on. `words`: what comes in,
    int32[steps, sequences, words]. What leaves and no program takes, such as the result, is handed out in parts and not
    kept.
    """

    def __init__(self, links: Sequence[Link], words: Words) -> None:
        verify_stream(words)
        self.links = links
        self._sources = {link.to: link.source for link in links}
        self._waiting = Counter(link.source for link in links)
        self._values: dict[End | None, Words] = {None: words}
        self._shape = words.shape[:2]
        self.sequences = words.shape[1]

    def inputs(self, program: Program) -> dict[str, Words]:
        """What comes into a program, by port; without a port, an array without words that says how many steps."""
        found = {}
        for port in program.text.inputs:
            source = self._sources[End(program=program.text.name, port=port.name)]
            found[port.name] = self._values[source]
        return found or {"steps": np.zeros((*self._shape, 0), np.int32)}

    def run(self, simulator: Simulator, take: Take | None = None) -> None:
        """The next program, in blocks of steps; `take` sees each block."""
        program, inputs = simulator.program, self.inputs(simulator.program)
        wanted = [end for end in self._ends(program) if self._waiting[end]]
        for end in wanted:
            self._values[end] = np.empty((*self._shape, program.text.vectors[end.port]), np.int32)
        first = program.text.outputs[0].name
        for steps in self.blocks(program):
            vectors = simulator.run({name: words[steps] for name, words in inputs.items()})
            for end in wanted:
                self._values[end][steps] = vectors[end.port]
            if take is not None:
                take(steps, vectors[first])
            del vectors  # not a block more than one at a time
        self._forget(program)

    def value(self, end: End | None) -> Words:
        """What left at a port, or came in for None, and is still to be taken, int32[steps, sequences, words]."""
        return self._values[end]

    def _ends(self, program: Program) -> list[End]:
        return [End(program=program.text.name, port=name) for name in program.text.output_names]

    def blocks(self, program: Program) -> Iterator[slice]:
        """The steps of a run in parts that do not take too much memory."""
        steps, sequences = self._shape
        block = max(1, BLOCK_WORDS // (sequences * sum(program.text.vectors.values())))
        return (slice(start, min(start + block, steps)) for start in range(0, steps, block))

    def _forget(self, program: Program) -> None:
        """Drops what this program was the last to take."""
        for name in program.text.input_names:
            source = self._sources[End(program=program.text.name, port=name)]
            self._waiting[source] -= 1
            if not self._waiting[source]:
                self._values.pop(source, None)


def run_chain(chain: Chain, simulators: Sequence[Simulator], words: NDArray[np.int32]) -> NDArray[np.int32]:
    """Runs words: int32[steps, sequences, words] through all programs of a verified chain, a simulator for each.

    Returns its result, int32[steps, sequences, words]. Raises ProgramError if the words do not fit.
    """
    session = Session((*chain.links, Link(to=_OUTSIDE, source=chain.output)), words)
    for simulator in simulators:
        session.run(simulator)
    return session.value(chain.output)
