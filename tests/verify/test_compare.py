"""The comparison of a record with the simulator: what the RTL says of itself proves nothing."""

from __future__ import annotations

import numpy as np

from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.rtl.assemble import assemble
from spikesim.rtl.host.registers import COUNTER_NAMES
from spikesim.verify.compare import LockstepComparison, compare
from spikesim.verify.expected import expect
from spikesim.verify.job import self_test_job
from spikesim.verify.record import RTLRecord, TokenRecord

TOKENS = 3
INSTRUCTIONS = 3


def _compared(executed: int) -> LockstepComparison:
    """A core that agrees in all but this: it executed and counted only the first `executed` instructions of a token."""
    job = self_test_job(HardwareConfig(), TOKENS)
    layout = link(job.chain, job.hardware)
    executable = assemble(job.chain, layout, ways=job.hardware.array.ways, words=job.hardware.pointwise.words)
    expected = expect(job.chain, layout, job.hardware, job.words)
    cycles = expected.cycles[0]["spiking"]
    tokens = [
        TokenRecord(
            writes=np.column_stack([writes, writes[:, 0]]),
            instructions=np.array([[0, n, cycles[n, token], 0] for n in range(executed)], np.int64),
            output=expected.outputs[token],
        )
        for token, writes in enumerate(expected.writes)
    ]
    counters = dict.fromkeys(COUNTER_NAMES, 0) | {"instructions": TOKENS * executed}
    record = RTLRecord(tokens=tokens, counters=counters)
    return compare(job.programs, executable, expected, record, core="spiking", lanes=job.hardware.array.lanes)


def _counter_differs(comparison: LockstepComparison) -> bool:
    return any("counter instructions" in d.place for d in comparison.differences)


def test_the_number_of_instructions_does_not_come_from_the_record() -> None:
    """A core that leaves out an instruction records, and counts, one less; that is a difference."""
    assert not _counter_differs(_compared(INSTRUCTIONS))
    short = _compared(INSTRUCTIONS - 1)
    assert _counter_differs(short)
    (wrong,) = (d for d in short.differences if "counter instructions" in d.place)
    assert (wrong.expected, wrong.got) == (str(TOKENS * INSTRUCTIONS), str(TOKENS * (INSTRUCTIONS - 1)))
