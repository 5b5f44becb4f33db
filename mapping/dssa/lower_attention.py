"""Softmax attention on the core: MoBA, full, and the sliding window of SSE layers.

q is encoded per head; K and V are INT8 counts with static scales from calibration, K one per key/value head, V
one per channel. Softmax weights are counts 0 … 127, so that p · V is event-driven like every other product and
a key that was not selected or is negligible costs nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.mapping.blocks import encode, rms_norm, statistic_for
from spikesim.mapping.builder import Value, known
from spikesim.mapping.dssa.lowering import Lowering, Output, activation, wide
from spikesim.mapping.quantize import mantissas
from spikesim.program import (
    ACTIVATION_LIMIT,
    COUNT_LIMIT,
    WORD_LIMIT,
    CacheKeys,
    CacheSpec,
    Gather,
    Multiply,
    Pool,
    Reduction,
    Rotate,
    SelectTop,
    SoftmaxWeights,
    Store,
    View,
)

SCORE_FRACTION = 10
"""Binary point of scores, in units of log2."""

PASS_WORDS = 2**14
"""Heads are processed in passes, so that the scores of one pass fit this many words of each core's vector memory.

Heads of a pass are dealt to the cores that a model is mapped for. No head depends on another, so that passes change no
value; the programs of a mapping say which there are, and run on any number of cores.
"""

PROVEN_KEYS = 4096
"""Sums of weighted values are rounded to leave room for as many keys at least, whatever context is asked for."""


def attention_outputs(low: Lowering, prefix: str, heads: int) -> list[Output]:
    """The q, k, v slices of a projection, named `<prefix>.q_proj`, `.k_proj`, `.v`; v leaves as INT8 counts."""
    kv_heads = low.config.attn_num_kv_heads
    weight = "attn." if prefix == "attn" else "attn.swa_"
    norm = low.config.qk_norm
    limit = WORD_LIMIT if norm else ACTIVATION_LIMIT
    outputs = []
    for letter, count in (("q", heads), ("k", kv_heads)):
        name = f"{prefix}.{letter}_proj"
        fraction = wide(low.ranges, name) if norm else activation(low.ranges, name)
        outputs.append(
            Output(
                name=name,
                weight=f"{weight}{letter}_proj.weight",
                fraction=fraction,
                limit=limit,
                groups=count,
                statistic="max_abs" if norm else None,
            )
        )
    outputs.append(
        Output(
            name=f"{prefix}.v",
            weight=f"{weight}v_proj.weight",
            fraction=0,
            limit=COUNT_LIMIT,
            divisor=_value_scales(low, prefix),
        )
    )
    return outputs


def _value_scales(low: Lowering, prefix: str) -> NDArray[np.float64]:
    """float64[kv heads · size]: real value of one count of V, per channel."""
    peaks = low.ranges.channels(f"{prefix}.v").reshape(-1)
    return _static_scales(peaks)


def _key_scales(low: Lowering, prefix: str) -> NDArray[np.float64]:
    """float64[kv heads]: real value of one count of K, per head."""
    peaks = low.ranges.channels(f"{prefix}.k").max(axis=-1)
    return _static_scales(peaks)


def _static_scales(peaks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scales that make the largest value of each entry count 127; none is less than 1/1024 of the largest.

    The floor keeps the reciprocals of channels that are silent on the calibration data within 16 bits.
    """
    floor = max(float(peaks.max()) / 1024, float(np.finfo(np.float32).tiny))
    scales: NDArray[np.float64] = np.maximum(peaks, floor) / COUNT_LIMIT
    return scales


def attend(
    low: Lowering, prefix: str, kind: str, values: dict[str, Value], heads: int, hardware: HardwareConfig
) -> Value:
    """Attention from the projected q, k, v to the concatenated head outputs, ready to be encoded.

    `kind`: "moba", "full" or "window".
    """
    builder, config = low.builder, low.config
    kv_heads, size = config.attn_num_kv_heads, config.head_dim
    max_context = hardware.limits.max_context
    cache = f"{prefix}.cache"
    tokens = config.window_size if kind == "window" else max_context
    block = config.moba_chunk_size if kind == "moba" else 0
    builder.caches[cache] = CacheSpec(heads=kv_heads, size=size, tokens=tokens, block=block)
    with builder.section("parallel"):
        q = _normed_and_rotated(low, prefix, "q", values[f"{prefix}.q_proj"])
        k = _normed_and_rotated(low, prefix, "k", values[f"{prefix}.k_proj"])
        scales = _key_scales(low, prefix)
        inverse, inverse_fraction = builder.reals(f"{prefix}.k_inverse", 1 / scales)
        per_head = View(name=inverse.name, groups=kv_heads, length=1, stride=1)
        keys = builder.multiply(
            f"{prefix}.k_counts",
            k,
            b=per_head,
            b_fraction=inverse_fraction,
            fraction=0,
            limit=COUNT_LIMIT,
            clip=True,
        )
        builder.emit(Store(src=keys.view, cache=cache, kind="keys"))
        builder.emit(Store(src=values[f"{prefix}.v"].split(kv_heads).view, cache=cache, kind="values"))
        if kind == "moba":
            _pool(low, keys.view, cache)
        counts = encode(low, f"{prefix}.q", q)
    run = _longest_run(low, kind, max_context)
    per_core = max(1, PASS_WORDS // run)
    per_pass = _heads_per_pass(per_core * hardware.system.cores, heads, heads // kv_heads)
    to_log2 = math.log2(math.e) / math.sqrt(size) * counts.factor
    score_scales, score_fraction = builder.reals(
        f"{prefix}.score_scales", np.repeat(scales, heads // kv_heads) * to_log2
    )
    value_scales, value_fraction = mantissas(_value_scales(low, prefix).reshape(kv_heads, size))
    output_scales = builder.constant(
        f"{prefix}.value_scales", np.repeat(value_scales, heads // kv_heads, axis=0).reshape(-1)
    )
    fraction = activation(low.ranges, f"{prefix}.o")
    out = builder.vector(f"{prefix}.o", heads * size, heads)
    with builder.section("attention"):
        for first in range(0, heads, per_pass):
            part = _Pass(first=first, heads=per_pass, sharing=heads // kv_heads, size=size)
            span = _keys(low, prefix, kind, cache, part, counts.view)
            name = f"{prefix}.{first}" if per_pass < heads else prefix
            sums = builder.vector(f"{name}.score_sums", per_pass * run, per_pass)
            builder.emit(
                Gather(
                    dst=sums,
                    counts=part.words(counts.view),
                    operand="keys",
                    name=cache,
                    keys=span,
                    first_head=first,
                    sharing=part.sharing,
                )
            )
            scores = builder.multiply(
                f"{name}.scores",
                Value(view=sums, fraction=0, limit=size * COUNT_LIMIT**2),
                b=View(name=score_scales.name, offset=first, groups=per_pass, length=1, stride=1),
                b_fraction=score_fraction,
                scalar=part.scalars(counts.scale),
                scalar_fraction=counts.fraction,
                fraction=SCORE_FRACTION,
                limit=WORD_LIMIT // 2,
                statistic="max",
                keys=span,
            )
            total = Reduction(kind="sum", dst=builder.scalars(f"{name}.weight_sum", per_pass))
            weights = builder.vector(f"{name}.weights", per_pass * run, per_pass)
            builder.emit(
                SoftmaxWeights(
                    dst=weights,
                    a=scores.view,
                    maximum=known(scores.statistic),
                    fraction=SCORE_FRACTION,
                    limit=2**low.numerics.softmax_bits - 1,
                    reduce=total,
                    keys=span,
                )
            )
            sums = builder.vector(f"{name}.value_sums", per_pass * size, per_pass)
            builder.emit(
                Gather(
                    dst=sums,
                    counts=weights,
                    operand="values",
                    name=cache,
                    keys=span,
                    first_head=first,
                    sharing=part.sharing,
                )
            )
            share = builder.invert(f"{name}.share", total.dst)
            _weighted_mean(
                low,
                part,
                sums,
                _summed(low, kind, run) * COUNT_LIMIT**2,
                output_scales,
                value_fraction,
                share,
                out,
                fraction,
            )
    return Value(view=out, fraction=fraction).flat()


class _Pass:
    """Heads `first` … `first + heads` − 1, processed together."""

    def __init__(self, *, first: int, heads: int, sharing: int, size: int) -> None:
        self.first = first
        self.heads = heads
        self.sharing = sharing
        self.size = size

    def words(self, view: View) -> View:
        """This pass's heads of a per-head vector."""
        return view.part(self.first * self.size, self.heads * self.size, self.heads)

    def scalars(self, view: View) -> View:
        """This pass's heads of a vector with one scalar per head."""
        return view.part(self.first, self.heads, self.heads)


def _normed_and_rotated(low: Lowering, prefix: str, letter: str, x: Value) -> Value:
    """RMSNorm per head (with qk_norm) and RoPE; leaves the statistic that encoding q needs."""
    builder, config = low.builder, low.config
    name = f"{prefix}.{letter}"
    if config.qk_norm:
        weight = "attn." if prefix == "attn" else "attn.swa_"
        gain = low.real(f"{weight}{letter}_norm.weight")
        x = rms_norm(
            low, f"{name}_norm", x, gain, eps=low.config.norm_eps, fraction=activation(low.ranges, name)
        )
    half = config.head_dim // 2
    dst = builder.vector(f"{name}_rotated", x.view.words, x.view.groups)
    reduce = builder.reduction(
        f"{name}_rotated", statistic_for(low.numerics.activation) if letter == "q" else None, x.view.groups
    )
    builder.emit(
        Rotate(
            dst=dst,
            a=x.view,
            cos=View(name="cos", length=half),
            sin=View(name="sin", length=half),
            reduce=reduce,
        )
    )
    return Value(view=dst, fraction=x.fraction, statistic=reduce.dst if reduce else None)


def _pool(low: Lowering, keys: View, cache: str) -> None:
    """Block means of K, scaled so that calibration's largest mean is count 127; only their order matters."""
    block = low.config.moba_chunk_size
    means = low.ranges.channels("attn.k_mean").max(axis=-1) / _key_scales(low, "attn")
    scale, shift = mantissas(np.array([COUNT_LIMIT / max(float(means.max()), 1.0) / block]))
    low.builder.emit(Pool(src=keys, cache=cache, block=block, scale=int(scale[0]), shift=shift))


def _keys(low: Lowering, prefix: str, kind: str, cache: str, part: _Pass, counts: View) -> CacheKeys:
    """The keys of a pass; for MoBA this emits the gate that selects past blocks."""
    builder, config = low.builder, low.config
    if kind == "window":
        return CacheKeys(cache=cache, kind="window", span=config.window_size)
    if kind == "full":
        return CacheKeys(cache=cache, kind="full")
    block, chosen = config.moba_chunk_size, config.moba_topk - 1
    past = CacheKeys(cache=cache, kind="blocks", span=block)
    name = f"{prefix}.{part.first}"
    most = max(1, -(-builder.caches[cache].tokens // block))
    gate = builder.vector(f"{name}.gate", part.heads * most, part.heads)
    builder.emit(
        Gather(
            dst=gate,
            counts=part.words(counts),
            operand="means",
            name=cache,
            keys=past,
            first_head=part.first,
            sharing=part.sharing,
        )
    )
    selected = builder.vector(f"{name}.selected", part.heads * chosen, part.heads)
    builder.emit(SelectTop(dst=selected, a=gate, count=chosen, keys=past))
    return CacheKeys(cache=cache, kind="blocks", span=block, selected=selected)


def _longest_run(low: Lowering, kind: str, max_context: int) -> int:
    """Scores per head at most."""
    if kind == "window":
        return min(low.config.window_size, max_context)
    if kind == "moba":
        return min(low.config.moba_chunk_size * low.config.moba_topk, max_context)
    return max_context


def _summed(low: Lowering, kind: str, run: int) -> int:
    """Values that are summed at most, from the model where it says so: rounding must not follow a memory's size."""
    if kind == "window":
        return low.config.window_size
    if kind == "moba":
        return low.config.moba_chunk_size * low.config.moba_topk
    return max(run, PROVEN_KEYS)


def _heads_per_pass(limit: int, heads: int, sharing: int) -> int:
    """The most heads that fit, dividing all heads and either whole key/value groups or a divisor of one."""
    fitting = [
        n
        for n in range(1, heads + 1)
        if heads % n == 0 and n <= limit and (n % sharing == 0 or sharing % n == 0)
    ]
    return max(fitting)


def _weighted_mean(
    low: Lowering,
    part: _Pass,
    sums: View,
    bound: int,
    scales: View,
    scale_fraction: int,
    share: View,
    out: View,
    fraction: int,
) -> None:
    """out[heads of the pass] = sums · value scale / Σ weights."""
    shift_b = max(0, bound.bit_length() + 16 - 31)
    low.builder.emit(
        Multiply(
            dst=part.words(out),
            a=sums,
            b=part.words(scales),
            scalar=share,
            shift_b=shift_b,
            shift=scale_fraction - fraction - shift_b,
        )
    )
