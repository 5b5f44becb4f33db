"""The model that ships: it has learnt, and quantisation costs what docs/measurements.md says, whatever its scale."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried
from small_embedding import int8_agreement, with_small_embedding

from spikesim.flow import map_model, simulate_mapping
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


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """A short text, so that the test is quick."""
    path = tmp_path / "calibration.txt"
    path.write_bytes((MODEL / "calibration.txt").read_bytes()[:3000])
    return path


@pytest.mark.parametrize(
    "factor",
    [
        pytest.param(
            1e-8,
            marks=tried(
                1,
                "a trained model whose stream exceeds its embedding by 2³⁰",
                "no word of it saturates, top-1 is that of INT8 projections alone",
            ),
        ),
        pytest.param(
            1e-5,
            marks=tried(
                1,
                "a trained model whose stream exceeds its embedding by 2²¹",
                "no word of it saturates, top-1 is that of INT8 projections alone",
            ),
        ),
    ],
)
def test_a_small_embedding_costs_no_more_than_int8_does(
    tmp_path: Path, calibration: Path, factor: float
) -> None:
    model = with_small_embedding(tmp_path / "model", factor)
    (tmp_path / "mapped").mkdir()
    report = map_model(
        model,
        output=tmp_path / "mapped",
        hardware=HardwareConfig().replace(**{"numerics.activation": "int8"}),
        request=InputRequest(text=MODEL / "heldout.txt", max_tokens=256),
        calibration=calibration,
    )
    assert report.saturation is not None
    assert {row.limit for row in report.saturation.places} <= {127}
    assert not report.saturation.warned
    ideal = int8_agreement(model, (MODEL / "heldout.txt").read_bytes()[:256], 256)
    assert report.fidelity.top1_agreement is not None
    # Keys, values and states are integers too, and 256 tokens are few. A stream that saturates costs ten times as much.
    assert report.fidelity.top1_agreement >= ideal - 0.04
    assert not report.fidelity.better_than_float
    fractions = report.quantisation["stream_fraction"]
    assert fractions["layer_03"] < fractions["input"]
    assert simulate_mapping(tmp_path / "mapped").saturation == report.saturation
