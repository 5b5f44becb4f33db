"""The model that ships: it has learnt, and quantisation costs what the documentation says, on part of its text.

`make fidelity` measures the whole text; docs/measurements.md keeps the result.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.results import Report
from spikesim.tokens import InputRequest

MODEL = Path(__file__).parents[1] / "examples" / "tiny_dssa"
TOKENS = 4096


def _mapped(tmp_path: Path, **changes: object) -> Report:
    hardware = HardwareConfig().replace(**changes)
    return map_model(MODEL, output=tmp_path, hardware=hardware, request=InputRequest(max_tokens=TOKENS))


@pytest.mark.parametrize(
    ("changes", "rise_percent", "agreement"),
    [({"numerics.activation": "int8"}, 1.0, 0.97), ({"numerics.threshold_k": 3.0}, 3.0, 0.93)],
    ids=["int8", "threshold k=3"],
)
def test_integer_model_keeps_what_the_float_model_knows(
    tmp_path: Path, changes: dict[str, object], rise_percent: float, agreement: float
) -> None:
    report = _mapped(tmp_path, **changes)
    fidelity = report.fidelity
    assert fidelity.scored_tokens == TOKENS - report.input.sequences
    assert fidelity.increase_percent is not None
    assert fidelity.increase_percent <= rise_percent
    assert fidelity.top1_agreement is not None
    assert fidelity.top1_agreement >= agreement
    assert fidelity.state_overflows == 0
    assert fidelity.bits_per_byte is not None
    assert fidelity.bits_per_byte.float_model is not None
    text = (MODEL / "heldout.txt").read_bytes()
    assert fidelity.bits_per_byte.float_model < 8 * len(gzip.compress(text, 9)) / len(text)
    assert report.input.kind == "held-out text"
    assert set(report.model.layers) == {"moba", "sse", "full"}
