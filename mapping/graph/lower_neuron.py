"""Neurons that keep a membrane from step to step, and recurrent edges: persistent vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NumericError
from spikesim.mapping.builder import Value
from spikesim.mapping.graph.lowering import Lowering
from spikesim.mapping.graph.nodes import Delay, Floats, Neuron
from spikesim.mapping.graph.tensor import Tensor, row_major
from spikesim.program import WORD_LIMIT, Add, Lookup, Multiply


def lower_neuron(low: Lowering, node: Neuron) -> Tensor:
    """i ← alpha i + gain x, v ← beta v + i + leak, a spike where v is beyond the threshold, and the reset it causes."""
    builder, name = low.builder, node.name
    fraction = low.formats.membrane(node)
    x = low.dense(f"{name}-dense", low.tensor(node.inputs[0]))

    def words_of(array: Floats) -> NDArray[np.int32]:
        exact = np.rint(np.ldexp(x.placed(array), fraction))
        if np.abs(exact).max() > WORD_LIMIT:
            raise NumericError(
                f"thresholds of {name} must be within its membrane's range; calibrate on other samples"
            )
        words: NDArray[np.int32] = exact.astype(np.int32)
        return words

    gain = x.placed(node.gain) * x.unit
    if (gain == 1.0).all():
        current = low.settled(f"{name}-input", replace(x, unit=1.0), fraction, WORD_LIMIT).value
    else:
        current = low.times(f"{name}-input", x.value, gain, fraction, WORD_LIMIT)
    if node.alpha is not None:
        kept = _kept(low, f"{name}-current", x.words, fraction)
        rest = low.times(f"{name}-current.rest", kept, x.placed(node.alpha), fraction, WORD_LIMIT)
        builder.emit(Add(dst=kept.view, a=rest.view, b=current.view, limit=WORD_LIMIT))
        current = kept
    membrane = _kept(low, f"{name}-membrane", x.words, fraction)
    rest = low.times(f"{name}-rest", membrane, x.placed(node.beta), fraction, WORD_LIMIT)
    charged = builder.add(f"{name}-charged", rest, current)
    if node.leak.any():
        charged = low.plus(f"{name}-leaked", charged, x.placed(node.leak), WORD_LIMIT)
    if node.threshold is None:
        builder.emit(Multiply(dst=membrane.view, a=charged.view, limit=WORD_LIMIT))
        out_fraction, limit = low.formats.of(node)
        return x.like(builder.multiply(name, charged, fraction=out_fraction, limit=limit))
    threshold = words_of(node.threshold)
    before = _kept(low, f"{name}-fired", x.words, 0, 1) if node.delayed else None
    if before is not None:
        charged = _reset(low, f"{name}-reset", node, charged, before, threshold, words_of)
    # A word above the threshold, or at it: v − threshold > 0, or v − threshold + one unit > 0.
    bar = low.periodic(f"{name}-threshold", threshold - np.int32(node.at_threshold))
    above = builder.vector(f"{name}-above", x.words, bar.groups)
    builder.emit(Add(dst=above, a=charged.view.split(bar.groups), b=bar, subtract=True, limit=WORD_LIMIT))
    spikes = builder.vector(name, x.words)
    builder.emit(Lookup(dst=spikes, a=above.split(1), function="step", fraction=0))
    fired = Value(view=spikes, fraction=0, limit=1)
    if before is not None:
        builder.emit(Multiply(dst=before.view, a=spikes, limit=1))
        builder.emit(Multiply(dst=membrane.view, a=charged.view, limit=WORD_LIMIT))
    else:
        _reset(low, f"{name}-reset", node, charged, fired, threshold, words_of, into=membrane)
    return x.like(fired)


def _kept(low: Lowering, name: str, words: int, fraction: int, limit: int = WORD_LIMIT) -> Value:
    """A persistent vector."""
    view = low.builder.vector(name, words)
    low.builder.persistent.append(name)
    return Value(view=view, fraction=fraction, limit=limit)


def _reset(  # type: ignore[no-untyped-def]
    low: Lowering,
    name: str,
    node: Neuron,
    membrane: Value,
    fired: Value,
    threshold: NDArray[np.int32],
    words_of,
    into: Value | None = None,
) -> Value:
    """The membrane where nothing fired; where something did, less its threshold, or at its reset."""
    builder = low.builder
    if node.reset is None:
        less = low.scaled_ones(f"{name}-by", threshold, fired.view)
    else:
        # v − s · v, and the reset where s
        less = builder.vector(f"{name}-by", membrane.view.words)
        builder.emit(Multiply(dst=less, a=membrane.view, b=fired.view, limit=WORD_LIMIT))
    value_of_reset = None if node.reset is None or not node.reset.any() else words_of(node.reset)
    dst = into
    if dst is None or value_of_reset is not None:
        dst = Value(view=builder.vector(f"{name}-rest", membrane.view.words), fraction=membrane.fraction)
    builder.emit(Add(dst=dst.view, a=membrane.view, b=less, subtract=True, limit=WORD_LIMIT))
    if value_of_reset is None:
        return dst
    to = low.scaled_ones(f"{name}-to", value_of_reset, fired.view)
    last = into or Value(view=builder.vector(f"{name}-done", membrane.view.words), fraction=membrane.fraction)
    builder.emit(Add(dst=last.view, a=dst.view, b=to, limit=WORD_LIMIT))
    return last


def begin_delay(low: Lowering, node: Delay, source: tuple[int, int, float]) -> Tensor:
    """What was left in the step before, copied where it may decide cycles. `source`: fraction, limit and unit."""
    fraction, limit, unit = source
    words = int(np.prod(node.shape))
    kept = _kept(low, f"{node.name}-kept", words, fraction, limit)
    dst = low.builder.vector(node.name, words)
    low.builder.emit(Multiply(dst=dst, a=kept.view, limit=max(1, limit)))
    return Tensor(
        vector=node.name, words=words, order=row_major(node.shape), fraction=fraction, limit=limit, unit=unit
    )


def end_delay(low: Lowering, node: Delay) -> None:
    """Leaves the source's words for the next step, in the order in which `begin_delay` said that they lie."""
    begun, source = low.tensor(node.name), low.tensor(node.inputs[0])
    if (source.fraction, source.limit, source.unit) != (begun.fraction, begun.limit, begun.unit):
        raise node.refuse("delay spikes of neurons, whose format is known before they are")
    low.copy_into(f"{node.name}-kept", source, begun.order)
