"""The model that ships: it has learnt, and quantisation costs what docs/measurements.md says."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from helpers.places import CHECKOUT

from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.run.tokens import InputRequest

MODEL = CHECKOUT / "examples" / "tiny_dssa"


@pytest.mark.parametrize(
    ("changes", "tokens", "rise_percent", "agreement"),
    [
        ({"numerics.activation": "int8"}, 4096, 1.0, 0.97),
        # All of the text, on which 93.0 % are measured; other processors round the float model differently.
        ({"numerics.threshold_k": 3.0}, 49152, 3.0, 0.925),
    ],
    ids=["int8", "threshold k=3"],
)
def test_integer_model_keeps_what_the_float_model_knows(
    tmp_path: Path, changes: dict[str, object], tokens: int, rise_percent: float, agreement: float
) -> None:
    hardware = HardwareConfig().replace(**changes)
    request = InputRequest(max_tokens=tokens)
    report = map_model(MODEL, output=tmp_path, hardware=hardware, request=request)
    fidelity = report.fidelity
    assert fidelity.scored_tokens == tokens - report.input.sequences
    assert fidelity.increase_percent is not None
    assert fidelity.increase_percent <= rise_percent
    assert fidelity.top1_agreement is not None
    assert fidelity.top1_agreement >= agreement
    assert fidelity.state_overflows == 0
    assert fidelity.bits_per_byte is not None
    assert fidelity.bits_per_byte.float_model is not None
    text = (MODEL / "heldout.txt").read_bytes()[:tokens]
    assert fidelity.bits_per_byte.float_model < 8 * len(gzip.compress(text, 9)) / len(text)
    assert report.input.kind == "held-out text"
    assert set(report.model.layers) == {"moba", "sse", "full"}
