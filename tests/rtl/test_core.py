"""`SpikeCore`: what no program can bring about in the time of a test."""

from __future__ import annotations

from helpers.bench import run_bench

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.core import SpikeCore

SMALLEST = CoreConfig(
    ways=1,
    lanes=1,
    order="row",
    row_depth=16,
    state_depth=16,
    vector_depth=256,
    program_depth=4,
    encoder_rows=4,
    scatter_rows=4,
    blocks=2,
    pointwise_words=1,
)


def test_counters() -> None:
    """Beyond 32 bits: over 4 billion cycles otherwise."""
    run_bench(SpikeCore(SMALLEST), "core_counters", "core_counters")
