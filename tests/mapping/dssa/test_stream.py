"""Binary points that follow from how large values become: of the residual stream, of norms, tables and logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.programs import angles, random_layer, small_config
from helpers.tried import tried

from spikesim.errors import NumericError
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_head, compile_layer, embed
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.stream import STREAM_HEADROOM, stream_fraction
from spikesim.mapping.ranges import RangeRecorder
from spikesim.program import Lookup, Program

HARDWARE = HardwareConfig().replace(**{"numerics.activation": "int8"})
TOKENS = 20


def lowered(
    config: DSSAConfig, index: int, scale: float, changes: dict[str, float] | None = None
) -> tuple[Program, torch.Tensor, torch.Tensor, int]:
    """A random layer on an input of this scale: its program, input, output and the binary point of the input."""
    layer = random_layer(config, index, 3)
    tensors = dict(layer.named_parameters())
    for name, factor in (changes or {}).items():
        tensors[name].mul_(factor)
    h = torch.randn(1, TOKENS, config.hidden_size) * scale
    ranges = RangeRecorder(config.moba_chunk_size if layer.kind == "moba" else 0)
    out = layer(h, torch.arange(TOKENS), tap=ranges)
    stream = stream_fraction(h[0])
    return compile_layer(config, index, tensors, ranges, HARDWARE, stream), h, out, stream


def run(program: Program, h: torch.Tensor, stream: int) -> tuple[torch.Tensor, Machine]:
    """The program's output as real numbers, and the machine after it."""
    words = np.rint(np.ldexp(h.double().numpy(), stream)).astype(np.int32).transpose(1, 0, 2).copy()
    machine = Machine(program)
    out = machine.run({"h": words, **angles(small_config(), TOKENS, 1)})["h_out"]
    return torch.from_numpy(out).double().mul(2.0 ** -program.text.outputs[0].format.fraction).transpose(
        0, 1
    ), machine


def test_a_stream_that_fits_is_left_alone() -> None:
    program, _, _, stream = lowered(small_config(), 0, 1.0)
    assert program.text.outputs[0].format.fraction == stream
    assert not [name for name in program.text.vectors if name.endswith((".rescaled", ".coarse", ".operand"))]


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["moba", "sse", "full"])
@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(
            scale,
            marks=tried(
                1,
                f"an embedding {text} times smaller than what the layers add",
                "no word of the stream saturates",
            ),
        )
        for scale, text in ((1e-5, "100,000"), (1e-8, "10⁸"), (1e-12, "10¹²"))
    ],
)
def test_a_stream_that_grows_gets_room(kind: int, scale: float) -> None:
    """The output is right, the binary point leaves the headroom and not twice as much, and nothing saturates."""
    program, h, expected, stream = lowered(small_config(norm_eps=1e-30), kind, scale)
    out, machine = run(program, h, stream)
    after = program.text.outputs[0].format.fraction
    assert after < stream
    peak = float(expected.abs().max())
    assert math.ldexp(STREAM_HEADROOM * peak, after) <= 2**31
    cut = {
        i.writes()[0].name
        for i, (_, beyond) in zip(program.instructions(), machine.cut.tolist(), strict=True)
        if beyond
    }
    assert not {name for name in cut if name.startswith(("h_", "h.", "mix", "mlp"))}
    # The median, since a block of MoBA that is chosen otherwise is another output.
    cosine = torch.nn.functional.cosine_similarity(out, expected.double(), dim=-1)
    assert float(cosine.median()) > 0.99


@pytest.mark.parametrize("kind", [0, 2], ids=["moba", "full"])
@tried(
    1, "activations so small that norm_eps outweighs their squares", "the norms are those of the float model"
)
def test_epsilon_counts_in_full_however_fine_the_binary_point(kind: int) -> None:
    """eps is 10¹⁰ times the mean square: a core that adds less of it makes activations too large."""
    program, h, expected, stream = lowered(small_config(norm_eps=1e-6), kind, 1e-8)
    assert "attn_norm.coarse" in program.text.vectors
    out, machine = run(program, h, stream)
    cosine = torch.nn.functional.cosine_similarity(out, expected.double(), dim=-1)
    assert float(cosine.median()) > 0.99
    length = out.norm(dim=-1) / expected.double().norm(dim=-1)
    assert float((length - 1).abs().median()) < 0.02
    assert not machine.cut[:, 1].sum() > 0.001 * machine.cut[:, 0].sum()


@pytest.mark.parametrize(
    "factor",
    [
        pytest.param(1e6, marks=tried(1, "gates beyond the range of the tables", "they are looked up right")),
        pytest.param(1e-7, marks=tried(1, "gates finer than the tables take", "they are looked up right")),
    ],
)
def test_tables_take_gates_of_any_size(factor: float) -> None:
    program, h, expected, stream = lowered(small_config(), 0, 1.0, {"mlp.gate_proj.weight": factor})
    assert all(0 <= i.fraction <= 31 for i in program.instructions() if isinstance(i, Lookup))
    assert "mlp.silu.sigmoid.operand" in program.text.vectors
    out, _ = run(program, h, stream)
    cosine = torch.nn.functional.cosine_similarity(out, expected.double(), dim=-1)
    assert float(cosine.min()) > 0.99


@pytest.mark.parametrize(
    ("size", "fraction"),
    [
        pytest.param(
            1.0, 16, marks=tried(1, "an output head of usual weights", "logits keep 16 fractional bits")
        ),
        pytest.param(
            1e5, None, marks=tried(1, "an output head whose logits exceed 32,768", "no logit saturates")
        ),
    ],
)
def test_no_logit_saturates(size: float, fraction: int | None) -> None:
    """The largest logit there can be: a vector along a row of the matrix."""
    config = small_config()
    weight = torch.randn(config.vocab_size, config.hidden_size) * size
    program = compile_head(config, weight, torch.ones(config.hidden_size), HARDWARE, 12)
    port = program.text.outputs[0]
    machine = Machine(program)
    rows = (weight / weight.norm(dim=1, keepdim=True) * 2**12).round().int().numpy()[:, None]
    logits = machine.run({"h": rows})["logits"][:, 0]
    assert machine.cut[:, 1].sum() == 0
    expected = weight.double().norm(dim=1).numpy() * math.sqrt(config.hidden_size)
    own = np.ldexp(np.diagonal(logits).astype(np.float64), -port.format.fraction)
    assert own == pytest.approx(expected, rel=0.02)
    if fraction is not None:
        assert port.format.fraction == fraction


@tried(1, "one row of the embedding four million times the others", "it fits, and loses nothing")
def test_the_largest_row_of_an_embedding_fits() -> None:
    embedding = torch.full((1000, 8), 0.01)
    embedding[7] = 4e4
    fraction = stream_fraction(embedding)
    words = embed(embedding, np.arange(1000), fraction)
    assert np.abs(words.astype(np.int64)).max() <= 2**30
    assert np.ldexp(words[7].astype(float), -fraction).tolist() == pytest.approx([4e4] * 8, rel=1e-6)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param(
            math.nan, "must be finite", marks=tried(1, "an embedding that is not a number", "refused by name")
        ),
        pytest.param(math.inf, "must be finite", marks=tried(1, "an infinite embedding", "refused by name")),
        pytest.param(
            1e38,
            "model.embeddings.weight must be small enough",
            marks=tried(1, "an embedding of 10³⁸", "refused: no binary point holds it"),
        ),
    ],
)
def test_an_embedding_that_no_binary_point_holds_is_refused(value: float, sentence: str) -> None:
    with pytest.raises(NumericError, match=sentence):
        stream_fraction(torch.full((4, 4), value))


@tried(1, "an embedding of zeros, or of the smallest numbers", "a binary point that a port may have")
def test_silent_embeddings_have_a_binary_point() -> None:
    assert stream_fraction(torch.zeros(4, 4)) == 11
    assert stream_fraction(torch.full((4, 4), 1e-40)) == 64


@pytest.mark.parametrize("value", [math.nan, math.inf])
@tried(1, "an output head that is not finite", "refused")
def test_a_head_that_is_not_finite_is_refused(value: float) -> None:
    config = small_config()
    weight = torch.full((config.vocab_size, config.hidden_size), value)
    with pytest.raises(NumericError, match="output head must be finite"):
        compile_head(config, weight, torch.ones(config.hidden_size), HARDWARE, 12)
