"""The SSE branch on the core: gated delta rule on event-driven state, one shared and K selected partition copies.

Per token and state: decay, predict (gather k), correct (scatter k), read (gather q). The l2 norm of q and k is
taken of their counts, so that encoding scales and the partition weights η cancel exactly (`docs/dssa.md` 5.1), and
keys have unit norm whatever the coding.
"""

from __future__ import annotations

import math

import numpy as np

from spikesim.mapping.blocks import Counts, encode, relu, rms_norm, sigmoid, silu, statistic_for
from spikesim.mapping.builder import Value, known
from spikesim.mapping.dssa.lowering import Lowering, Output, activation, project, wide
from spikesim.mapping.ranges import fraction_for
from spikesim.program import (
    ACTIVATION_LIMIT,
    COUNT_LIMIT,
    WORD_LIMIT,
    Decay,
    Exponential,
    Gather,
    Lookup,
    Scatter,
    SelectTop,
    StateSpec,
    View,
)
from spikesim.program.tables import SOFTPLUS_FRACTION

STATE_LIMIT = 2**15 - 1
STATE_HEADROOM = 4.0
"""States are not bounded by a proof: calibration's largest entry times this still fits 16 bits; wraps are counted."""

SHARED, PARTITIONS = "sse.shared", "sse.partitions"


def sse_outputs(low: Lowering) -> list[Output]:
    """The slices of the input projection that the SSE branch reads."""
    config, ranges = low.config, low.ranges
    heads = config.num_heads
    first = activation(ranges, "sse.q_proj", "sse.q2_proj")
    second = activation(ranges, "sse.k_proj", "sse.k2_proj")
    outputs = [
        Output(name="sse.q_proj", weight="attn.sse_q_proj.weight", fraction=first, groups=heads),
        Output(name="sse.k_proj", weight="attn.sse_k_proj.weight", fraction=second, groups=heads),
        Output(
            name="sse.v_proj",
            weight="attn.sse_v_proj.weight",
            fraction=activation(ranges, "sse.v_proj"),
            groups=heads,
        ),
    ]
    low_rank = [("sse.lora_q", "attn.lora_q_proj.0.weight"), ("sse.lora_k", "attn.lora_k_proj.0.weight")]
    if config.use_output_gate:
        low_rank.append(("sse.gate_low", "attn.sse_g_proj.0.weight"))
    outputs += [
        Output(
            name=name,
            weight=weight,
            fraction=activation(ranges, name),
            statistic=statistic_for(low.numerics.activation),
        )
        for name, weight in low_rank
    ]
    outputs += [
        Output(
            name=f"sse.{letter}_proj",
            weight=f"attn.sse_{letter}_proj.weight",
            fraction=activation(ranges, f"sse.{letter}"),
            limit=WORD_LIMIT // 2,
        )
        for letter in "abe"
    ]
    return outputs


def recur(low: Lowering, values: dict[str, Value]) -> Value:
    """The delta rule from the projected inputs to the normed (and gated) head outputs, ready to be encoded."""
    builder, config = low.builder, low.config
    heads, size = config.num_heads, config.head_dim
    builder.states[SHARED] = StateSpec(copies=1, heads=heads, size=size)
    builder.states[PARTITIONS] = StateSpec(copies=config.num_sparse_partition, heads=heads, size=size)
    with builder.section("parallel"):
        sets = _encoded_sets(low, values)
        v = silu(low, "sse.v", values["sse.v_proj"])
        factors = _decay_factors(low, values["sse.a_proj"])
        rates = _learning_rates(low, values["sse.b_proj"])
        selected = builder.vector("sse.selected", config.num_writer)
        builder.emit(SelectTop(dst=selected, a=values["sse.e_proj"].view, count=config.num_writer))
        steps = [
            _Step(low, sets[n], factors.part(n * heads, heads, heads), rates.part(n * heads, heads, heads), n)
            for n in (0, 1)
        ]
    out: Value | None = None
    with builder.section("recurrent"):
        out = steps[0].run("sse.s0", SHARED, None, v, None)
        for n in range(config.num_writer):
            out = steps[1].run(f"sse.s{n + 1}", PARTITIONS, selected.part(n, 1), v, out)
    with builder.section("parallel"):
        normed = rms_norm(
            low,
            "sse.o_norm",
            out,
            low.real("attn.sse_o_norm.weight"),
            eps=low.config.norm_eps,
            fraction=activation(low.ranges, "sse.o_norm"),
        )
        if config.use_output_gate:
            normed = _gated(low, normed, values["sse.gate_low"])
    return normed.flat()


def _encoded_sets(low: Lowering, values: dict[str, Value]) -> list[tuple[Counts, Counts]]:
    """(q, k) counts of the shared and of the partition recurrence, per head."""
    function = relu if low.config.sse_qk_relu else silu
    encoded: dict[str, Counts] = {}
    for letter in "qk":
        first = values[f"sse.{letter}_proj"]
        lora = values[f"sse.lora_{letter}"]
        counts = encode(low, f"sse.lora_{letter}", lora)
        change = project(
            low,
            f"sse.lora_{letter}_up",
            counts,
            [
                Output(
                    name=f"sse.{letter}2_change",
                    weight=f"attn.lora_{letter}_proj.1.weight",
                    fraction=first.fraction,
                    groups=low.config.num_heads,
                )
            ],
        )[f"sse.{letter}2_change"]
        second = low.builder.add(f"sse.{letter}2_proj", first, change, limit=first.limit)
        for n, x in ((1, first), (2, second)):
            name = f"sse.{letter}{n}"
            active = function(low, name, x, statistic=statistic_for(low.numerics.activation))
            encoded[name] = encode(low, name, active, squares=True)
    return [(encoded[f"sse.q{n}"], encoded[f"sse.k{n}"]) for n in (1, 2)]


def _decay_factors(low: Lowering, a: Value) -> View:
    """e^g = 2^−(exp(A_log) · log2 e · softplus(W_a x + dt_bias)) as packed scalars, 2 · heads of them."""
    builder = low.builder
    # Where the clip acts e^g is 0, or 1, with and without it: the binary point makes room for all that matters.
    bias = np.rint(np.ldexp(low.real("attn.dt_bias"), a.fraction)).clip(-(2**30), 2**30).astype(np.int32)
    shifted = builder.add("sse.a", a, Value(view=builder.constant("sse.dt_bias", bias), fraction=a.fraction))
    soft = builder.vector("sse.softplus", a.view.words)
    builder.emit(Lookup(dst=soft, a=shifted.view, function="softplus", fraction=a.fraction))
    rate, rate_fraction = builder.reals("sse.decay_rate", np.exp(low.real("attn.A_log")) * math.log2(math.e))
    steps = builder.multiply(
        "sse.decay_log2",
        Value(view=soft, fraction=SOFTPLUS_FRACTION, limit=WORD_LIMIT),
        b=rate,
        b_fraction=rate_fraction,
        fraction=SOFTPLUS_FRACTION,
        limit=WORD_LIMIT,
    )
    factors = builder.scalars("sse.decay", a.view.words)
    builder.emit(Exponential(dst=factors, src=steps.view.split(a.view.words), fraction=SOFTPLUS_FRACTION))
    return factors


def _learning_rates(low: Lowering, b: Value) -> View:
    """β · 2^16 as packed scalars, 2 · heads of them."""
    beta = sigmoid(low, "sse.beta", b)
    return low.builder.reduce("sse.beta_scalar", beta.view.split(beta.view.words), "sum")


class _Step:
    """One delta-rule set: its counts, its per-head scalars, and the fixed-point formats of state and output."""

    def __init__(
        self, low: Lowering, counts: tuple[Counts, Counts], factor: View, rate: View, number: int
    ) -> None:
        self.low = low
        self.builder = low.builder
        self.q, self.k = counts
        self.factor = factor
        self.state_fraction = fraction_for(
            low.ranges.peak("sse.state", "sse.state_peak"), STATE_LIMIT, 2 * STATE_HEADROOM
        )
        self.out_fraction = wide(low.ranges, "sse.o")
        size = low.config.head_dim
        self.shift = self._update_shift(size)
        name = f"sse.set{number}"
        beta_unit = 2.0**-16 * (2 if low.config.allow_neg_eigval else 1)
        self.k_scale = self.builder.invert(f"{name}.k_scale", known(self.k.squares), root=True)
        self.q_scale = self.builder.invert(f"{name}.q_scale", known(self.q.squares), size**-0.5, root=True)
        self.u_scale = self.builder.scalar_multiply(f"{name}.u_scale", rate, self.k_scale, beta_unit)

    def _update_shift(self, size: int) -> int:
        """Extra fractional bits of the update: as many as leave it within 16 bits with a factor 2 to spare.

        An update is u / (|counts| · G) with G ≥ ½. A count vector has length 127 at least with INT8, and about
        k · √size with the adaptive threshold, where the mean magnitude is k.
        """
        numerics = self.low.numerics
        shortest = (
            COUNT_LIMIT
            if numerics.activation == "int8"
            else max(1.0, numerics.threshold_k * math.sqrt(size) / 2)
        )
        largest = 2 * self.low.ranges.peak("sse.u") / shortest
        return min(max(fraction_for(largest, ACTIVATION_LIMIT) - self.state_fraction, 0), 15)

    def run(self, name: str, state: str, partition: View | None, v: Value, before: Value | None) -> Value:
        """Emits the update and read of one state; returns the running sum of outputs."""
        builder, shape = self.builder, (self.k.view.words, self.k.view.groups)
        scale = builder.scalars(f"{name}.scale", shape[1])
        builder.emit(Decay(dst=scale, factor=self.factor, state=state, partition=partition))
        read = builder.vector(f"{name}.predicted_sums", *shape)
        builder.emit(Gather(dst=read, counts=self.k.view, operand="state", name=state, partition=partition))
        k_scale = builder.scalar_multiply(f"{name}.k_scale", self.k_scale, scale)
        stored = Value(view=read, fraction=self.state_fraction, limit=WORD_LIMIT)
        predicted = builder.multiply(
            f"{name}.predicted", stored, scalar=k_scale, fraction=v.fraction, limit=WORD_LIMIT // 2
        )
        error = builder.add(f"{name}.error", v, predicted, subtract=True)
        inverse = builder.invert(f"{name}.inverse", scale)
        u_scale = builder.scalar_multiply(f"{name}.u_scale", self.u_scale, inverse)
        update = builder.multiply(
            f"{name}.update", error, scalar=u_scale, fraction=self.state_fraction + self.shift
        )
        builder.emit(
            Scatter(
                counts=self.k.view, update=update.view, shift=self.shift, state=state, partition=partition
            )
        )
        read = builder.vector(f"{name}.output_sums", *shape)
        builder.emit(Gather(dst=read, counts=self.q.view, operand="state", name=state, partition=partition))
        q_scale = builder.scalar_multiply(f"{name}.q_scale", self.q_scale, scale)
        stored = Value(view=read, fraction=self.state_fraction, limit=WORD_LIMIT)
        out = builder.multiply(
            f"{name}.output",
            stored,
            scalar=q_scale,
            fraction=self.out_fraction,
            limit=WORD_LIMIT // 2,
            statistic=None,
        )
        if before is None:
            return out
        return builder.add(f"{name}.sum", before, out, statistic="max_abs")


def _gated(low: Lowering, normed: Value, gate_low: Value) -> Value:
    """o ⊙ silu(B_g A_g x)."""
    counts = encode(low, "sse.gate_low", gate_low)
    fraction = activation(low.ranges, "sse.gate")
    gate = project(
        low,
        "sse.gate_up",
        counts,
        [Output(name="sse.gate_proj", weight="attn.sse_g_proj.1.weight", fraction=fraction)],
    )["sse.gate_proj"]
    active = silu(low, "sse.gate", gate)
    return low.builder.multiply(
        "sse.gated",
        normed.flat(),
        b=active.view,
        b_fraction=active.fraction,
        fraction=activation(low.ranges, "sse.o_norm"),
    )
