"""`VectorMemory`: its cocotb bench, one bank and many, and depths that fill no bank evenly."""

from __future__ import annotations

import json

import pytest
from helpers.bench import run_bench

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.vector import VectorMemory, interleaved

CONFIGURATIONS = {
    "one": CoreConfig(ways=1, vector_depth=37, pointwise_words=1),
    "two": CoreConfig(ways=8, vector_depth=61, load_width=2, pointwise_words=1),
    "four": CoreConfig(ways=8, vector_depth=100, load_width=2, pointwise_words=4),
    "eight": CoreConfig(ways=16, vector_depth=64, load_width=4, pointwise_words=4, drain_width=8),
    "sixteen": CoreConfig(ways=16, vector_depth=77),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_bench(name: str) -> None:
    config = CONFIGURATIONS[name]
    shape = {
        "depth": config.vector_depth,
        "read": config.read_words,
        "halves": config.loaded,
        "written": config.written_words,
    }
    run_bench(VectorMemory(config), f"vector_{name}", "vector", environment={"BENCH": json.dumps(shape)})


def test_interleaved() -> None:
    assert interleaved(list(range(7)), 4) == [[0, 4], [1, 5], [2, 6], [3]]
