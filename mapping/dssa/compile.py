"""From a float layer and its ranges to a program: the compiler's entry points.

A model is compiled as one program per piece, in the order in which the core runs them for a token: `position` (RoPE
angles, shared by all layers), one per layer (residual stream in, residual stream out), and `head` (logits). The host
does no more than look up the embedding row and, if it generates, pick the largest logit.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.errors import ConfigError, NumericError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.blocks import encode, product_of, rms_norm, silu, statistic_for
from spikesim.mapping.builder import ProgramBuilder, Value
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.lower_attention import attend, attention_outputs
from spikesim.mapping.dssa.lower_sse import recur, sse_outputs
from spikesim.mapping.dssa.lowering import Lowering, Output, Tensors, activation, project, wide
from spikesim.mapping.dssa.stream import with_room, within_format
from spikesim.mapping.ranges import RangeRecorder, fraction_for
from spikesim.program import WORD_LIMIT, End, Format, Link, Phase, Port, Program, Requires

LOGIT_FRACTION = 16
"""Of logits below 2¹⁵; larger ones have fewer fractional bits, so that none saturates."""

ANGLE = Format(fraction=15, bits=17)
"""Sines and cosines, ±1 included."""


def embed(embedding: torch.Tensor, tokens: NDArray[np.int64], fraction: int) -> NDArray[np.int32]:
    """Rows of the embedding for tokens[...], as residual-stream words int32[..., hidden]."""
    rows = embedding[torch.from_numpy(np.ascontiguousarray(tokens))].to(torch.float64)
    return (
        torch.round(torch.ldexp(rows, torch.tensor(float(fraction), dtype=torch.float64)))
        .clamp(-WORD_LIMIT, WORD_LIMIT)
        .to(torch.int32)
        .numpy()
    )


def compile_position(config: DSSAConfig) -> Program:
    """The program that makes this token's RoPE angles: vectors "cos" and "sin", int32[head size / 2]."""
    builder = ProgramBuilder("position")
    half = config.head_dim // 2
    # The published tables take ω in float32; θ^(−2i/D) is evaluated the same way before it is turned into turns.
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    omega = (1.0 / torch.pow(torch.tensor(config.rope_theta, dtype=torch.float32), exponent)).double().numpy()
    turns = np.rint(omega / (2 * math.pi) * 2.0**32).astype(np.int64)
    increment = builder.constant("rope.increment", (turns & 0xFFFFFFFF).astype(np.uint32).view(np.int32))
    with builder.section("parallel"):
        builder.emit(
            Phase(cos=builder.vector("cos", half), sin=builder.vector("sin", half), increment=increment)
        )
    return builder.build(inputs=(), outputs=_angles(config))


def compile_layer(
    config: DSSAConfig,
    index: int,
    tensors: Tensors,
    ranges: RangeRecorder,
    hardware: HardwareConfig,
    stream: int,
) -> Program:
    """Layer `index` as a program from "h" to "h_out", residual-stream words int32[hidden].

    `stream`: the binary point of "h"; that of "h_out" is in its port. `tensors`: the layer's float tensors by their
    names inside the layer. `ranges`: recorded while the float layer ran on calibration data.
    """
    kind = config.layer_kinds[index]
    builder = ProgramBuilder(layer_name(index), _requires(hardware))
    low = Lowering(builder=builder, config=config, tensors=tensors, ranges=ranges, numerics=hardware.numerics)
    for port in _angles(config):
        builder.vector(port.name, port.words)
    h = Value(view=builder.vector("h", config.hidden_size), fraction=stream, limit=WORD_LIMIT)
    mixed = _sse_layer(low, h, hardware) if kind == "sse" else _softmax_layer(low, h, kind, hardware)
    out = _mlp(low, mixed)
    return builder.build(
        inputs=(_stream("h", config, stream), *_angles(config)),
        outputs=(_stream(out.view.name, config, out.fraction),),
    )


def compile_head(
    config: DSSAConfig, weight: torch.Tensor, norm: torch.Tensor, hardware: HardwareConfig, stream: int
) -> Program:
    """Final norm and output projection: "h" to "logits", int32[vocab] with `LOGIT_FRACTION` fractional bits at most.

    `stream`: the binary point of "h".

    Its input is encoded as `numerics.head_activation` says: the published scheme leaves the head unspiked, to which
    INT8 is the nearest the core has.
    """
    builder = ProgramBuilder("head", _requires(hardware))
    tensors = {"norm": norm, "head": weight}
    low = Lowering(
        builder=builder, config=config, tensors=tensors, ranges=RangeRecorder(), numerics=hardware.numerics
    )
    h = Value(view=builder.vector("h", config.hidden_size), fraction=stream, limit=WORD_LIMIT)
    with builder.section("parallel"):
        gain = low.real("norm")
        # A unit-rms vector has entries up to √n; calibration-free, since the norm bounds it.
        peak = math.sqrt(config.hidden_size) * float(np.abs(gain).max())
        fraction = _logit_fraction(weight, peak)
        x = rms_norm(
            low,
            "norm",
            _with_peak(low, h),
            gain,
            eps=low.config.norm_eps,
            fraction=fraction_for(peak, 2**15 - 1, 1.0),
            statistic=statistic_for(low.numerics.head_activation),
        )
        counts = encode(low, "head", x, scheme=low.numerics.head_activation)
        logits = project(
            low,
            "head",
            counts,
            [Output(name="logits", weight="head", fraction=fraction, limit=WORD_LIMIT)],
        )["logits"]
    result = Port(name=logits.view.name, format=Format(fraction=fraction), shape=(config.vocab_size,))
    return builder.build(inputs=(_stream("h", config, stream),), outputs=(result,))


def _logit_fraction(weight: torch.Tensor, length: float) -> int:
    """Binary point at which no logit saturates: weight: float[vocab, hidden] times vectors of at most this length."""
    rows = (float(rows.double().square().sum(dim=1).max()) for rows in torch.split(weight, 8192))
    largest = length * math.sqrt(max(rows))
    if not math.isfinite(largest):
        raise NumericError("the weights of the output head must be finite")
    if largest == 0:
        return LOGIT_FRACTION
    # Twice: integers may make the vector and the weights a little longer than they are.
    return within_format(min(LOGIT_FRACTION, fraction_for(largest, WORD_LIMIT)), "logits", largest)


def layer_name(index: int) -> str:
    """The name of a layer's program."""
    return f"layer_{index:02d}"


def links(config: DSSAConfig) -> tuple[Link, ...]:
    """Every layer takes the stream of the layer before, and the angles; the head takes the last stream."""
    found: list[Link] = []
    stream: End | None = None
    for name in map(layer_name, range(config.num_hidden_layers)):
        found.append(Link(to=End(program=name, port="h"), source=stream))
        for port in _angles(config):
            source = End(program="position", port=port.name)
            found.append(Link(to=End(program=name, port=port.name), source=source))
        stream = End(program=name, port="h_out")
    return (*found, Link(to=End(program="head", port="h"), source=stream))


def _requires(hardware: HardwareConfig) -> Requires:
    return Requires(
        accumulator_bits=hardware.array.accumulator_bits,
        steps=hardware.limits.max_context,
        numerics=hardware.numerics,
    )


def _stream(name: str, config: DSSAConfig, fraction: int) -> Port:
    return Port(name=name, format=Format(fraction=fraction), shape=(config.hidden_size,))


def _angles(config: DSSAConfig) -> tuple[Port, Port]:
    cos, sin = (Port(name=name, format=ANGLE, shape=(config.head_dim // 2,)) for name in ("cos", "sin"))
    return cos, sin


def _with_peak(low: Lowering, h: Value) -> Value:
    """The residual stream with its max_abs, which the norm needs and nothing before this program left."""
    peak = low.builder.reduce(f"{h.view.name}.max_abs", h.view, "max_abs")
    return Value(view=h.view, fraction=h.fraction, limit=h.limit, statistic=peak)


def _norm_and_encode_input(low: Lowering, h: Value, which: str):  # type: ignore[no-untyped-def]
    gain = low.real(f"{which}.weight")
    x = rms_norm(
        low,
        which,
        h,
        gain,
        eps=low.config.norm_eps,
        fraction=activation(low.ranges, which),
        statistic=statistic_for(low.numerics.activation),
    )
    return encode(low, which, x)


def _softmax_layer(low: Lowering, h: Value, kind: str, hardware: HardwareConfig) -> Value:
    """h + o_proj(attention(norm(h))) for MoBA and full layers."""
    builder, heads = low.builder, low.config.attn_num_heads
    with builder.section("parallel"):
        counts = _norm_and_encode_input(low, _with_peak(low, h), "attn_norm")
        values = project(low, "attn.qkv", counts, attention_outputs(low, "attn", heads))
    o = attend(low, "attn", kind, values, heads, hardware)
    with builder.section("parallel"):
        h = with_room(low, h, "mix", "h_mid")
        output = Output(name="mix", weight="attn.o_proj.weight", fraction=h.fraction, limit=WORD_LIMIT)
        mix = project(low, "attn.out", encode(low, "attn.o", o), [output])["mix"]
        return builder.add("h_mid", h, mix, statistic="max_abs")


def _sse_layer(low: Lowering, h: Value, hardware: HardwareConfig) -> Value:
    """h + (norm(sse) + norm(swa)) / 2."""
    builder, heads = low.builder, low.config.num_heads
    with builder.section("parallel"):
        counts = _norm_and_encode_input(low, _with_peak(low, h), "attn_norm")
        values = project(low, "sse.in", counts, [*sse_outputs(low), *attention_outputs(low, "swa", heads)])
    o = recur(low, values)
    with builder.section("parallel"):
        h = with_room(low, h, "mix", "h_mid")
    sse = _merge(low, "sse", o, h.fraction)
    o = attend(low, "swa", "window", values, heads, hardware)
    swa = _merge(low, "swa", o, h.fraction)
    with builder.section("parallel"):
        mid = builder.add("h_sse", h, sse)
        return builder.add("h_mid", mid, swa, statistic="max_abs")


def _merge(low: Lowering, branch: str, o: Value, fraction: int) -> Value:
    """Half of the normed output projection of one branch, in residual-stream words."""
    name = f"{branch}.out"
    with low.builder.section("parallel"):
        counts = encode(low, "sse.o_norm" if branch == "sse" else "swa.o", o)
        output = Output(
            name=name,
            weight=f"attn.{branch}_o_proj.weight",
            fraction=wide(low.ranges, name),
            limit=WORD_LIMIT,
            statistic="max_abs",
        )
        out = project(low, f"{branch}.o_proj", counts, [output])[name]
        gain = low.real(f"attn.{branch}_merge_norm.weight") / 2
        return rms_norm(
            low, f"{branch}.merged", out, gain, eps=low.config.norm_eps, fraction=fraction, limit=WORD_LIMIT
        )


def _mlp(low: Lowering, h: Value) -> Value:
    """h + down(silu(gate) ⊙ up)."""
    builder, ranges = low.builder, low.ranges
    with builder.section("parallel"):
        counts = _norm_and_encode_input(low, h, "mlp_norm")
        values = project(
            low,
            "mlp.in",
            counts,
            [
                Output(
                    name="mlp.gate", weight="mlp.gate_proj.weight", fraction=activation(ranges, "mlp.gate")
                ),
                Output(name="mlp.up", weight="mlp.up_proj.weight", fraction=activation(ranges, "mlp.up")),
            ],
        )
        gate = silu(low, "mlp.silu", values["mlp.gate"])
        act = product_of(
            low,
            "mlp.act",
            gate,
            values["mlp.up"],
            fraction=activation(ranges, "mlp.act"),
            statistic=statistic_for(low.numerics.activation),
        )
        h = with_room(low, h, "mlp", "h_out")
        output = Output(name="mlp", weight="mlp.down_proj.weight", fraction=h.fraction, limit=WORD_LIMIT)
        down = project(low, "mlp.down", encode(low, "mlp.act", act), [output])["mlp"]
        return builder.add("h_out", h, down)


def check_mappable(config: DSSAConfig) -> None:
    """Raises ConfigError, before any work is done, if the core lacks something the float model has."""
    if config.use_short_conv:
        raise ConfigError("use_short_conv must be false to map a model: the core has no short convolution")
